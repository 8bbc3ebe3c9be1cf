"""Report a bug: one sentence on stderr, the details in a file."""

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
from orchestra.domain.access_secrets import without_tokens
from orchestra.domain.errors import OrchestraError


def report(error: BaseException, arguments: list[str]) -> None:
    """Print that an unexpected error happened, and where its traceback is."""
    if os.environ.get("MAESTRO_DEBUG"):
        traceback.print_exception(error)
    what = without_tokens(" ".join(f"{type(error).__name__}: {error}".split()))
    try:
        hint = f"The details are in {_write(error, arguments)}. "
    except OSError:
        hint = "MAESTRO_DEBUG=1 shows the details. "
    print_error(
        OrchestraError(
            f"unexpected error ({what}); this is a bug in Orchestra.",
            hint=hint + "Running jobs are not affected.",
        )
    )


def _write(error: BaseException, arguments: list[str]) -> Path:
    """Write the traceback to a new file that only its owner can read."""
    # Values of options may be secret or long; the words of the command are neither.
    command = " ".join(word for word in arguments[:2] if not word.startswith("-"))
    handle, name = tempfile.mkstemp(
        prefix=time.strftime("maestro-bug-%Y%m%d-%H%M%S-"), suffix=".txt"
    )
    with os.fdopen(handle, "w", errors="backslashreplace") as file:
        file.write(f"maestro {__version__}, {sys.version.split()[0]}, {platform.platform()}\n")
        file.write(f"command: maestro {command} ...\n\n")
        file.write(without_tokens("".join(traceback.format_exception(error))))
    return Path(name)
