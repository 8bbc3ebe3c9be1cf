"""Named statements of .sql files."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.store.driver import sql

TEXT = """\
-- The statements of fruit.

-- name: ripe
-- Walks the index fruit_ripe, 100 % of it.
select name from fruit
    -- a comment in between
    where ripe;

-- name: pick
delete from fruit where name = %(name)s and note <> '-- name: no'
"""


def test_statements_are_attributes_without_their_comments() -> None:
    statements = sql.parse(TEXT, source="fruit.sql")
    assert statements.ripe == "select name from fruit\n    where ripe"
    assert statements.pick == "delete from fruit where name = %(name)s and note <> '-- name: no'"
    assert list(statements) == ["ripe", "pick"]


def test_an_unknown_name_says_where_it_was_looked_for() -> None:
    with pytest.raises(AttributeError, match=r"fruit\.sql has no statement called 'rot'"):
        _ = sql.parse(TEXT, source="fruit.sql").rot


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "-- name: a\nselect 1\n-- name: a\nselect 2",
            "line 3: 'a' is not a name or occurs twice",
        ),
        ("-- name: a b\nselect 1", "'a b' is not a name"),
        ("-- name:\nselect 1", "'' is not a name"),
        ("-- name: a\n-- name: b\nselect 1", "a is not a statement"),
        ("select 1\n-- name: a\nselect 1", "the text before the first name"),
    ],
)
def test_mistakes_in_a_file_are_found_when_it_is_read(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        sql.parse(text, source="fruit.sql")


STORE = Path(sql.__file__).parent.parent
FILES = sorted(
    str(path.relative_to(STORE).with_suffix(""))
    for path in STORE.rglob("*.sql")
    if path.parent.name != "migrations"
)


@pytest.mark.parametrize("file", FILES)
def test_every_file_of_the_program_can_be_read(file: str) -> None:
    assert list(sql.load(file))


@pytest.mark.parametrize("file", FILES)
def test_every_statement_of_the_program_is_used(file: str) -> None:
    source = "".join(path.read_text() for path in STORE.parent.rglob("*.py"))
    unused = [name for name in sql.load(file) if f".{name}" not in source]
    assert unused == []
