"""The entry script of every container: it sets the job's variables and folder, and then runs its command.

Runtimes alter variables: they evaluate them in a shell (APPTAINERENV_), split them at commas (--env), read them line by
line (--env-file), or let the image override them. So a job's variables are passed under neutral names, in the
environment and not in the argument list, which others can read, and the script renames them. It is one line of POSIX
shell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

SHELL = "/bin/sh"
PREFIX = "ORCHESTRA_V"
TOKEN = "ORCHESTRA_TOKEN"  # noqa: S105 - a name
# The keeper finds an attempt's processes by these: they must have them from the start.
_MARKS = (TOKEN, "ORCHESTRA_OUT")
# Read-only in shells.
_READ_ONLY = frozenset(
    ("BASHOPTS", "BASH_VERSINFO", "EUID", "GROUPS", "PPID", "SHELLOPTS", "UID", "_")
)
_FIND_SHELL = (
    'for s in /bin/bash /usr/bin/bash /usr/local/bin/bash /bin/sh; do [ -x "$s" ] && break; done'
)
# PID 1 gets only the signals that it handles, and the job's shell must get TERM as without a container.
_BE_INIT = "trap : TERM INT HUP QUIT"


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a job's variables under the names by which they are passed."""
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
    """Return the arguments of the container's /bin/sh.

    Args:
        leaked: variables of the runtime that the job must not see.
        as_init: the runtime brings no init: this shell is PID 1 and the parent of the command's shell.
        one_stream: send stderr to stdout, because the runtime would not preserve their order.
    """
    names = _names(environment)
    removed = [name for name in leaked if name not in environment]
    steps = ["exec 2>&1"] if one_stream else []
    if removed:
        steps.append(f"unset {' '.join(removed)}")
    if names:
        assignments = " ".join(f'{name}="${PREFIX}{n}"' for n, name in enumerate(names))
        steps.append(f"export {assignments}")
        steps.append(f"unset {' '.join(f'{PREFIX}{n}' for n in range(len(names)))}")
    steps += ['cd -- "$1" || exit 126', _FIND_SHELL]
    steps += [_BE_INIT, '"$s" -c "$2"', "exit $?"] if as_init else ['exec "$s" -c "$2"']
    return ("-c", "; ".join(steps), "orchestra", folder, command)


def _names(environment: Mapping[str, str]) -> Sequence[str]:
    return sorted(set(environment) - _READ_ONLY - set(_MARKS))


def csv_field(name: str, value: str) -> str:
    """Return one field of `--mount`, which is a line of CSV."""
    text = f"{name}={value}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n\r') else text
