"""Runs an engine's command, with a limit that holds: nothing that the command leaves behind can keep it longer."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from orchestra.domain.human import one_line
from orchestra.pools.engines import PATIENCE, EngineSilent

_MOST = 64 * 1024 * 1024
"""Characters of output that are read: more is no answer."""
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    status: int
    output: str
    errors: str


def ask(
    command: Sequence[str], environ: Mapping[str, str], given: str = "", patience: float = PATIENCE
) -> Said:
    """Run a command and return what it said.

    Args:
        environ: its whole environment; the program is searched on its PATH.
        given: its standard input.
        patience: seconds after which it and its children are killed.

    Raises:
        EngineSilent: it took too long, or cannot be started.
    """
    # Files instead of pipes: a child that holds a pipe open would have to be waited for.
    with (
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        source.write(given.encode(errors="surrogateescape"))
        source.seek(0)
        try:
            process = subprocess.Popen(
                command,
                env=environ,
                stdin=source,
                stdout=output,
                stderr=errors,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise EngineSilent(f"{command[0]}: {error.strerror}") from error
        status = _wait(process, patience)
        said = [_text(file) for file in (output, errors)]
    if status is None:
        # sbatch tries again by itself for minutes, and says why.
        why = "".join(f": {one_line(line, _LONGEST)}" for line in said[1].splitlines()[-1:])
        raise EngineSilent(f"{command[0]} did not answer within {patience:g} s{why}")
    return Said(status, *said)


def _wait(process: subprocess.Popen[bytes], patience: float) -> int | None:
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            # One that hangs in a file system does not even end then.
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_MOST).decode(errors="replace")
