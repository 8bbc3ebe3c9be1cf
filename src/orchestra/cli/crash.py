"""What is said of a mistake that is ours: one sentence, and the details in a file."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

from orchestra import __version__
from orchestra.cli.output import print_error
from orchestra.domain.errors import OrchestraError


def report(error: BaseException, arguments: list[str]) -> None:
    """Say that something unexpected happened and where the traceback lies."""
    if os.environ.get("MAESTRO_DEBUG"):
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    try:
        hint = f"The details are in {_write(error, arguments)}. "
    except OSError:
        hint = "MAESTRO_DEBUG=1 shows the details. "
    print_error(
        OrchestraError(
            f"something unexpected happened ({what}); this is a bug in Orchestra.",
            hint=hint + "Running jobs are not affected.",
        )
    )


def _write(error: BaseException, arguments: list[str]) -> Path:
    """Write the traceback to a new file that its owner alone can read."""
    # Values of options may be secret or long; the words that name the command are not.
    command = " ".join(word for word in arguments[:2] if not word.startswith("-"))
    handle, name = tempfile.mkstemp(
        prefix=time.strftime("maestro-bug-%Y%m%d-%H%M%S-"), suffix=".txt"
    )
    with os.fdopen(handle, "w", errors="backslashreplace") as file:
        file.write(f"maestro {__version__}, {sys.version.split()[0]}, {platform.platform()}\n")
        file.write(f"command: maestro {command} ...\n\n")
        file.write("".join(traceback.format_exception(error)))
    return Path(name)
