"""Each check finds its violation, and accepts what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestra.domain.resources import DeviceRoom, Request, Room
from ordeal import checks
from ordeal.facts import (
    Acceptance,
    Attempt,
    Event,
    Facts,
    Job,
    Keeper,
    Life,
    Load,
    Move,
    Notification,
    Span,
    Task,
)

JOB = ("t0", 0)
ROOM = Room(cpus=3, devices=(DeviceRoom(),), memory_bytes=8)
LIFE = Life(JOB, 1, "a", began=10.0, folder="/1", ended=11.0, status=0)
ROW = Attempt(JOB, 1, "a", "keeper")
MOVES = [
    Move(1, "t0", None, "REGISTERED", "RUNNING"),
    Move(2, "t0", 0, "registered", "assigned"),
    Move(3, "t0", 0, "assigned", "running"),
    Move(4, "t0", 0, "running", "done"),
    Move(5, "t0", None, "RUNNING", "DONE"),
]
EVENTS = [
    Event(1, "task", "t0", None, "REGISTERED", "RUNNING"),
    Event(2, "release", "t0", None, "registered", "assigned"),
    Event(3, "job", "t0", 0, "assigned", "running"),
    Event(4, "job", "t0", 0, "running", "done"),
    Event(5, "task", "t0", None, "RUNNING", "DONE"),
]
SECOND = Life(JOB, 2, "b", began=12.0, folder="/2", beside=("a",), ended=13.0, status=0)
SECOND_ROW = Attempt(JOB, 2, "b", "other", folder_number=2)


def good() -> Facts:
    """One job, done at the first attempt."""
    return Facts(
        tasks=[Task("t0", "DONE")],
        jobs=[Job(JOB, "done", 1, done_attempt=1, linked=1)],
        attempts=[ROW],
        lives=[LIFE],
        moves=list(MOVES),
        events=list(EVENTS),
        acceptances=[Acceptance(JOB, 1, latest=1, success=True)],
        notifications=[Notification("t0", "DONE")],
        keepers={"keeper": Keeper("gauss", "gauss"), "other": Keeper("euler", "euler")},
        room=ROOM,
    )


def with_neighbour(request: Request) -> Callable[[Facts], object]:
    """A job of another task that takes so much starts on the same machine while the first one runs."""

    def change(facts: Facts) -> None:
        job = ("t1", 0)
        facts.tasks.append(Task("t1", "DONE", request=request))
        facts.lives.append(Life(job, 1, "c", began=10.5, folder="/3", ended=12.0, status=0))
        facts.attempts.append(Attempt(job, 1, "c", "keeper"))

    return change


def lost(facts: Facts) -> None:
    """Its attempt is lost although its keeper lives."""
    facts.attempts = [
        replace(ROW, ended=False, lost=True, accepted=None, cause=None, exit_status=None)
    ]


def lost_and_failed(facts: Facts) -> None:
    """Its job has failed although it was lost only once."""
    lost(facts)
    facts.jobs = [Job(JOB, "failed", 1)]


def with_second(facts: Facts) -> None:
    """A second attempt started while the first one was alive."""
    facts.lives = [replace(LIFE, ended=None, status=None), SECOND]
    facts.attempts = [replace(ROW, ended=False, lost=True, accepted=None, cause=None), SECOND_ROW]
    facts.jobs = [Job(JOB, "done", 2, done_attempt=2, linked=2)]
    facts.acceptances = [Acceptance(JOB, 2, latest=2, success=True)]


def test_good_outcome_has_no_violations() -> None:
    assert checks.violations(good()) == []


def bad(change: Callable[[Facts], object]) -> list[str]:
    facts = good()
    change(facts)
    return checks.violations(facts)


def put(name: str, *values: object) -> Callable[[Facts], object]:
    return lambda facts: setattr(facts, name, list(values))


def add(name: str, *values: object) -> Callable[[Facts], object]:
    return lambda facts: getattr(facts, name).extend(values)


VIOLATIONS = {
    "a task that goes on": (checks.at_rest, put("tasks", Task("t0", "RUNNING"))),
    "a job that waits": (checks.at_rest, put("jobs", Job(JOB, "assigned", 1))),
    "an open attempt": (
        checks.at_rest,
        add("attempts", replace(ROW, number=2, token="b", ended=False, accepted=None, cause=None)),
    ),
    "what did not come to rest": (checks.at_rest, put("unsettled", "gauss runs 0/0/1")),
    "an end that was not told": (checks.told_once, put("notifications")),
    "an end that was told twice": (
        checks.told_once,
        add("notifications", Notification("t0", "DONE")),
    ),
    "a notification about another end": (
        checks.told_once,
        put("notifications", Notification("t0", "FINALIZED")),
    ),
    "a job's wrong move": (
        checks.moved_along_the_table,
        add("moves", Move(4, "t0", 0, "done", "failed")),
    ),
    "a task's wrong move": (
        checks.moved_along_the_table,
        add("moves", Move(5, "t0", None, "DONE", "KILL")),
    ),
    "a job's move without event": (
        checks.has_its_events,
        lambda facts: facts.events.pop(3),
    ),
    "a task's move without event": (checks.has_its_events, lambda facts: facts.events.pop(4)),
    "a mass move without event": (checks.has_its_events, lambda facts: facts.events.pop(1)),
    "an event in another transaction": (
        checks.has_its_events,
        lambda facts: facts.events.__setitem__(3, replace(EVENTS[3], transaction=9)),
    ),
    "a gap between events": (
        checks.has_its_events,
        add("events", Event(6, "task", "t0", None, "FINALIZED", "RUNNING")),
    ),
    "a false figure": (checks.counted_exactly, put("miscounts", "t0: done is listed as 2, is 1")),
    "two successes, one of them in vain": (
        checks.accepted_once,
        add("acceptances", Acceptance(JOB, 1, latest=1, success=True)),
    ),
    "done without a success": (checks.accepted_once, put("acceptances")),
    "an outcome of an attempt that was over": (
        checks.accepted_once,
        put("acceptances", Acceptance(JOB, 1, latest=2, success=True)),
    ),
    "an attempt that was never granted": (checks.agrees_with_the_truth, put("attempts")),
    "another number": (checks.agrees_with_the_truth, put("attempts", replace(ROW, number=2))),
    "a guessed exit status": (
        checks.agrees_with_the_truth,
        put("lives", replace(LIFE, ended=None, status=None)),
    ),
    "another exit status": (
        checks.agrees_with_the_truth,
        put("lives", replace(LIFE, status=3)),
    ),
    "done by an attempt that failed": (
        checks.agrees_with_the_truth,
        lambda facts: (
            put("attempts", replace(ROW, exit_status=3))(facts),
            put("lives", replace(LIFE, status=3))(facts),
        ),
    ),
    "a link to another attempt": (
        checks.agrees_with_the_truth,
        put("jobs", Job(JOB, "done", 1, done_attempt=1, linked=2)),
    ),
    "two at once": (checks.never_twice_at_once, with_second),
    "more CPU slots than there are": (
        checks.never_over_committed,
        with_neighbour(Request(cpus=3)),
    ),
    "more memory than there is": (
        checks.never_over_committed,
        with_neighbour(Request(cpus=1, memory_bytes=9)),
    ),
    "more GPUs than there are": (
        checks.never_over_committed,
        lambda facts: (
            put("tasks", Task("t0", "DONE", request=Request(gpu_milli=600)))(facts),
            with_neighbour(Request(gpu_milli=500))(facts),
        ),
    ),
    "a neighbour of an exclusive job": (
        checks.never_over_committed,
        with_neighbour(Request(cpus=1, exclusive=True)),
    ),
    "a lost outcome": (checks.no_outcome_lost, lost),
    "a failure by nobody": (
        checks.failed_for_a_reason,
        lambda facts: (
            put("jobs", Job(JOB, "failed", 1))(facts),
            put("attempts", replace(ROW, cause="signal", exit_status=None, signal=9))(facts),
        ),
    ),
    "poisonous too early": (
        checks.failed_for_a_reason,
        lost_and_failed,
    ),
    "a hold for no reason": (
        checks.failed_for_a_reason,
        put("tasks", Task("t0", "DONE", holds=("the folder exists already",))),
    ),
    "a shared folder": (
        checks.folders_of_their_own,
        add("lives", replace(SECOND, folder="/1", beside=())),
    ),
    "a process that stays": (checks.nothing_left, put("leftovers", "sleep")),
    "a loop that waits for nothing": (
        checks.nobody_spins,
        put("loads", Load("agent of gauss (7)", 5.0, 0.95)),
    ),
    "an idle one that is busy": (
        checks.nobody_spins,
        put("loads", Load("agent of gauss (7)", 3.0, 0.4, idle=True)),
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_violation_is_found(name: str) -> None:
    check, change = VIOLATIONS[name]
    facts = good()
    change(facts)
    assert list(check(facts)), name
    assert any(text.startswith(check.__name__) for text in checks.violations(facts))


@pytest.mark.parametrize(
    "request_", [Request(cpus=2, memory_bytes=8), Request(gpus=1), Request(gpu_milli=1000)], ids=str
)
def test_neighbours_may_use_a_machine_up(request_: Request) -> None:
    facts = good()
    with_neighbour(request_)(facts)
    assert list(checks.never_over_committed(facts)) == []


def test_machines_and_moments_have_rooms_of_their_own() -> None:
    facts = good()
    with_neighbour(Request(cpus=3))(facts)
    facts.attempts[-1] = replace(facts.attempts[-1], keeper="other")
    assert list(checks.never_over_committed(facts)) == []
    facts.attempts[-1] = replace(facts.attempts[-1], keeper="keeper")
    facts.lives[-1] = replace(facts.lives[-1], began=11.0)
    assert list(checks.never_over_committed(facts)) == []


def overlap(change: Callable[[Facts], object]) -> list[str]:
    facts = good()
    with_second(facts)
    change(facts)
    return list(checks.never_twice_at_once(facts))


def test_attempts_of_a_stopped_keeper_may_overlap() -> None:
    def stop(since: float, until: float) -> Callable[[Facts], object]:
        return lambda facts: facts.keepers["keeper"].stopped.append(Span(since, until))

    assert not overlap(stop(5.0, 20.0))
    assert not overlap(stop(5.0, SECOND.began - checks.SLACK / 2))
    assert overlap(stop(1.0, SECOND.began - checks.SLACK - 1))
    assert overlap(stop(SECOND.began + 1, 20.0))


def test_attempts_of_a_dead_keeper_may_overlap_only_without_agent() -> None:
    def kill(facts: Facts) -> None:
        facts.keepers["keeper"].killed = 10.5

    def kill_both(facts: Facts) -> None:
        kill(facts)
        facts.agentless["gauss"] = [Span(10.5, 30.0)]

    assert overlap(kill)
    assert not overlap(kill_both)


def test_an_outcome_may_be_lost_only_with_its_keeper() -> None:
    def killed(at: float) -> Callable[[Facts], object]:
        def change(facts: Facts) -> None:
            lost(facts)
            facts.keepers["keeper"].killed = at

        return change

    def losses(change: Callable[[Facts], object]) -> list[str]:
        facts = good()
        change(facts)
        return list(checks.no_outcome_lost(facts))

    assert LIFE.ended
    assert not losses(killed(LIFE.ended + 0.1))
    assert losses(killed(LIFE.ended + checks.SLACK + 1))


def test_kill_by_the_ordeal_explains_a_failure() -> None:
    facts = good()
    facts.jobs = [Job(JOB, "failed", 1)]
    facts.attempts = [replace(ROW, cause="signal", exit_status=None, signal=9)]
    facts.killed_jobs = {"a"}
    assert not list(checks.failed_for_a_reason(facts))
    assert not list(checks.no_outcome_lost(facts))


def test_tasks_that_resume_share_folders() -> None:
    facts = good()
    facts.tasks = [Task("t0", "DONE", resume=True)]
    facts.lives.append(replace(SECOND, folder="/1", beside=()))
    assert not list(checks.folders_of_their_own(facts))


def test_attempt_unknown_to_a_replaced_database_is_no_violation() -> None:
    facts = good()
    facts.restored = LIFE.began + 1
    facts.attempts, facts.jobs, facts.moves = [], [], []
    facts.acceptances, facts.notifications = [], []
    assert not checks.violations(facts)
    facts.restored = LIFE.began - checks.SLACK - 1
    assert checks.violations(facts)


def test_evidence_describes_a_job() -> None:
    facts = good()
    lost(facts)
    text = "\n".join(checks.evidence(facts, checks.violations(facts)))
    assert "Life(job=('t0', 0)" in text
    assert "lost=True" in text
    assert "keeper keeper: Keeper(node='gauss'" in text


def test_attempts_may_overlap_until_an_old_database_is_recognised() -> None:
    def replaced(at: float) -> Callable[[Facts], object]:
        return lambda facts: setattr(facts, "restored", at)

    assert not overlap(replaced(SECOND.began - 1))
    assert overlap(replaced(SECOND.began - checks.RECOGNISED - 1))
