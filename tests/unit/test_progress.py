"""How far tasks are, and how a command shows it while it waits."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from orchestra.cli import progress_view, redraw
from orchestra.cli.table import width_of
from orchestra.cli.terminal import ESC
from orchestra.domain.models.tasks import Counts, Hold, Task
from orchestra.domain.progress import Pace, bar, ends
from orchestra.domain.states import TaskState
from orchestra.interface.task_reports import WhyTaskWaits
from support.tasks import NOW, a_task


def busy(done: int, jobs: int = 100, **changes: Any) -> Task:
    """A task of many jobs, two of which run."""
    counts = Counts(done=done, running=2, assigned=jobs - done - 2)
    return replace(a_task(), jobs=jobs, counts=counts, **changes)


# The rate


def test_a_rate_is_that_of_the_last_minute() -> None:
    pace = Pace()
    for second in range(600):
        pace.note(busy(second // 10, 1_000), second)
    assert pace.per_second(busy(59), 599) == pytest.approx(0.1, rel=0.1)
    for second in range(600, 700):
        pace.note(busy(60 + 2 * (second - 600), 1_000), second)
    assert pace.per_second(busy(258, 1_000), 699) == pytest.approx(2, rel=0.1)


def test_a_rate_of_slow_jobs_takes_longer_than_a_minute() -> None:
    pace = Pace()
    for hour in range(5):
        pace.note(busy(hour), hour * 3600)
    rate = pace.per_second(busy(4), 4 * 3600)
    assert rate == pytest.approx(1 / 3600)
    assert pace.per_second(busy(4), 8 * 3600) == pytest.approx(1 / 7200), "it falls while none ends"


def test_what_the_running_jobs_should_do_is_the_first_rate() -> None:
    pace = Pace()
    assert pace.per_second(busy(0), 0) is None
    assert pace.per_second(busy(0, typical_seconds=4.0), 0) == 0.5
    assert pace.per_second(a_task(typical_seconds=4.0), 0) is None, "nothing runs"


def test_a_retry_begins_anew() -> None:
    pace = Pace()
    for second in range(10):
        pace.note(busy(second), second)
    pace.note(busy(0, run=2), 10)
    assert pace.per_second(busy(0, run=2), 11) is None


def test_the_end_is_estimated_by_the_rate_if_nothing_better_is_known() -> None:
    assert ends(busy(40), NOW) == ""
    assert ends(busy(40), NOW, 0.5) == "ends in 2 min"
    assert ends(busy(40, typical_seconds=4.0), NOW, 100) == "ends in 2 min"
    assert ends(busy(4, state=TaskState.TESTING), NOW, 0.5) == "ends after the test"
    assert ends(busy(4, hold=Hold(NOW, "ana", "lunch")), NOW, 0.5) == ""


@pytest.mark.parametrize(
    ("numbers", "drawn"),
    [
        ((0, 8, 4), "...."),
        ((8, 8, 4), "####"),
        ((4, 8, 4, 2), "##x."),
        ((900, 1000, 4, 1), "###x"),
        ((999, 1000, 4, 1), "###x"),
        ((0, 0, 4), "...."),
    ],
)
def test_a_bar(numbers: tuple[int, ...], drawn: str) -> None:
    assert bar(*numbers) == drawn


# On a terminal


def test_one_task_takes_a_line_or_two() -> None:
    task = replace(busy(18, 36), counts=Counts(done=18, running=2, failed=1, assigned=15))
    (wide,) = progress_view.one_task(task, 0.2, NOW, 120)
    assert wide == (
        "[##########x.........]  50 %   18 of 36 jobs done, 2 running, 1 failed, 12 jobs/min, ends in 1 min"
    )
    first, second = progress_view.one_task(task, 0.2, NOW, 79)
    assert first.endswith("1 failed")
    assert second.split(", ") == ["         12 jobs/min", "ends in 1 min"]
    for width in range(1, 120):
        assert all(
            width_of(line) <= max(width, 3)
            for line in progress_view.one_task(task, 0.2, NOW, width)
        )


def test_several_tasks_are_a_table_of_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    tasks = [replace(a_task(), id=number, name=f"user.ana.größe{number}") for number in range(30)]
    tasks[20] = replace(busy(50, id=20))
    lines = list(progress_view.several_tasks(tasks, lambda _: 0.2, NOW, 99, 5))
    assert len(lines) == 7
    assert lines[1].split()[:2] == ["20", "user.ana.mlp"]
    assert lines[-1] == "and 25 more tasks"
    narrow = list(progress_view.several_tasks(tasks, lambda _: 0.2, NOW, 40, 5))
    assert max(map(width_of, narrow)) <= 40


def test_lines_are_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    stream = StringIO()
    block = redraw.Redrawn(stream)
    block.show(["one", "two"])
    block.show(["0123456789abc"])
    block.clear()
    assert stream.getvalue().replace(ESC, "^") == "^[Jone\ntwo\n^[2A^[J0123456789abc\n^[2A^[J"


@pytest.mark.parametrize(
    ("line", "rows"), [("", 1), ("0123456789", 1), ("0123456789a", 2), ("größe大大大大", 2)]
)
def test_a_terminal_folds_what_does_not_fit(line: str, rows: int) -> None:
    assert redraw.rows([line], 10) == rows
    assert redraw.rows([f"{ESC}[31m{line}{ESC}[0m"], 10) == rows


# Elsewhere


class Clock:
    """Time that passes as a test says."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress_view, "time", found)
    return found


def nobody(_: object) -> Any:
    raise AssertionError("nothing is to be asked")


def test_lines_are_bounded(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress_view.Lines()
    for clock.now in range(10_000):
        lines.look(nobody, [busy(min(98, int(clock.now) // 90), 100, typical_seconds=180.0)])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 9
    assert said[0] == "task 3 (user.ana.mlp): 10 of 100 jobs done, 2 running, ends in 2 h"


def test_short_tasks_have_no_lines_on_jobs(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = progress_view.Lines()
    for clock.now in range(29):
        lines.look(nobody, [busy(int(clock.now))])
    assert not capsys.readouterr().err


def test_it_says_once_why_nothing_runs(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[float] = []

    def ask(request: Any) -> Any:
        assert isinstance(request, WhyTaskWaits)
        asked.append(clock.now)
        return ("No node has an enabled GPU slot.",) if clock.now < 30 else ()

    lines = progress_view.Lines()
    for clock.now in range(60):
        lines.look(ask, [a_task()])
    said = capsys.readouterr().err.splitlines()
    assert said == ["  Nothing of task 3 runs. No node has an enabled GPU slot."]
    assert asked == list(range(10, 60, 5))


def test_a_hold_is_said_with_the_state_alone(clock: Clock) -> None:
    lines = progress_view.Lines()
    for clock.now in range(60):
        lines.look(nobody, [a_task(hold=Hold(NOW, "ana", "lunch"))])
