"""Results in a format for programs: on stdout, or in a file that is replaced atomically."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.sheets import Sheet
from orchestra.files.beside import write_beside
from orchestra.reports.sheet_files import WRITERS


def write(table: Sheet[Any], form: str, out: Path | None) -> None:
    """Write a table in a format to a file, or to stdout.

    Raises:
        BadInput: Parquet was asked for on a terminal.
        Refused: Parquet was asked for, and pyarrow is not installed.
        VolumeError: the file cannot be written.
    """
    writer = WRITERS[form]
    if out is not None:
        write_beside(out, lambda file: writer(table, file))
        return
    if form == "parquet" and sys.stdout.isatty():
        raise BadInput(
            "Parquet is a binary format and cannot be shown on a terminal.",
            hint="--out results.parquet",
        )
    sys.stdout.flush()
    writer(table, sys.stdout.buffer)
    sys.stdout.buffer.flush()
