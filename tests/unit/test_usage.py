"""What is measured of an attempt goes its way through one list."""

from __future__ import annotations

from dataclasses import asdict, fields

from orchestra.domain.results import RUN, Row
from orchestra.domain.usage import MEASURES, NOT_MEASURED, Usage
from orchestra.store.driver.sql import load, parse

TAKEN = Usage(cpu_seconds=90.0, max_rss_bytes=212_000_000)


def test_every_measure_is_in_the_list() -> None:
    assert [measure.name for measure in MEASURES] == [each.name for each in fields(Usage)]
    assert TAKEN.by_name() == asdict(TAKEN)


def test_it_is_read_from_messages_and_rows_of_whatever_version() -> None:
    row = {"node": "gauss", **asdict(TAKEN)}
    assert Usage.of(row) == TAKEN
    assert Usage.taken_from(row) == TAKEN
    assert row == {"node": "gauss"}
    assert Usage.of({"cpu_seconds": 1.5, "of_a_newer_keeper": 3}) == Usage(1.5)


def test_the_known_measures_are_shown() -> None:
    assert list(TAKEN.in_words()) == ["1 min 30 s of CPU time", "212 MB of memory at its peak"]
    assert list(NOT_MEASURED.in_words()) == []


def test_results_have_a_column_for_each() -> None:
    row = Row(0, "a.json", seconds=2.0, usage=TAKEN)
    found = {column.name: column.of(row) for column in RUN}
    assert found["run.cpu_seconds"] == 90.0
    assert found["run.memory_bytes"] == 212_000_000
    assert len(RUN) == 3 + len(MEASURES)


def test_statements_list_them() -> None:
    text = "-- name: a\nselect $usage{x.NAME}, $usage{%(NAME)s::TYPE[]}"
    assert parse(text, source="a.sql").a == (
        "select x.cpu_seconds, x.max_rss_bytes, x.gpu_seconds, "
        "%(cpu_seconds)s::float8[], %(max_rss_bytes)s::bigint[], %(gpu_seconds)s::float8[]"
    )
    assert "$usage" not in "".join(
        getattr(load("work/reports"), name) for name in load("work/reports")
    )
