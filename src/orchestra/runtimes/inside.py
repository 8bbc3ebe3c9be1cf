"""What begins in every container: the shell text that makes a job's surroundings and then runs its command.

The runtimes hand variables on in ways of their own: evaluated by a shell (APPTAINERENV_), split at commas (--env),
line by line (--env-file), overridden by the image. So a job's variables travel under names that mean nothing,
in the environment and not in the argument list, which others can read; the shell in the container gives them back
their own. It is POSIX shell and one line.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

SHELL = "/bin/sh"
PREFIX = "ORCHESTRA_V"
TOKEN = "ORCHESTRA_TOKEN"  # noqa: S105 - the name of it
# What finds an attempt's processes (keeper.py) is theirs from their first moment on.
_MARKS = (TOKEN, "ORCHESTRA_OUT")
# Shells do not let these be set.
_READ_ONLY = frozenset(
    ("BASHOPTS", "BASH_VERSINFO", "EUID", "GROUPS", "PPID", "SHELLOPTS", "UID", "_")
)
_FIND_SHELL = (
    'for s in /bin/bash /usr/bin/bash /usr/local/bin/bash /bin/sh; do [ -x "$s" ] && break; done'
)
# PID 1 gets no signal that it does not handle, and the job's shell has to get TERM as any other one does.
_BE_INIT = "trap : TERM INT HUP QUIT"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the variables under which a job's own travel."""
    names = _names(environment)
    carried = {f"{PREFIX}{n}": environment[name] for n, name in enumerate(names)}
    return carried | {name: environment[name] for name in _MARKS if name in environment}


def arguments(
    environment: Mapping[str, str],
    folder: str,
    command: str,
    *,
    leaked: Iterable[str] = (),
    as_init: bool = False,
    one_stream: bool = False,
) -> tuple[str, ...]:
    """Give the arguments of the container's /bin/sh.

    Args:
        leaked: variables that the runtime brings in and the job is not to see.
        as_init: this shell is process 1 and nobody else is: it stays as the parent of the command's shell.
        one_stream: the runtime carries output and errors apart and so loses their order: errors go with the output.
    """
    names = _names(environment)
    gone = [name for name in leaked if name not in environment]
    steps = ["exec 2>&1"] if one_stream else []
    if gone:
        steps.append(f"unset {' '.join(gone)}")
    if names:
        given = " ".join(f'{name}="${PREFIX}{n}"' for n, name in enumerate(names))
        steps.append(f"export {given}")
        steps.append(f"unset {' '.join(f'{PREFIX}{n}' for n in range(len(names)))}")
    steps += ['cd -- "$1" || exit 126', _FIND_SHELL]
    steps += [_BE_INIT, '"$s" -c "$2"', "exit $?"] if as_init else ['exec "$s" -c "$2"']
    return ("-c", "; ".join(steps), "orchestra", folder, command)


def _names(environment: Mapping[str, str]) -> Sequence[str]:
    return sorted(set(environment) - _READ_ONLY - set(_MARKS))


def csv_field(name: str, value: str) -> str:
    """Give one field of `--mount`, which is a line of comma separated values, quoted where that is needed."""
    text = f"{name}={value}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text


def quoted(words: Sequence[str]) -> str:
    """Give an argument list for people."""
    return shlex.join(words)
