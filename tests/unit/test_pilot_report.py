"""Reasons of outcomes, and reports that PostgreSQL does not accept."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from orchestra.domain.errors import DatabaseBusy, DatabaseUnavailable, PoisonousRequest
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.resources import Request
from orchestra.domain.states import Cause, Queue
from orchestra.domain.troubles import Trouble, reports_wait
from orchestra.domain.usage import Usage
from orchestra.pilot import report
from orchestra.pilot.delivery import Delivery, Pending, deliver, set_aside
from orchestra.pilot.keeper_link import NOTE_BYTES
from orchestra.pilot.keeper_messages import Ended, Refused
from orchestra.pilot.outcomes import (
    CLOSED,
    STOPPED,
    outcome_of,
    outcome_of_refusal,
    plain_text,
    reason_of,
)
from orchestra.pilot.state import LONG_NOTE, LocalAttempt, Note, Phase, PilotState
from orchestra.services.jobs.outcomes import Recorded

NOTE = Note(Queue.CPU, Request(cpus=1), "/v/t", 1, None, None, 600.0, 30.0)


def ended(cause: Cause, status: int | None = None, number: int | None = None) -> Ended:
    key = AttemptKey(3, 17, 1, uuid4())
    return Ended(
        key, 5, cause, None, status, number, 1.0, Usage(0.5, 1 << 20), 10.0, NOTE.to_json()
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (ended(Cause.EXIT, 0), None),
        (ended(Cause.EXIT, 3), "exit status 3"),
        (ended(Cause.EXIT, 127), "exit status 127 (command not found)"),
        (ended(Cause.SIGNAL, None, 9), "killed by signal 9 (SIGKILL), not by Orchestra"),
        (ended(Cause.SIGNAL, None, 34), "killed by signal 34"),
        (ended(Cause.TIMEOUT, None, 15), "ran longer than its time limit of 10 min"),
        (ended(Cause.ENDED, None, 15), "ended on request"),
        (
            ended(Cause.OUT_OF_MEMORY, None, 9),
            "killed by the kernel because the machine ran out of memory; it used 1 MB",
        ),
    ],
)
def test_reasons_are_worded(given: Ended, words: str | None) -> None:
    found = reason_of(given, NOTE)
    assert found == words or (words and found and found.startswith(words))


def test_the_requested_end_is_part_of_the_reason() -> None:
    assert (
        reason_of(ended(Cause.ENDED), NOTE, "its task was killed")
        == "ended because its task was killed"
    )


def test_a_job_that_is_ended_because_its_pilot_stops_has_not_failed() -> None:
    given = ended(Cause.ENDED, None, 15)
    attempt = LocalAttempt(given.key, UUID(int=1), NOTE, Phase.RUNNING)
    assert outcome_of(replace(given, reason=STOPPED), attempt).cause is Cause.LEASE
    assert outcome_of(given, attempt).cause is Cause.ENDED
    closed = outcome_of(replace(given, reason=f"{CLOSED} at 07:00"), attempt)
    assert closed.cause is Cause.CLOSED
    assert closed.reason == "ended because the node closed at 07:00"


@pytest.mark.parametrize(
    ("reason", "number", "cause"),
    [
        ("spawn", errno.ENOENT, Cause.NO_START),
        ("spawn", errno.E2BIG, Cause.NO_START),
        ("invalid", None, Cause.NO_START),
        ("spawn", errno.EAGAIN, Cause.RETURNED),
        ("spool", errno.ENOSPC, Cause.RETURNED),
        ("lease", None, Cause.RETURNED),
        ("stopping", None, Cause.RETURNED),
    ],
)
def test_an_error_of_the_node_is_not_a_failure_of_the_job(
    reason: str, number: int | None, cause: Cause
) -> None:
    refused = Refused(AttemptKey(0, 0, 1, uuid4()), reason, number, "why\0")
    outcome = outcome_of_refusal(refused)
    assert outcome.cause is cause
    assert outcome.reason == "not started: why\\0"


def batch(*reasons: str) -> list[Pending]:
    keys = (AttemptKey(0, index, 1, uuid4()) for index in range(len(reasons)))
    return [
        Pending(Outcome(key, Cause.EXIT, exit_status=0, reason=reason), 0.0)
        for key, reason in zip(keys, reasons, strict=True)
    ]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The reasons of outcomes that were reported; a batch with "bad" in it is refused as a whole."""
    found: list[str | None] = []

    def take(_conn: object, _keeper: UUID, outcomes: Sequence[Outcome]) -> Recorded:
        reasons = [outcome.reason for outcome in outcomes]
        if "bad" in reasons:
            raise psycopg.errors.CheckViolation("check")
        if "away" in reasons:
            raise DatabaseUnavailable
        found.extend(reasons)
        return Recorded()

    monkeypatch.setattr("orchestra.services.work.report", take)
    return found


NO_CONNECTION: psycopg.Connection = None  # type: ignore[assignment]


def test_only_the_bad_outcomes_of_a_batch_are_refused(taken: list[str | None]) -> None:
    given = batch("a", "b", "bad", "c", "bad", "d", "e")
    delivery = deliver(UUID(int=1), given, NO_CONNECTION)
    assert taken == ["a", "b", "c", "d", "e"]
    assert [outcome.key.index for outcome, _ in delivery.refused] == [2, 4]


def test_a_good_batch_is_one_report(taken: list[str | None]) -> None:
    assert deliver(UUID(int=1), batch("a", "b"), NO_CONNECTION) == Delivery()


def test_an_unavailable_database_refuses_nothing(taken: list[str | None]) -> None:
    with pytest.raises(DatabaseUnavailable):
        deliver(UUID(int=1), batch("a", "away"), NO_CONNECTION)


def test_a_refused_outcome_is_written_with_everything_known(tmp_path: Path) -> None:
    outcome = Outcome(AttemptKey(3, 17, 1, uuid4()), Cause.EXIT, reason="x", log_tail=b"\xff\0")
    path = set_aside(tmp_path / "aside", outcome, "no")
    record = json.loads(path.read_text())
    assert record["error"] == "no"
    assert record["outcome"]["log_tail"] == repr(b"\xff\0")
    assert str(outcome.key.token) in json.dumps(record)


def test_the_newest_outcomes_set_aside_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestra.pilot.delivery.MAX_SET_ASIDE", 3)
    for number in range(1, 8):
        key = AttemptKey(0, 1, number, UUID(int=number))
        path = set_aside(tmp_path, Outcome(key, Cause.LOST), "no")
        os.utime(path, (number, number))
    assert {path.name.split("-")[2] for path in tmp_path.iterdir()} == {"5", "6", "7"}


def test_text_that_postgresql_refuses_is_escaped() -> None:
    assert plain_text("a\0b\udcff") == "a\\0b\\udcff"


class Context:
    """The part of a context that a reporter needs. One outcome ends each connection."""

    def __init__(self, folder: Path, poison: int) -> None:
        self.folder, self.poison = folder, poison
        self.state, self.keepers = PilotState(), SimpleNamespace(handles={})
        self.database_memory = SimpleNamespace(note_report=lambda *_: None)
        self.claim_policy = SimpleNamespace(reset=lambda: None)
        self.troubles: dict[str, Trouble] = {}
        self.database = self
        self.lent = None

    def reconnect(self) -> None:
        """Do nothing: there is no connection."""

    def submit(self, call: Any, then: Any, otherwise: Any, **_: Any) -> None:
        batch = call.args[1]
        if any(pending.outcome.key.index == self.poison for pending in batch):
            otherwise(PoisonousRequest())
        else:
            then(Delivery())


def test_an_outcome_that_ends_each_connection_is_found_and_set_aside(tmp_path: Path) -> None:
    context = Context(tmp_path, poison=37)
    reporter = report.Reporter(context, lambda *_: None)  # type: ignore[arg-type]
    for pending in batch(*["a"] * 50):
        key = pending.outcome.key
        attempt = LocalAttempt(key, UUID(int=1), NOTE, Phase.RUNNING)
        context.state.add(attempt)
        reporter.add(attempt, pending.outcome)
    for _ in range(60):
        reporter.tick(float("inf"))
    assert context.state.attempts == {}
    [kept] = (tmp_path / "set-aside").iterdir()
    assert kept.name.startswith("0-37-1-")
    assert str(kept) == context.troubles["set aside"].path


def test_an_outcome_is_acknowledged_only_when_the_database_has_committed_it(tmp_path: Path) -> None:
    context, asked, forgotten = Context(tmp_path, poison=-1), list[Any](), list[int]()
    context.submit = lambda *request, **_: asked.append(request)  # type: ignore[method-assign]
    keeper, link = UUID(int=1), SimpleNamespace(send_ack=forgotten.extend)
    context.keepers.handles[keeper] = SimpleNamespace(link=link, registered=True, reconciled=True)
    remembered = list[tuple[UUID, int]]()
    context.database_memory = SimpleNamespace(note_report=lambda *report: remembered.append(report))
    reporter = report.Reporter(context, lambda *_: None)  # type: ignore[arg-type]
    [pending] = batch("a")
    attempt = LocalAttempt(pending.outcome.key, keeper, NOTE, Phase.RUNNING)
    context.state.add(attempt)
    reporter.add(attempt, replace(pending.outcome, sequence=5))
    reporter.tick(float("inf"))
    [(_, then, otherwise)] = asked
    assert forgotten == []
    otherwise(DatabaseUnavailable())
    assert forgotten == []
    assert remembered == []
    assert context.state.attempts
    reporter.tick(float("inf"))
    assert len(asked) == 2, "it is reported again"
    then(Delivery())
    assert forgotten == [5]
    assert remembered == [(keeper, 5)], "to recognize a database that lacks it"
    assert not context.state.attempts


class Waiting:
    """A reporter with outcomes of some tasks, whose requests the test answers."""

    def __init__(self, folder: Path, tasks: Sequence[int]) -> None:
        self.context = Context(folder, poison=-1)
        self.asked: list[tuple[list[int], Any, Any]] = []
        self.context.submit = self._ask  # type: ignore[method-assign]
        self.reporter = report.Reporter(self.context, lambda *_: None)  # type: ignore[arg-type]
        for index, task in enumerate(tasks):
            key = AttemptKey(task, index, 1, uuid4())
            attempt = LocalAttempt(key, UUID(int=1), NOTE, Phase.RUNNING)
            self.context.state.add(attempt)
            self.reporter.add(attempt, Outcome(key, Cause.EXIT, exit_status=0, sequence=index))

    def _ask(self, call: Any, then: Any, otherwise: Any, **_: Any) -> None:
        tasks = [pending.outcome.key.task_id for pending in call.args[1]]
        self.asked.append((tasks, then, otherwise))

    def next_report(self, now: float = float("inf")) -> tuple[list[int], Any, Any]:
        self.reporter.tick(now)
        assert self.asked, "nothing is reported"
        return self.asked.pop()


def test_outcomes_of_a_locked_task_let_the_others_go_first(tmp_path: Path) -> None:
    world = Waiting(tmp_path, [1, 2, 1, 3])
    tasks, _, otherwise = world.next_report()
    assert tasks == [1, 2, 1, 3]
    otherwise(DatabaseBusy("a row is locked."))
    answered = []
    for _ in range(3):
        tasks, then, otherwise = world.next_report(monotonic() + 1)
        if 1 in tasks:
            assert tasks == [1, 1], "alone, so that it delays no other task"
            otherwise(DatabaseBusy("a row is locked."))
        else:
            then(Delivery())
            answered += tasks
    assert sorted(answered) == [2, 3]
    world.reporter.tick(monotonic() + 1)
    assert not world.asked, "it waits for a while"
    _, _, otherwise = world.next_report()
    otherwise(DatabaseBusy("a row is locked."))
    assert world.context.troubles == {"reports of 1": reports_wait(1, "a row is locked.")}
    tasks, then, _ = world.next_report()
    then(Delivery())
    assert tasks == [1, 1]
    assert not world.context.state.attempts, "no outcome was dropped"
    assert not world.context.troubles
    assert not (tmp_path / "set-aside").exists()


def test_an_outcome_is_set_aside_only_when_it_is_refused_over_two_connections(
    tmp_path: Path,
) -> None:
    world = Waiting(tmp_path, [1, 2])
    reconnected: list[int] = []
    world.context.reconnect = lambda: reconnected.append(1)  # type: ignore[method-assign]
    [refused_key] = [
        attempt.key for attempt in world.context.state.attempts.values() if attempt.key.task_id == 2
    ]
    refused = Delivery(((Outcome(refused_key, Cause.EXIT), "invalid byte sequence"),))
    _, then, _ = world.next_report()
    then(refused)
    assert list(world.context.state.attempts) == [refused_key]
    assert reconnected == [1]
    tasks, then, _ = world.next_report()
    assert tasks == [2]
    then(refused)
    assert not world.context.state.attempts
    assert len(list((tmp_path / "set-aside").iterdir())) == 1


def test_a_note_that_is_not_long_fits_in_a_keepers_spool() -> None:
    longest = Note(
        Queue.GPU,
        Request(2**31, 2**31, 999, 2**63, 2**63, 2**63, exclusive=True),
        "\U0001f600" * LONG_NOTE,
        2**31,
        2**31,
        None,
        1e300 / 3,
        1e300 / 3,
    )
    assert not longest.is_long
    assert len(json.dumps(longest.to_json())) < NOTE_BYTES
    assert replace(longest, metrics_file="m").is_long
