"""Tables of results as CSV, JSON and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from orchestra.domain.errors import Refused
from orchestra.domain.escaping import escaped
from orchestra.domain.flat_values import as_text
from orchestra.domain.plain_json import finite, to_json
from orchestra.domain.sheets import Sheet

_INT64 = 2**63


def csv_of(table: Sheet[Any], file: BinaryIO) -> None:
    """Write CSV in UTF-8, with control characters escaped."""
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([_shown(column.name) for column in table.columns])
    for row in table.rows:
        lines.writerow([_shown(as_text(column.of(row))) for column in table.columns])
    text.detach()


def _shown(text: str) -> str:
    """Escape control characters, since a table may be shown on a terminal; keep newlines and tabs."""
    return escaped(text, keep="\n\t")


def json_of(table: Sheet[Any], file: BinaryIO) -> None:
    """Write a JSON list of objects, with null for NaN and infinity."""
    records = [{name: finite(v) for name, v in record.items()} for record in table.records()]
    file.write(to_json(records).encode(errors="backslashreplace") + b"\n")


def parquet_of(table: Sheet[Any], file: BinaryIO) -> None:
    """Write Parquet.

    Raises:
        Refused: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise Refused(
            "Parquet files are written by pyarrow, which is not installed.",
            hint="pip install 'orchestra-hpc[parquet]', or choose CSV.",
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


WRITERS: dict[str, Callable[[Sheet[Any], BinaryIO], None]] = {
    "csv": csv_of,
    "json": json_of,
    "parquet": parquet_of,
}
"""By the word for a format, which is also the suffix of a file."""
