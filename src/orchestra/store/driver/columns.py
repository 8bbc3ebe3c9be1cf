"""Columns of a batch as parameters: PostgreSQL arrays of one type each, sent in binary.

psycopg's own lists inspect every item to find its type, quote it as text, and give a column of small numbers another
type than one of large numbers, so that PostgreSQL plans a statement again. A batch of reports has 36 columns.

    conn.execute("... unnest(%(tasks)s, %(reasons)s)", {"tasks": Ints([1, 2]), "reasons": Texts(["no", None])})
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, ClassVar

from psycopg import DataError, adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format

_NULL = struct.pack("!i", -1)
_LENGTH = struct.Struct("!i").pack
_HEAD = struct.Struct("!iiIii").pack


class Column(list[Any]):
    """A column, in which None is null. `of` is the pg_type of its items, `array` that of the array."""

    of: ClassVar[int]
    array: ClassVar[int]

    def encoded(self) -> Iterable[bytes]:
        """Return each item after its length, as in the binary protocol."""
        raise NotImplementedError


class Ints(Column):
    of, array = 23, 1007
    _pack = struct.Struct("!ii").pack

    def encoded(self) -> Iterable[bytes]:
        pack = self._pack
        return [_NULL if item is None else pack(4, item) for item in self]


class BigInts(Column):
    of, array = 20, 1016
    _pack = struct.Struct("!iq").pack

    def encoded(self) -> Iterable[bytes]:
        pack = self._pack
        return [_NULL if item is None else pack(8, item) for item in self]


class Floats(Column):
    of, array = 701, 1022
    _pack = struct.Struct("!id").pack

    def encoded(self) -> Iterable[bytes]:
        pack = self._pack
        return [_NULL if item is None else pack(8, item) for item in self]


class Bools(Column):
    of, array = 16, 1000
    _items: ClassVar = {None: _NULL, False: _LENGTH(1) + b"\0", True: _LENGTH(1) + b"\1"}

    def encoded(self) -> Iterable[bytes]:
        items = self._items
        return [items[item] for item in self]


class Uuids(Column):
    of, array = 2950, 2951

    def encoded(self) -> Iterable[bytes]:
        length = _LENGTH(16)
        return [length + item.bytes for item in self]


class Blobs(Column):
    of, array = 17, 1001

    def encoded(self) -> Iterable[bytes]:
        return [_NULL if item is None else _LENGTH(len(item)) + item for item in self]


class Texts(Column):
    """Text without NUL, which PostgreSQL rejects together with the whole batch."""

    of, array = 25, 1009

    def encoded(self) -> Iterable[bytes]:
        return [
            _NULL if item is None else _LENGTH(len(text := item.encode())) + text for item in self
        ]


class _ColumnDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Column) -> bytes:
        try:
            items = b"".join(obj.encoded())
        except (struct.error, UnicodeEncodeError) as error:
            raise DataError(f"a column holds what PostgreSQL cannot: {error}") from error
        return _HEAD(1, 1, obj.of, len(obj), 1) + items


def _register(kind: type[Column]) -> None:
    class Of(_ColumnDumper):
        oid = kind.array

    adapters.register_dumper(kind, Of)


for _kind in (Ints, BigInts, Floats, Bools, Uuids, Blobs, Texts):
    _register(_kind)
