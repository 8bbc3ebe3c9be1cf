"""Prepare the process: streams that may be closed, the locale, a current folder that may be gone."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO, cast

from orchestra.cli.terminal import guard
from orchestra.domain.errors import BadInput


def prepare() -> None:
    """Make commands work with closed streams, a full disk for stderr and any locale."""
    _use_utf8()
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - closed by the shell: >&-
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = guard(sys.stdout), guard(cast(TextIO, _Lenient(sys.stderr)))


def _use_utf8() -> None:
    """Restart in Python's UTF-8 mode if the locale has another encoding, which would misread file names."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.orig_argv:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


class _Lenient:
    """A stream for hints and progress that drops what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def current_folder() -> Path | None:
    """Return the current folder; None if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def folder_is_gone(error: Exception) -> BadInput | None:
    """Return the error to print if the cause is that the current folder was removed."""
    if not isinstance(error, FileNotFoundError) or current_folder() is not None:
        return None
    return BadInput(
        "the current folder no longer exists.",
        hint="Change to another folder, or use absolute paths.",
    )
