"""Results as CSV, JSON and Parquet, on stdout or in a file that is replaced atomically."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from orchestra.cli.output import finite, to_json
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.escaping import escaped
from orchestra.domain.flat_values import as_text
from orchestra.domain.sheets import Sheet
from orchestra.files.beside import write_beside

_INT64 = 2**63


def write(table: Sheet[Any], form: str, out: Path | None) -> None:
    """Write a table in a format to a file, or to stdout.

    Raises:
        BadInput: Parquet was asked for on a terminal.
        Refused: Parquet was asked for, and pyarrow is not installed.
        VolumeError: the file cannot be written.
    """
    writer = {"csv": _csv, "json": _json, "parquet": _parquet}[form]
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


def _csv(table: Sheet[Any], file: BinaryIO) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([_shown(column.name) for column in table.columns])
    for row in table.rows:
        lines.writerow([_shown(as_text(column.of(row))) for column in table.columns])
    text.detach()


def _shown(text: str) -> str:
    """Escape control characters, since a table may be shown on a terminal; keep newlines and tabs."""
    return escaped(text, keep="\n\t")


def _json(table: Sheet[Any], file: BinaryIO) -> None:
    records = [{name: finite(v) for name, v in record.items()} for record in table.records()]
    file.write(to_json(records).encode(errors="backslashreplace") + b"\n")


def _parquet(table: Sheet[Any], file: BinaryIO) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise Refused(
            "Parquet files are written by pyarrow, which is not installed.",
            hint="pip install 'orchestra-hpc[parquet]', or -o csv",
        ) from None
    columns = {}
    for column in table.columns:
        values = [column.of(row) for row in table.rows]
        columns[_utf8(column.name)] = pa.array(*_typed(pa, values, is_number=column.is_number))
    pq.write_table(pa.table(columns), file)


def _typed(pa: Any, values: Sequence[Any], *, is_number: bool) -> tuple[list[Any], Any]:
    """Return the values and one type for them: bool, int, float, or text."""
    kinds = {type(value) for value in values if value is not None}
    small = all(not isinstance(v, int) or -_INT64 <= v < _INT64 for v in values)
    if kinds == {bool}:
        return list(values), pa.bool_()
    if kinds == {int} and small:
        return list(values), pa.int64()
    if kinds and kinds <= {int, float} and small:
        return [None if v is None else float(v) for v in values], pa.float64()
    if not kinds and is_number:
        return list(values), pa.float64()
    return [None if v is None else _utf8(as_text(v)) for v in values], pa.string()


def _utf8(text: str) -> str:
    """Escape lone surrogates, which Parquet cannot store."""
    return text.encode(errors="backslashreplace").decode()
