"""Which attempts are prepared ahead of their slots, and how attempts that have ended are finalized."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import (
    AttemptKey,
    Grant,
    InputFile,
    Outcome,
    Revision,
    TaskSpec,
)
from orchestra.domain.resources import Request
from orchestra.domain.states import Cause, Queue
from orchestra.files import job_files
from orchestra.pilot import claim_policy, finalize
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.context import Context
from orchestra.pilot.finalize import Finalizer
from orchestra.pilot.io_activity import IOActivity
from orchestra.pilot.prefetch import Pace
from orchestra.pilot.report import Reporter
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState, Ready

KEEPER = UUID(int=1)
IMAGE = "docker://a/x"


def local_attempt(
    index: int,
    phase: Phase = Phase.WAITING,
    *,
    task: int = 0,
    queue: Queue = Queue.CPU,
    revision: int = 1,
) -> LocalAttempt:
    note = Note(queue, Request.of(queue, Resources()), "/v/t", 1, None, None, None, 30.0)
    key = AttemptKey(task, index, 1, uuid4())
    grant = Grant(key, False, 1, None, InputFile("/c", ManifestEntry("c", 1, 1, b"")))
    spec = cast(
        TaskSpec, SimpleNamespace(key=Revision(task, revision), volume="/v", shared=(), image=IMAGE)
    )
    return LocalAttempt(key, KEEPER, note, phase, grant=grant, task=spec)


def state(*attempts: LocalAttempt, cpu: int = 2) -> PilotState:
    found = PilotState({Queue.CPU: cpu, Queue.GPU: 0})
    for attempt in attempts:
        found.add(attempt)
    return found


def some_log() -> int:
    return os.open(os.devnull, os.O_WRONLY)


def indexes(attempts: Sequence[LocalAttempt]) -> list[int]:
    return [attempt.key.index for attempt in attempts]


# Preparation ahead of slots


@pytest.mark.parametrize(("seconds", "ahead"), [(0.001, 16), (0.05, 4), (0.9, 1), (1.5, 0)])
def test_about_a_tenth_of_a_second_of_work_is_prepared(seconds: float, ahead: int) -> None:
    found = state(*(local_attempt(n) for n in range(40)))
    known = ClaimPolicy(paces={0: Pace(seconds, 9)})
    assert indexes(claim_policy.to_prepare(found, known, ())) == list(range(ahead))


def test_nothing_is_prepared_of_a_task_of_unknown_pace() -> None:
    assert claim_policy.to_prepare(state(local_attempt(1)), ClaimPolicy(), ()) == []


def test_gpu_jobs_are_not_prepared_before_they_have_their_devices() -> None:
    found = state(local_attempt(1, queue=Queue.GPU))
    assert claim_policy.to_prepare(found, ClaimPolicy(paces={0: Pace(0.001, 9)}), ()) == []


def test_attempts_are_prepared_several_at_a_time() -> None:
    attempts = [local_attempt(n) for n in range(16)]
    found, known = state(*attempts), ClaimPolicy(paces={0: Pace(0.001, 9)})
    for attempt in attempts[:8]:
        attempt.ready = Ready((), {}, some_log(), "/")
    under_way = {attempts[8].key}
    assert claim_policy.to_prepare(found, known, under_way) == []
    os.close(cast(Ready, attempts[0].take_ready()).log)
    assert indexes(claim_policy.to_prepare(found, known, under_way)) == [0, *range(9, 16)]
    for attempt in attempts[1:8]:
        os.close(cast(Ready, attempt.take_ready()).log)


# Batches


WorkItem = tuple[int | str, Callable[[], Any], Callable[[Any], None]]


class FakeAgent:
    """Reports and work items, recorded instead of run."""

    def __init__(self, *attempts: LocalAttempt) -> None:
        self.batches: list[WorkItem] = []
        self.checks: list[WorkItem] = []
        self.context = cast(
            Context,
            SimpleNamespace(
                state=state(*attempts),
                workers=self,
                launch=SimpleNamespace(log_limit=0, silent_after=10.0, io_activity=IOActivity()),
                failed_starts={},
                tasks={},
                lent=None,
            ),
        )
        self.reporter = Reporter(self.context, lambda *_: None)
        self.finalizer = Finalizer(self.context, self.reporter)

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None], _: object, *, lane: int | str
    ) -> None:
        (self.batches if isinstance(lane, int) else self.checks).append((lane, work, then))

    def end(self, attempt: LocalAttempt, **outcome: Any) -> None:
        given = {"cause": Cause.EXIT, "exit_status": 0, **outcome}
        self.finalizer.add(attempt, Outcome(attempt.key, **given), None)

    def finish_checks(self, note: str | None = None) -> None:
        """Finish the checks of inputs that have begun, with this note."""
        checks, self.checks = self.checks, []
        for _, work, then in checks:
            then(([note] * len(cast(partial[Any], work).args[2]), 0.0))

    def reported(self) -> list[Outcome]:
        return [p.outcome for queue in self.reporter._waiting.values() for p in queue]


def test_attempts_that_end_while_others_run_are_finalized_together() -> None:
    attempts = [local_attempt(n, Phase.RUNNING) for n in range(3)]
    agent = FakeAgent(*attempts)
    for attempt in attempts[:2]:
        agent.end(attempt)
    now = monotonic()
    assert now < agent.finalizer.tick(now) <= now + finalize.LINGER
    assert agent.batches == []
    assert agent.finalizer.tick(now + finalize.LINGER) > now + 1.0
    assert len(agent.batches) == len(agent.checks) == 1


def test_the_last_attempts_to_end_are_finalized_at_once() -> None:
    attempts = [local_attempt(0, Phase.RUNNING), local_attempt(1, task=7)]
    agent = FakeAgent(*attempts)
    agent.end(attempts[0])
    agent.end(attempts[1])
    agent.finalizer.tick(monotonic())
    assert [lane for lane, _, _ in agent.batches] == [0, 7]


def test_an_outcome_is_reported_even_if_its_folder_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(outcome: Outcome, *_: object) -> Outcome:
        raise RuntimeError(outcome.key)

    monkeypatch.setattr(finalize, "finalize", broken)
    attempt = local_attempt(0, Phase.RUNNING)
    agent = FakeAgent(attempt)
    agent.end(attempt)
    agent.finalizer.tick(monotonic())
    agent.finish_checks()
    (_, work, then), *_ = agent.batches
    then(work())
    assert attempt.phase is Phase.REPORTING


def test_a_complete_file_that_cannot_be_checked_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hidden(folder: str, name: str) -> bool:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)

    monkeypatch.setattr(job_files, "exists", hidden)
    attempt = local_attempt(0)
    note = replace(attempt.note, complete_file="complete")
    ended = finalize.finalize(Outcome(attempt.key, Cause.EXIT, exit_status=0), note)
    assert ended.cause is Cause.NOT_COMPLETE
    assert ended.reason
    assert "cannot be checked: Permission denied" in ended.reason


def test_an_image_whose_container_did_not_start_is_prepared_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(outcome: Outcome, *_: object) -> Outcome:
        return replace(outcome, cause=Cause.NO_CONTAINER, reason="no such image")

    monkeypatch.setattr(finalize, "finalize", refused)
    attempt = local_attempt(0, Phase.RUNNING)
    agent = FakeAgent(attempt)
    prepared = {"docker://a/x": object(), "docker://a/y": object()}
    context = cast(SimpleNamespace, agent.context)
    context.launch.prepared = prepared
    context.back_off_task = lambda *_: None
    agent.end(attempt)
    agent.finalizer.tick(monotonic())
    (_, work, then), *_ = agent.batches
    then(work())
    assert list(prepared) == ["docker://a/y"]


def test_a_log_that_was_opened_ahead_is_closed_when_the_job_is_released(tmp_path: Path) -> None:
    attempt = local_attempt(0)
    agent = FakeAgent(attempt)
    log = some_log()
    attempt.ready = Ready((), {}, log, "/")
    agent.reporter.release(attempt, "its pilot is stopping")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(log)
    assert attempt.ready is None


# The check of the inputs


def test_an_outcome_carries_the_note_on_its_inputs() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    agent = FakeAgent(attempt)
    agent.end(attempt)
    agent.finalizer.tick(monotonic())
    agent.finish_checks("inputs changed")
    assert attempt.phase is Phase.FINALIZING
    (_, _, then), *_ = agent.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0, log_tail=b"x")])
    (outcome,) = agent.reported()
    assert (outcome.inputs_note, outcome.log_tail) == ("inputs changed", b"x")


def test_one_check_serves_all_attempts_that_ended_before_it_began() -> None:
    attempts = [local_attempt(n, Phase.RUNNING) for n in range(4)]
    agent = FakeAgent(*attempts)
    agent.end(attempts[0])
    agent.finalizer.flush()
    for attempt in attempts[1:]:  # too late for the check that is under way
        agent.end(attempt)
        agent.finalizer.flush()
    assert len(agent.checks) == 1
    agent.finish_checks()
    agent.finalizer.tick(monotonic() + 60)
    ((_, work, _),) = agent.checks
    assert len(cast(partial[Any], work).args[2]) == 3


def test_a_check_compares_what_ended_with_the_revision_that_it_ran_with() -> None:
    attempts = [local_attempt(n, Phase.RUNNING, revision=1 + n % 2) for n in range(4)]
    agent = FakeAgent(*attempts)
    for attempt in attempts:
        agent.end(attempt)
    agent.finalizer.flush()
    checked = [cast(partial[Any], work).args[1].key.number for _, work, _ in agent.checks]
    assert sorted(checked) == [1, 2]


def test_an_outcome_does_not_wait_for_inputs_that_do_not_answer() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    agent = FakeAgent(attempt)
    agent.end(attempt)
    agent.finalizer.tick(monotonic())
    (_, _, then), *_ = agent.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0)])
    agent.finalizer.tick(monotonic() + 9)
    assert agent.reported() == []
    agent.finalizer.tick(monotonic() + 11)
    (outcome,) = agent.reported()
    assert "could not be checked" in (outcome.inputs_note or "")
    agent.finish_checks("too late")
    assert len(agent.reported()) == 1


def test_a_check_may_last_as_long_as_a_checksum_makes_progress() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    agent = FakeAgent(attempt)
    agent.end(attempt)
    agent.finalizer.tick(monotonic())
    (_, _, then), *_ = agent.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0)])
    io_activity, now = agent.context.launch.io_activity, monotonic()
    io_activity._last_read[0] = now + 1000
    with io_activity.of(0):
        io_activity.access("/data")
        io_activity.now()[0].progress_at = now + 1000
        agent.finalizer.tick(now + 1009)
        assert agent.reported() == []
        agent.finalizer.tick(now + 1011)
    (outcome,) = agent.reported()
    assert "/data does not answer" in (outcome.inputs_note or "")


def test_a_failure_does_not_wait_for_a_volume_that_does_not_answer() -> None:
    attempts = [local_attempt(n, Phase.RUNNING) for n in range(3)]
    agent = FakeAgent(*attempts)
    agent.end(attempts[0], cause=Cause.ENDED, exit_status=None, reason="ended because")
    agent.end(attempts[1])
    agent.end(attempts[2])
    attempts[2].end_reason = "it was killed on request"
    agent.finalizer.tick(monotonic())
    agent.finish_checks()
    agent.finalizer.tick(monotonic() + 11)
    said = "its folder could not be read: the volume /v does not answer"
    assert [(o.key.index, o.reason) for o in agent.reported()] == [
        (0, f"ended because; {said}"),
        (2, f"exit status 0; {said}"),
    ]
    (_, _, then), *_ = agent.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0) for attempt in attempts])
    assert [outcome.key.index for outcome in agent.reported()] == [0, 2, 1]


def test_whether_a_killed_job_was_complete_is_not_guessed() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    attempt.note = replace(attempt.note, complete_file="complete")
    outcome = finalize.outcome_without_folder(
        Outcome(attempt.key, Cause.EXIT, exit_status=0), attempt
    )
    assert outcome.cause is Cause.NOT_COMPLETE
    assert "whether complete is there is not known" in (outcome.reason or "")


def test_an_attempt_that_may_have_left_a_container_waits_until_there_is_none() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    attempt.note = replace(attempt.note, runtime="podman")
    agent = FakeAgent(attempt)
    agent.end(attempt, cause=Cause.ENDED, exit_status=None, reason="ended because")
    agent.finalizer.tick(monotonic())
    agent.finish_checks()
    agent.finalizer.tick(monotonic() + 1000)
    assert agent.reported() == []
    agent.finalizer._swept.add(attempt.key)  # as the I/O thread does
    agent.finalizer.tick(monotonic() + 1001)
    assert len(agent.reported()) == 1
    assert not agent.finalizer._swept
