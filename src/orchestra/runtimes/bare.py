"""No container: the command under a shell of the machine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from functools import lru_cache

from orchestra.runtimes import RuntimeJob

# Looked for by path first: a PATH that a user arranged says what their jobs find, not which shell reads them.
_BASH = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")

_PLAIN = re.compile(
    r"(?P<program>[A-Za-z_][\w.+-]*)(?:[ \t]+(?:[\w@%+:,./=-]|'[^'\n]*')+)*[ \t]*", re.ASCII
)
_SAME_IN_BOTH = {"true", "false"}
# Reserved words and builtins of bash 5.2 and dash 0.5.12 (bash: `compgen -bk`; dash(1), "Builtins").
_OF_THE_SHELL = re.compile(
    r"alias|bg|bind|break|builtin|caller|case|cd|chdir|command|compgen|complete|compopt|continue|coproc|"
    r"declare|dirs|disown|do|done|echo|elif|else|enable|esac|eval|exec|exit|export|fc|fg|fi|for|function|"
    r"getopts|hash|help|history|if|in|jobs|kill|let|local|logout|mapfile|popd|printf|pushd|pwd|read|"
    r"readarray|readonly|return|select|set|shift|shopt|source|suspend|test|then|time|times|trap|type|"
    r"typeset|ulimit|umask|unalias|unset|until|wait|while"
)


@dataclass(frozen=True, slots=True)
class BareRuntime:
    """Runs commands on the machine itself, read by `shell` (an absolute path).

    A command that means the same to every shell is read by sh, which is there in half the time of bash.
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
        # The keeper never touches the volume, so the shell itself enters the folder. On the command's own first
        # line: messages keep the line numbers of what was typed. Nothing follows the command: a here-document, a
        # comment or a backslash at its end must end where the text ends.
        enter = f"cd -- {shlex.quote(str(job.folder))} || exit 126; "
        program = plain_program(job.command)
        if program and _is_plain(tuple(job.environment)):
            # Without the exec some shells stay, and wait for it.
            start = "" if program in _SAME_IN_BOTH else "exec "
            return ("/bin/sh", "-c", enter + start + job.command)
        return (self.shell, "-c", enter + job.command)

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        return dict(job.environment)

    def sweep(self, _token: str) -> None:
        return None

    def remove(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        raise ValueError(f"there are no containers: {containers}")


def plain_program(command: str) -> str | None:
    """Give the program where a command is one program from PATH with words that no shell changes; else None.

    GNU make draws the same line (job.c, construct_command_argv). A program with a slash is beyond it: a script without
    a first line `#!` is read by the shell that starts it.
    """
    match = _PLAIN.fullmatch(command)
    program = match["program"] if match else None
    return program if program and not _OF_THE_SHELL.fullmatch(program) else None


@lru_cache(maxsize=64)  # the same for all jobs of a task
def _is_plain(names: tuple[str, ...]) -> bool:
    """Whether bash would take nothing from its environment, and sh would leave nothing of it out.

    BASH_ENV and SHELLOPTS change bash, BASH_FUNC_x%% is a function; dash drops names that are no identifiers.
    """
    return all(
        name.isidentifier()
        and name.isascii()
        and not name.startswith("BASH")
        and name not in ("ENV", "SHELLOPTS")
        for name in names
    )


def find_shell() -> str:
    """The machine's bash, else its sh."""
    for path in _BASH:
        if os.access(path, os.X_OK):
            return path
    return shutil.which("bash") or "/bin/sh"
