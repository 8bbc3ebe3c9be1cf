"""What is made ready ahead of its slots, and what is looked at together."""

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
from orchestra.domain.models.work import AttemptKey, Grant, InputFile, Outcome, TaskSpec
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
    index: int, phase: Phase = Phase.WAITING, *, task: int = 0, queue: Queue = Queue.CPU
) -> LocalAttempt:
    note = Note(queue, 1, "/v/t", 1, None, None, None, 30.0)
    key = AttemptKey(task, index, 1, uuid4())
    grant = Grant(key, False, 1, None, InputFile("/c", ManifestEntry("c", 1, 1, b"")))
    spec = cast(TaskSpec, SimpleNamespace(volume="/v", shared=(), image=IMAGE))
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


# Ahead


@pytest.mark.parametrize(("seconds", "ahead"), [(0.001, 16), (0.05, 4), (0.9, 1), (1.5, 0)])
def test_about_a_tenth_of_a_second_of_work_is_made_ready(seconds: float, ahead: int) -> None:
    found = state(*(local_attempt(n) for n in range(40)))
    known = ClaimPolicy(paces={0: Pace(seconds, 9)})
    assert indexes(claim_policy.to_prepare(found, known, ())) == list(range(ahead))


def test_nothing_is_made_ready_of_a_task_that_nobody_knows() -> None:
    assert claim_policy.to_prepare(state(local_attempt(1)), ClaimPolicy(), ()) == []


def test_gpu_jobs_are_not_made_ready_before_they_have_their_devices() -> None:
    found = state(local_attempt(1, queue=Queue.GPU))
    assert claim_policy.to_prepare(found, ClaimPolicy(paces={0: Pace(0.001, 9)}), ()) == []


def test_attempts_are_made_ready_some_at_a_time() -> None:
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


# Together


WorkItem = tuple[int | str, Callable[[], Any], Callable[[Any], None]]


class Office:
    """Reports and work items, recorded instead of run."""

    def __init__(self, *attempts: LocalAttempt) -> None:
        self.batches: list[WorkItem] = []
        self.looks: list[WorkItem] = []
        self.context = cast(
            Context,
            SimpleNamespace(
                state=state(*attempts),
                workers=self,
                launch=SimpleNamespace(log_limit=0, silent_after=10.0, io_activity=IOActivity()),
                failed_starts={},
                tasks={},
            ),
        )
        self.reporter = Reporter(self.context, lambda *_: None)
        self.finalizer = Finalizer(self.context, self.reporter)

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None], _: object, *, lane: int | str
    ) -> None:
        (self.batches if isinstance(lane, int) else self.looks).append((lane, work, then))

    def end(self, attempt: LocalAttempt, **outcome: Any) -> None:
        given = {"cause": Cause.EXIT, "exit_status": 0, **outcome}
        self.finalizer.add(attempt, Outcome(attempt.key, **given), None)

    def look(self, note: str | None = None) -> None:
        """Let the looks at inputs that were begun find this."""
        looks, self.looks = self.looks, []
        for _, work, then in looks:
            then(([note] * len(cast(partial[Any], work).args[2]), 0.0))

    def reported(self) -> list[Outcome]:
        return [p.outcome for queue in self.reporter._waiting.values() for p in queue]


def test_what_ends_while_others_run_is_looked_at_together() -> None:
    attempts = [local_attempt(n, Phase.RUNNING) for n in range(3)]
    office = Office(*attempts)
    for attempt in attempts[:2]:
        office.end(attempt)
    now = monotonic()
    assert now < office.finalizer.tick(now) <= now + finalize.LINGER
    assert office.batches == []
    assert office.finalizer.tick(now + finalize.LINGER) > now + 1.0
    assert len(office.batches) == len(office.looks) == 1


def test_what_ends_last_is_looked_at_at_once() -> None:
    attempts = [local_attempt(0, Phase.RUNNING), local_attempt(1, task=7)]
    office = Office(*attempts)
    office.end(attempts[0])
    office.end(attempts[1])
    office.finalizer.tick(monotonic())
    assert [lane for lane, _, _ in office.batches] == [0, 7]


def test_how_an_attempt_ended_is_known_whatever_its_folder_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(outcome: Outcome, *_: object) -> Outcome:
        raise RuntimeError(outcome.key)

    monkeypatch.setattr(finalize, "finalize", broken)
    attempt = local_attempt(0, Phase.RUNNING)
    office = Office(attempt)
    office.end(attempt)
    office.finalizer.tick(monotonic())
    office.look()
    (_, work, then), *_ = office.batches
    then(work())
    assert attempt.phase is Phase.REPORTING


def test_a_complete_file_that_cannot_be_looked_at_is_not_there(
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


def test_an_image_whose_container_did_not_begin_is_looked_at_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(outcome: Outcome, *_: object) -> Outcome:
        return replace(outcome, cause=Cause.NO_CONTAINER, reason="no such image")

    monkeypatch.setattr(finalize, "finalize", refused)
    attempt = local_attempt(0, Phase.RUNNING)
    office = Office(attempt)
    prepared = {"docker://a/x": object(), "docker://a/y": object()}
    context = cast(SimpleNamespace, office.context)
    context.launch.prepared = prepared
    context.back_off_task = lambda *_: None
    office.end(attempt)
    office.finalizer.tick(monotonic())
    (_, work, then), *_ = office.batches
    then(work())
    assert list(prepared) == ["docker://a/y"]


def test_a_log_that_was_opened_ahead_is_closed_when_the_job_is_handed_back(tmp_path: Path) -> None:
    attempt = local_attempt(0)
    office = Office(attempt)
    log = some_log()
    attempt.ready = Ready((), {}, log, "/")
    office.reporter.release(attempt, "its pilot is leaving")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(log)
    assert attempt.ready is None


# The look at the inputs


def test_an_outcome_carries_what_was_found_at_its_inputs() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    office = Office(attempt)
    office.end(attempt)
    office.finalizer.tick(monotonic())
    office.look("inputs changed")
    assert attempt.phase is Phase.FINALIZING
    (_, _, then), *_ = office.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0, log_tail=b"x")])
    (outcome,) = office.reported()
    assert (outcome.inputs_note, outcome.log_tail) == ("inputs changed", b"x")


def test_one_look_serves_all_that_ended_before_it_began() -> None:
    attempts = [local_attempt(n, Phase.RUNNING) for n in range(4)]
    office = Office(*attempts)
    office.end(attempts[0])
    office.finalizer.flush()
    for attempt in attempts[1:]:  # too late for the look that is under way
        office.end(attempt)
        office.finalizer.flush()
    assert len(office.looks) == 1
    office.look()
    office.finalizer.tick(monotonic() + 60)
    ((_, work, _),) = office.looks
    assert len(cast(partial[Any], work).args[2]) == 3


def test_inputs_that_do_not_answer_keep_no_outcome_from_being_reported() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    office = Office(attempt)
    office.end(attempt)
    office.finalizer.tick(monotonic())
    (_, _, then), *_ = office.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0)])
    office.finalizer.tick(monotonic() + 9)
    assert office.reported() == []
    office.finalizer.tick(monotonic() + 11)
    (outcome,) = office.reported()
    assert "could not be checked" in (outcome.inputs_note or "")
    office.look("too late")
    assert len(office.reported()) == 1


def test_a_look_waits_as_long_as_a_checksum_goes_on() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    office = Office(attempt)
    office.end(attempt)
    office.finalizer.tick(monotonic())
    (_, _, then), *_ = office.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0)])
    io_activity, now = office.context.launch.io_activity, monotonic()
    io_activity._last_read[0] = now + 1000
    with io_activity.of(0):
        io_activity.access("/data")
        io_activity.now()[0].progress_at = now + 1000
        office.finalizer.tick(now + 1009)
        assert office.reported() == []
        office.finalizer.tick(now + 1011)
    (outcome,) = office.reported()
    assert "/data does not answer" in (outcome.inputs_note or "")


def test_a_volume_that_does_not_answer_keeps_no_failure_from_being_reported() -> None:
    attempts = [local_attempt(n, Phase.RUNNING) for n in range(3)]
    office = Office(*attempts)
    office.end(attempts[0], cause=Cause.ENDED, exit_status=None, reason="ended because")
    office.end(attempts[1])
    office.end(attempts[2])
    attempts[2].end_reason = "it was killed on request"
    office.finalizer.tick(monotonic())
    office.look()
    office.finalizer.tick(monotonic() + 11)
    said = "its folder could not be read: the volume /v does not answer"
    assert [(o.key.index, o.reason) for o in office.reported()] == [
        (0, f"ended because; {said}"),
        (2, f"exit status 0; {said}"),
    ]
    (_, _, then), *_ = office.batches
    then([Outcome(attempt.key, Cause.EXIT, exit_status=0) for attempt in attempts])
    assert [outcome.key.index for outcome in office.reported()] == [0, 2, 1]


def test_whether_a_killed_job_was_complete_is_not_guessed() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    attempt.note = replace(attempt.note, complete_file="complete")
    outcome = finalize.outcome_without_folder(
        Outcome(attempt.key, Cause.EXIT, exit_status=0), attempt
    )
    assert outcome.cause is Cause.NOT_COMPLETE
    assert "whether complete is there is not known" in (outcome.reason or "")


def test_what_may_have_left_a_container_is_reported_when_it_is_known_to_have_left_none() -> None:
    attempt = local_attempt(0, Phase.RUNNING)
    attempt.note = replace(attempt.note, runtime="podman")
    office = Office(attempt)
    office.end(attempt, cause=Cause.ENDED, exit_status=None, reason="ended because")
    office.finalizer.tick(monotonic())
    office.look()
    office.finalizer.tick(monotonic() + 1000)
    assert office.reported() == []
    office.finalizer._swept.add(attempt.key)  # as the I/O thread does
    office.finalizer.tick(monotonic() + 1001)
    assert len(office.reported()) == 1
    assert not office.finalizer._swept
