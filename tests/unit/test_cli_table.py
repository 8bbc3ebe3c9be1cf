"""Tables on terminals of any width: text is shortened, folded or left out, and numbers never are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from orchestra.cli import job_list
from orchestra.cli.table import Column, Fit, align, cut, cut_start, fold, lines, width_of
from orchestra.cli.task_list import layouts
from orchestra.domain import job_text
from orchestra.domain.estimates import Estimate
from orchestra.domain.models.tasks import Counts
from orchestra.domain.states import JobState, JobStatus, Queue, TaskState
from orchestra.interface.answers.tasks import TaskLine


def table(
    titles: Sequence[Column[Any]], *rows: Sequence[object], width: int | None = None
) -> list[str]:
    """The lines of a table whose columns take the values of a row in order."""
    return list(lines(rows, (titles,), width))


def column(title: str, at: int, **how: Any) -> Column[Sequence[object]]:
    return Column(title, lambda row: row[at], **how)


ID, TASK = column("ID", 0, right=True), column("TASK", 1)


def test_columns_are_aligned_and_numbers_to_the_right() -> None:
    assert table((ID, TASK), (1, "user.ana.x"), (10, "y")) == [
        "ID  TASK",
        " 1  user.ana.x",
        "10  y",
    ]


def test_the_widest_text_is_cut_on_a_narrow_terminal_and_numbers_never() -> None:
    columns = (column("N", 0, right=True), column("NAME", 1), column("NOTE", 2))
    row = (123456789012, "short", "n" * 60)
    _, line = table(columns, row, width=50)
    assert len(line) == 50
    assert line.startswith("123456789012  short  nnn")
    assert line.endswith("...")
    assert table(columns, row, width=5)[1] == "123456789012  short  nnnnn..."


def test_a_name_keeps_its_end_and_is_cut_last() -> None:
    columns = (column("NAME", 0, fit=Fit.START), column("NOTE", 1))
    row = ("user.ana.digits_v2", "some words")
    assert table(columns, row, width=29)[1] == "user.ana.digits_v2  some w..."
    assert table(columns, row, width=20)[1] == "...gits_v2  some ..."


def test_a_sentence_continues_in_the_next_line() -> None:
    columns = (ID, column("NOTE", 1, fit=Fit.FOLD))
    assert table(columns, (1, "12,345 jobs failed at 99 % of the memory"), width=28) == [
        "ID  NOTE",
        " 1  12,345 jobs failed at",
        "    99 % of the memory",
    ]


def test_a_narrow_terminal_leaves_out_spare_columns_of_zeros_and_cuts_no_state() -> None:
    columns = (
        column("TASK", 0),
        column("KILL", 1, right=True, spare="0"),
        column("KILLED", 2, right=True, spare="0"),
        column("STATE", 3, state=True),
    )
    row = ("user.ana.area", 0, 0, "FINALIZED")
    for width, titles in (
        (80, "TASK KILL KILLED STATE"),
        (32, "TASK KILL STATE"),  # the last spare one first
        (24, "TASK STATE"),
    ):
        assert " ".join(table(columns, row, width=width)[0].split()) == titles
    killed = table(columns, ("user.ana.area", 0, 1, "KILLED"), width=20)
    assert killed[0].split() == ["TASK", "KILLED", "STATE"]
    assert table(columns, row, width=19)[1] == "user....  FINALIZED"


@pytest.mark.parametrize(
    ("width", "shown"), [(75, "12 running, 1\n" + " " * 62 + "done"), (80, "12 running, 1 done")]
)
def test_a_narrow_terminal_gets_the_narrow_layout_and_whole_columns_are_not_cut(
    width: int, shown: str
) -> None:
    name = f"user.ana.{'n' * 51}"
    wide = [Column[int]("TASK", lambda _: name), Column[int]("COUNTS", lambda _: "c" * 40)]
    narrow = [
        Column[int]("TASK", lambda _: name, fit=Fit.WHOLE),
        Column[int]("JOBS", lambda _: "12 running, 1 done", fit=Fit.FOLD),
        Column[int]("LEFT OUT", lambda _: "-", spare="-"),
    ]
    assert "\n".join(list(lines([1], (wide, narrow), width))[1:]) == f"{name}  {shown}"
    assert "c" * 40 in list(lines([1], (wide, narrow), 120))[1]


def test_wide_and_combining_letters_count_as_displayed() -> None:
    rows = [["A", "B"], ["日本", "x"], ["e\u0301", "y"], ["abcd", "z"]]
    assert ["".join(line) for line in align(rows)] == ["A   B", "日本x", "e\u0301   y", "abcdz"]
    assert list(fold("日本語 日本語", 4)) == ["日本", "語", "日本", "語"]


@pytest.mark.parametrize(
    ("text", "width", "end", "start"),
    [
        ("abcdef", 6, "abcdef", "abcdef"),
        ("abcdef", 5, "ab...", "...ef"),
        ("abcdef", 2, "...", "..."),
    ],
)
def test_cut(text: str, width: int, end: str, start: str) -> None:
    assert (cut(text, width), cut_start(text, width)) == (end, start)


def task(name: str, ends: Estimate, queue: Queue = Queue.CPU, **counts: int) -> TaskLine:
    found = Counts(**counts)
    state = TaskState.BROKEN if found.broken else TaskState.RUNNING
    return TaskLine(
        SimpleNamespace(  # type: ignore[arg-type]  # as much of a task as the overview shows
            id=7,
            name=name,
            queue=queue,
            state=state,
            counts=found,
            jobs=found.total,
            active_jobs=found.total,
        ),
        ends,
    )


SMALL = task("user.ana.mlp", Estimate(240), assigned=12, running=2, done=22)
LONG = task(
    f"user.ana.{'n' * 48}_v2",
    Estimate(18000),
    Queue.GPU,
    registered=1000000,
    assigned=1234567,
    running=1212121,
    failed=2345678,
    done=3456789,
)
FOREIGN = task(f"user.ana.日本語{'é' * 30}_v3", Estimate(), broken=1234567, failed=1)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("tasks", [[SMALL], [LONG], [SMALL, LONG, FOREIGN]])
def test_the_overview_of_tasks_loses_no_number(tasks: list[TaskLine], width: int) -> None:
    shown = list(lines(tasks, layouts(tasks), width))
    assert max(map(width_of, shown)) <= width
    text = re.sub(r"\s+", " ", " ".join(shown)).replace(",", "")
    for line in tasks:
        counts = line.task.counts
        waiting, running = counts.registered + counts.assigned, counts.living
        for number in (
            7,
            waiting,
            running,
            counts.failed,
            counts.broken,
            counts.done,
            line.task.jobs,
        ):
            assert not number or re.search(rf"\b{number}\b", text)
        assert line.task.name[-4:] in text
        assert (
            line.ends.seconds is None
            or {240.0: "in 4 min", 18000.0: "in 5 h"}[line.ends.seconds] in text
        )


def test_the_overview_without_a_terminal_and_on_80_columns() -> None:
    assert list(lines([SMALL], layouts([SMALL]))) == [
        "ID  TASK          QUEUE  STATE    WAITING  RUNNING  FAILED  DONE  TOTAL  PROGRESS          ENDS",
        " 7  user.ana.mlp  cpu    RUNNING       12        2       0    22     36  ######....  61 %  in 4 min",
    ]
    assert list(lines([SMALL], layouts([SMALL]), 80)) == [
        "ID  TASK          QUEUE  STATE    WAIT  RUN  FAIL  DONE  TOTAL     %  ENDS",
        " 7  user.ana.mlp  cpu    RUNNING    12    2     0    22     36  61 %  in 4 min",
    ]


def test_people_read_waiting_for_assigned_and_can_ask_for_it() -> None:
    job = SimpleNamespace(
        state=JobState.ASSIGNED, is_test=False, kill_requested=False, claimed=False, removed=False
    )
    assert job_text.state_word(job) == "waiting"  # type: ignore[arg-type]
    assert job_text.status_of(job).value == "assigned"  # type: ignore[arg-type]
    assert job_list._status("waiting") is job_list._status("assigned") is JobStatus.ASSIGNED
    assert job_list._status("done") is JobStatus.DONE
