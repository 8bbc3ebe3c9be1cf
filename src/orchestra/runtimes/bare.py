"""No container: the command under a shell of the machine."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass

from orchestra.runtimes import RuntimeJob

# Looked for by path first: a PATH that a user arranged says what their jobs find, not which shell reads them.
_BASH = ("/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash")


@dataclass(frozen=True, slots=True)
class BareRuntime:
    """Runs commands on the machine itself, read by `shell` (an absolute path)."""

    shell: str = "/bin/sh"
    name: str = "bare"

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
        return (self.shell, "-c", enter + job.command)


def find_shell() -> str:
    """The machine's bash, else its sh."""
    for path in _BASH:
        if os.access(path, os.X_OK):
            return path
    return shutil.which("bash") or "/bin/sh"
