"""Named SQL statements, read from the .sql files of `store/`.

A file looks like this, and `load("work/claims").claim_jobs` is the text of its statement called claim_jobs:

    -- name: claim_jobs
    -- Why it is shaped so, and which index it walks.
    select ...

`$usage{a.NAME}` stands for the measures of an attempt (`domain/usage.py`): the text in braces once for each measure,
with its name and the TYPE of its column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import LiteralString

_STORE = Path(__file__).parent.parent
_COLUMN_TYPES = {float: "float8", int: "bigint"}
_USAGE = re.compile(r"\$usage\{(.*?)\}")
_NAME = re.compile(r"^--\s*name:\s*(.*?)\s*$")


class Statements:
    """The statements of one file, as attributes."""

    def __init__(self, source: str, statements: dict[str, LiteralString]) -> None:
        self._source = source
        self._statements = statements

    # LiteralString, because the text comes only from files of this package, never from a user.
    def __getattr__(self, name: str) -> LiteralString:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._source} has no statement called {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._statements)


@cache
def load(name: str) -> Statements:
    """Return the statements of store/<name>.sql; each file is read once per process."""
    path = _STORE / f"{name}.sql"
    return parse(path.read_text(encoding="utf-8"), source=path.name)


def parse(text: str, *, source: str) -> Statements:
    """Split the text of a .sql file at its `-- name:` lines.

    Comment lines are removed: a percent sign in one would be parsed as a placeholder.

    Raises:
        ValueError: a name occurs twice or is not an identifier, or a statement is empty or has no name.
    """
    statements: dict[str, LiteralString] = {}
    name = None
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), "-- name: end_of_file"], start=1):
        if match := _NAME.match(line):
            _keep(statements, name, lines, source)
            name, lines = match[1], []
            if not name.isidentifier() or name in statements:
                raise ValueError(f"{source}, line {number}: {name!r} is not a name or occurs twice")
        elif not line.lstrip().startswith("--"):
            lines.append(line)
    return Statements(source, statements)


def _keep(
    statements: dict[str, LiteralString], name: str | None, lines: list[str], source: str
) -> None:
    statement = _USAGE.sub(_each_measure, "\n".join(lines).strip().removesuffix(";"))
    if name is None and not statement:
        return
    if name is None or not statement:
        raise ValueError(f"{source}: {name or 'the text before the first name'} is not a statement")
    statements[name] = statement


def _each_measure(match: re.Match[str]) -> str:
    from orchestra.domain.usage import MEASURES  # few commands read attempts

    return ", ".join(
        match[1].replace("NAME", measure.name).replace("TYPE", _COLUMN_TYPES[measure.kind])
        for measure in MEASURES
    )
