"""Without a container: the command in a shell of the machine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from functools import lru_cache

from orchestra.runtimes import RuntimeJob

# Searched before PATH: a user's PATH decides what their jobs find, not which shell runs them.
_BASH = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")

_PLAIN = re.compile(
    r"(?P<program>[A-Za-z_][\w.+-]*)(?:[ \t]+(?:[\w@%+:,./=-]|'[^'\n]*')+)*[ \t]*", re.ASCII
)
_SAME_IN_BOTH = {"true", "false"}
# Reserved words and builtins of bash 5.2 and dash 0.5.12 (bash: `compgen -bk`; dash(1), "Builtins").
_SHELL_WORDS = re.compile(
    r"alias|bg|bind|break|builtin|caller|case|cd|chdir|command|compgen|complete|compopt|continue|coproc|"
    r"declare|dirs|disown|do|done|echo|elif|else|enable|esac|eval|exec|exit|export|fc|fg|fi|for|function|"
    r"getopts|hash|help|history|if|in|jobs|kill|let|local|logout|mapfile|popd|printf|pushd|pwd|read|"
    r"readarray|readonly|return|select|set|shift|shopt|source|suspend|test|then|time|times|trap|type|"
    r"typeset|ulimit|umask|unalias|unset|until|wait|while"
)


@dataclass(frozen=True, slots=True)
class BareRuntime:
    """Runs commands on the machine itself, in `shell` (an absolute path).

    A command that means the same in every shell is run by sh, which starts in half the time of bash.
    """

    shell: str = "/bin/sh"
    name: str = "bare"
    version: str = ""
    limits_memory: bool = False

    def supports(self, image: str | None) -> bool:
        return image is None

    def argv(self, job: RuntimeJob) -> tuple[str, ...]:
        if job.image is not None:
            raise ValueError(f"the bare runtime cannot run the image {job.image!r}")
        if not job.folder.is_absolute():
            raise ValueError(f"the folder {str(job.folder)!r} is not absolute")
        # The keeper never accesses the volume, so the shell changes to the folder, on the first line of the command:
        # messages keep their line numbers. Nothing follows the command: a here-document, a comment or a backslash at
        # its end must end where the text ends.
        enter = f"cd -- {shlex.quote(str(job.folder))} || exit 126; "
        program = plain_program(job.command)
        if program and _is_plain(tuple(job.environment)):
            # Without exec some shells stay, and wait for the program.
            start = "" if program in _SAME_IN_BOTH else "exec "
            return ("/bin/sh", "-c", enter + start + job.command)
        return (self.shell, "-c", enter + job.command)

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        return dict(job.environment)

    def list_containers(self, _token: str) -> None:
        return None

    def remove_containers(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        raise ValueError(f"there are no containers: {containers}")


def plain_program(command: str) -> str | None:
    """Return the program of a command that is one program from PATH with words that no shell changes, or None.

    GNU make uses the same rule (job.c, construct_command_argv). It does not cover a program with a slash: a script
    without a first line `#!` is run by the shell that starts it.
    """
    match = _PLAIN.fullmatch(command)
    program = match["program"] if match else None
    return program if program and not _SHELL_WORDS.fullmatch(program) else None


@lru_cache(maxsize=64)  # the same for all jobs of a task
def _is_plain(names: tuple[str, ...]) -> bool:
    """Whether no variable affects bash, and none is dropped by sh.

    BASH_ENV and SHELLOPTS change bash, BASH_FUNC_x%% is a function; dash drops names that are not identifiers.
    """
    return all(
        name.isidentifier()
        and name.isascii()
        and not name.startswith("BASH")
        and name not in ("ENV", "SHELLOPTS")
        for name in names
    )


def find_shell() -> str:
    """Return the machine's bash, or its sh."""
    for path in _BASH:
        if os.access(path, os.X_OK):
            return path
    return shutil.which("bash") or "/bin/sh"
