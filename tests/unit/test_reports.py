"""The written report on a task: well-formed, escaped, bounded, readable; and its charts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.domain.charts.build import Metric, heat_map, points
from orchestra.domain.charts.models import Chart
from orchestra.domain.errors import Refused, VolumeError
from orchestra.domain.escaping import escaped
from orchestra.domain.estimates import Estimate
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailedAttempt, FailureGroup
from orchestra.domain.models.results import Result, RunPlace, Sources
from orchestra.domain.models.sources import Source
from orchestra.domain.models.tasks import Counts, Hold, Origin, Policy, Resources, Task
from orchestra.domain.results import Row, Table, table_of
from orchestra.domain.states import Cause, Queue, TaskState
from orchestra.domain.stored_results import table as stored_table
from orchestra.domain.usage import Usage
from orchestra.files.beside import write_marked
from orchestra.interface.answers.task_reports import Report, TaskReport
from orchestra.reports import charts, page
from orchestra.reports.markup import Markup, element
from orchestra.reports.style import DARK, INKS, LIGHT, contrast, heat_colour, ink_on, luminance

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> \"'&\n\x1b[31m\u202e</pre></svg></title>"
VOID = {"meta", "br", "hr", "circle", "line", "path", "rect", "polyline"}


class Parsed(HTMLParser):
    """Checks that every element is closed, and collects them and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert tag not in VOID, f"{tag} is not closed"
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def task(**changes: Any) -> Task:
    values: dict[str, Any] = {
        "id": 3, "name": "user.ana.mlp", "owner": "ana", "account": "ana", "queue": Queue.CPU,
        "state": TaskState.FINALIZED, "command": "run -d %DATA -c %IN -o %OUT", "image": None, "volume": "/data",
        "folder": "/data/user.ana.mlp", "complete_file": None, "config_version_id": 1, "env": {}, "policy": Policy(),
        "resources": Resources(), "jobs": 12, "run": 1, "counts": Counts(done=9, failed=3),
        "created_at": NOW - timedelta(hours=2), "state_at": NOW, "work_started_at": NOW - timedelta(hours=1),
        "ended_at": NOW - timedelta(minutes=5),
    }  # fmt: skip
    return Task(**values | changes)


def report(of: Task, **changes: Any) -> Report:
    event = Event(1, NOW, "task", 3, None, None, None, "REGISTERED", "ana", "from gauss", None)
    attempt = FailedAttempt(
        7, "gauss", Cause.EXIT, 3, None, "a reason", b"one\ntwo: no such file\n"
    )
    values: dict[str, Any] = {
        "task": of, "now": NOW, "config": Source("user.ana.grid", 2, "/data/grid", True, 12),
        "inputs": (Source("user.ana.digits", 1, "/data/digits.npz", False, 1, "DATA"),), "events": (event,),
        "failures": (FailureGroup(3, attempt, "h16.json"),), "waiting": (), "ends": Estimate(), "cpu_seconds": 90.0,
        "cpu_is_exact": True,
    }  # fmt: skip
    sources = Sources(of, "/data/grid", True, ())
    return Report(
        TaskReport(**values | changes), sources, (RunPlace("gauss", "0.1.9", None, 12),), "0.2.0"
    )


def results(jobs: int = 9, name: str = "lr", word: str = "adam") -> Table:
    rows = [
        Row(
            *(number, f"c{number}.json"),
            node="gauss",
            seconds=1.0 + number,
            usage=Usage(1.0, 10**8),
            values={name: 10.0 ** -(number % 3), "opt": (word, "sgd")[number % 2], "seed": number},
            metrics={"accuracy": number / jobs},
        )
        for number in range(jobs)
    ]
    return table_of(rows)


def html(of: Task | None = None, table: Table | None = None, **changes: Any) -> str:
    return page.html(report(of or task(), **changes), results() if table is None else table)


def test_it_says_what_was_run_what_happened_and_what_came_of_it() -> None:
    origin = Origin(
        "/home/ana/train.py", "ab" * 32, "/venv/bin/python", "1a2b3c4d5e6f77", dirty=True
    )
    of = task(origin=origin, goal="min:accuracy", env={"KEY": "hush-hush"})
    found = Parsed(html(of, results(11)))
    for words in (
        "user.ana.mlp", "Task 3 is FINALIZED: 9 done, 3 failed.", "2026-11-26 06:00:00 UTC", "55 min",
        "the lowest accuracy", "The jobs with the lowest accuracy", "3 jobs: exit status 3",
        "job 3/7, node gauss, config h16.json", "two: no such file", "registered by ana from gauss",
        "run -d %DATA -c %IN -o %OUT", "user.ana.grid", "/data/digits.npz", "/venv/bin/python",
        "1a2b3c4d5e6f, with changes that are not committed", "KEY (their values are not shown)", "12 attempts", "0.1.9",
        "11 jobs, best accuracy first", "Written by Orchestra 0.2.0", "maestro task report 3",
    ):  # fmt: skip
        assert words in found.text, words
    assert "hush-hush" not in found.text
    assert "3/0" in found.text


def test_it_is_well_formed_and_accessible_and_needs_nothing_else() -> None:
    found = Parsed(html())
    assert found.named("html") == [{"lang": "en"}]
    assert [tag for tag, _ in found.elements if tag in ("h1", "h2")] == ["h1"] + ["h2"] * 7
    assert found.named("svg")
    assert all(each.get("role") == "img" for each in found.named("svg"))
    assert len(found.named("title")) > len(found.named("svg"))
    assert all(each.get("scope") == "col" for each in found.named("th"))
    assert len(found.named("caption")) == len(found.named("table"))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in found.elements}
    for _, attributes in found.elements:
        assert not {"src", "href", "onclick", "onload"} & attributes.keys()
    assert "url(" not in html()
    assert "@import" not in html()


def test_nothing_that_is_data_becomes_markup() -> None:
    hold = Hold(NOW, HOSTILE, HOSTILE)
    of = task(
        command=HOSTILE, image=HOSTILE, folder=HOSTILE, env={HOSTILE: "x"}, binds=(HOSTILE,), name=HOSTILE,
        owner=HOSTILE, hold=hold, state=TaskState.RUNNING, ended_at=None,
        origin=Origin(HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    )  # fmt: skip
    attempt = FailedAttempt(7, HOSTILE, Cause.EXIT, 3, None, HOSTILE, HOSTILE.encode())
    event = Event(1, NOW, "task", 3, None, None, "RUNNING", "KILL", HOSTILE, HOSTILE, None)
    source = Source(HOSTILE, 2, HOSTILE, True, 12, HOSTILE)
    written = html(
        of,
        results(name=HOSTILE, word=HOSTILE),
        failures=(FailureGroup(3, attempt, HOSTILE),),
        events=(event,),
        config=source,
        inputs=(source,),
        waiting=(HOSTILE,),
    )
    found = Parsed(written)
    assert "script" not in {tag for tag, _ in found.elements}
    assert "<script>alert(1)</script>" in found.text
    assert "\x1b" not in written
    assert "\u202e" not in written
    assert "\\x1b[31m" in found.text


@settings(deadline=None, max_examples=40)
@given(st.text(), st.text())
def test_text_and_attributes_come_back_as_they_were(content: str, value: str) -> None:
    found = Parsed(element("p", content, class_=value))
    assert found.elements == [("p", {"class": escaped(value, keep="\n\t")})]
    assert found.text == escaped(content, keep="\n\t")


def test_only_markup_is_left_as_it_is() -> None:
    assert element("p", Markup("<b>x</b>"), "<b>", None) == "<p><b>x</b>&lt;b&gt;</p>"
    assert element("line", x1=1.23456, y1=100.0, text_anchor=None) == '<line x1="1.23" y1="100"/>'


def test_a_task_that_lives_says_so() -> None:
    of = task(state=TaskState.RUNNING, ended_at=None, counts=Counts(done=2, running=1, assigned=9))
    found = Parsed(html(of, waiting=("no node is online.",)))
    assert "It has not ended yet: this is how it stood at 2026-11-26 08:00:00 UTC." in found.text
    assert "no node is online." in found.text
    assert "It has not ended yet" not in html()


def test_rows_that_are_shown_as_the_best_are_not_repeated_and_revisions_are_named() -> None:
    jobs = tuple(_result(n, revision=1 + n // 6) for n in range(9))
    made = replace(report(task()), results=Sources(task(), "/data", True, jobs))
    found = Parsed(page.html(made, results()))
    assert found.text.count("3/8") == 1
    assert "They are of several revisions of the task: 1 (6 jobs) and 2 (3 jobs)." in found.text


def test_nothing_is_done_yet() -> None:
    found = Parsed(html(table=table_of([])))
    assert "No job is done yet, so there are no results." in found.text
    assert "Plots" not in found.text


def test_the_size_is_bounded() -> None:
    jobs = 10_000
    many = table_of(
        [
            Row(n, f"{n}.json", values={f"v{i}": n * i for i in range(40)} | {"t": "x" * 500}, metrics={"loss": n})
            for n in range(1_000)
        ]
    )  # fmt: skip
    of = task(jobs=jobs, counts=Counts(done=jobs))
    attempt = FailedAttempt(7, "gauss", Cause.EXIT, 3, None, "r" * 500, b"log " * 20_000)
    events = tuple(
        Event(n, NOW, "hold", 3, None, None, None, "held", "ana", "why " * 100 + str(n), None)
        for n in range(20)
    )
    failures = tuple(FailureGroup(1, replace(attempt, index=n), "c" * 200) for n in range(100))
    sources = Sources(of, "/data", True, tuple(_result(n) for n in range(1_000)))
    made = replace(report(of, failures=failures, events=events), results=sources)
    written = page.html(made, many)
    assert len(written) < 2_000_000
    found = Parsed(written)
    assert "200 jobs, best loss first; 800 more rows left out" in found.text
    assert "Plots and tables are of 1,000 of 10,000 results" in found.text
    assert "80 further kinds of failures are left out." in found.text


def _result(index: int, **changes: Any) -> Result:
    values: dict[str, Any] = {
        "index": index, "attempt": 1, "folder_number": 1, "node": "gauss", "seconds": 1.0, "usage": Usage(),
        "path": f"{index}.json", "sha256": bytes(32), "metrics": '{"loss": 0.5}', "config": '{"lr": 1}',
    }  # fmt: skip
    return Result(**values | changes)


def test_what_the_database_has_of_results() -> None:
    jobs = (
        _result(0),
        _result(1, metrics=None, config=None),
        _result(2, metrics="{", config="{"),
        _result(3, path=None, config=None),
        _result(4, sha256=None, path="out/1", config='{"a": 2}', config_name="metrics.json"),
    )
    rows = stored_table(Sources(task(), "/data", True, jobs)).rows
    assert [(dict(row.values), dict(row.metrics)) for row in rows] == [
        ({"lr": 1}, {"loss": 0.5}),
        ({}, {}),
        ({}, {}),
        ({}, {"loss": 0.5}),
        ({"a": 2}, {"loss": 0.5}),
    ]
    assert rows[0].note is None
    assert rows[1].note == "metrics.json is not in the database; the config is not in the database"
    assert "the config is not valid JSON" in (rows[2].note or "")


# Looks


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_contrasts(colours: dict[str, str]) -> None:
    assert DARK.keys() == LIGHT.keys()
    for ink in ("ink", "soft", "good", "bad"):
        for paper in ("paper", "shade"):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    assert contrast(colours["ink"], colours["note"]) >= 4.5
    for mark in ("s1", "s2", "s3", "s4", "s5", "s6"):
        assert contrast(colours[mark], colours["paper"]) >= 3, mark


def test_the_heat_map_gets_lighter_and_its_numbers_are_readable() -> None:
    colours = [heat_colour(place / 50) for place in range(51)]
    assert [luminance(each) for each in colours] == sorted(map(luminance, colours))
    assert all(contrast(INKS[ink_on(each)], each) >= 4.5 for each in colours)


values = st.one_of(
    st.floats(-1e150, 1e150), st.integers(-(10**6), 10**6), st.sampled_from(["a", "b"])
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(values, values, st.floats(-1e150, 1e150)), min_size=1, max_size=12))
def test_charts_stay_within_their_frame(drawn: list[tuple[Any, Any, float]]) -> None:
    table = table_of(
        [Row(n, "", values={"a": a, "b": b}, metrics={"m": m}) for n, (a, b, m) in enumerate(drawn)]
    )
    metric = Metric(table.find("m"), highest=True)
    found: list[Chart | None] = [
        points(table.rows, table.find("a"), metric),
        heat_map(table.rows, table.find("a"), table.find("b"), metric),
    ]
    for chart in [each for each in found if each]:
        for tag, attributes in Parsed(charts.figure(chart)).elements:
            for name, value in attributes.items():
                if (
                    name in ("x", "y", "x1", "y1", "cx", "cy", "width", "height")
                    and value
                    and tag != "svg"
                ):
                    assert math.isfinite(float(value))
                    assert -1 <= float(value) <= 420, (tag, name, value)


# The file


def test_an_older_report_is_replaced_and_another_file_is_not(tmp_path: Path) -> None:
    mark, file = page.GENERATOR.encode(), tmp_path / "r.html"
    for content in (html(), html(task(name="user.ana.other"))):
        write_marked(file, content.encode(), mark)
        assert file.read_text() == content
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]
    file.write_text("my own page")
    with pytest.raises(Refused, match="exists and is not a report"):
        write_marked(file, html().encode(), mark)
    assert file.read_text() == "my own page"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(Refused):
        write_marked(tmp_path / "link", b"", mark)
    with pytest.raises(VolumeError, match="is a folder"):
        write_marked(tmp_path, b"", mark)
    with pytest.raises(VolumeError, match="cannot be written: No such file"):
        write_marked(tmp_path / "a/b.html", b"", mark)
