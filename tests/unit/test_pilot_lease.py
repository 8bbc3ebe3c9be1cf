"""What an agent does at the database's word: leases count from the right moment, those of the given up not at all."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestra.domain.errors import UnknownKeeper
from orchestra.domain.models.pilots import HeartbeatReply
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Cause, Queue
from orchestra.domain.usage import Usage
from orchestra.pilot import lease
from orchestra.pilot.agent import Agent
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_messages import Ended, Hello, Started
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.lease import LeaseRenewal, Renewal
from orchestra.pilot.reconcile import Reconciler
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

LEASE = 60.0
ENABLED = dict.fromkeys(Queue, 1)
NOTE = Note(Queue.CPU, 1, "/v/t", 1, None, None, None, 5.0)


class Link:
    """A keeper's connection that remembers what was sent."""

    def __init__(self) -> None:
        self.deadlines: list[tuple[float, str]] = []
        self.stopped = False
        self.withdrawn: list[AttemptKey] = []

    def send_deadline(self, boottime: float, on_lost: str) -> None:
        self.deadlines.append((boottime, on_lost))

    def send_withdraw(self, key: AttemptKey) -> None:
        self.withdrawn.append(key)

    def send_stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass


class Office:
    """An agent with one keeper, whose requests to the database are kept in `asked`."""

    def __init__(
        self, *running: Started, boot: str = "this boot", outcomes: tuple[Ended, ...] = ()
    ) -> None:
        self.link = Link()
        hello = Hello(uuid4(), boot, 1, "1", 1, running, outcomes)
        link: Any = self.link
        self.handle = KeeperHandle(hello, Path("/nowhere"), link, registered=True, reconciled=True)
        self.asked: list[tuple[Callable[[Any], Any], Callable[[Any], None], Any]] = []
        self.batches: list[Callable[[], Any]] = []
        keepers = Keepers(Path("/nowhere"), uuid4())
        keepers.handles[self.handle.id] = self.handle
        context: Any = SimpleNamespace(
            keepers=keepers,
            on_lease_lost="kill",
            lease=LEASE,
            leases_expire=True,
            state=PilotState(),
            claim_policy=ClaimPolicy(),
            database=SimpleNamespace(submit=lambda *request, **_: self.asked.append(request)),
            workers=SimpleNamespace(submit=lambda work, *_, **__: self.batches.append(work)),
            database_memory=SimpleNamespace(known=None, note_generation=lambda _beat: None),
            reported_troubles=(),
            unresponsive={},
            node_id=1,
            agent=uuid4(),
            boot_id="this boot",
            launch=None,
            request=0,
        )
        self.context = context
        self.supervisor = Supervisor(context)
        self.lease = LeaseRenewal(context, self.supervisor, lambda: None)


def standing(*fenced: UUID) -> HeartbeatReply:
    return HeartbeatReply(1, LEASE, ENABLED, fenced=frozenset(fenced))


def test_a_lease_counts_from_before_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database counts from a moment in between: who counts from the answer ends the jobs too late."""
    office, clock = Office(), [100.0]

    def renew(*_: object, **__: object) -> HeartbeatReply:
        clock[0] += 40.0  # the answer is slow
        return standing()

    monkeypatch.setattr(lease, "boottime", lambda: clock[0])
    monkeypatch.setattr(work, "renew", renew)
    office.lease.tick(0.0)
    call, then, _ = office.asked[0]
    then(call(None))
    assert office.link.deadlines == [(100.0 + LEASE, "kill")]


def test_the_lease_of_a_keeper_whose_jobs_were_given_away_is_not_prolonged() -> None:
    office = Office()
    office.lease.apply(Renewal(100.0, standing(office.handle.id)))
    office.lease.apply(Renewal(200.0, standing()))
    assert office.link.deadlines == []
    assert office.link.stopped
    assert not office.handle.takes_jobs
    assert not office.handle.reconciled, "what it holds is compared at once, so that it is ended"


def test_a_keeper_that_the_database_has_forgotten_is_made_known_to_it_again() -> None:
    office = Office()
    Reconciler(office.context, office.supervisor, office.lease).reconcile(office.handle)
    *_, failed = office.asked.pop()
    failed(UnknownKeeper())
    assert not office.handle.registered
    assert not office.handle.reconciled, "what it runs is compared at once, so that it is ended"


@pytest.mark.parametrize(
    ("phase", "after", "withdrawn"),
    [
        (Phase.WAITING, Phase.REPORTING, False),
        (Phase.PREPARING, Phase.PREPARING, False),
        (Phase.QUEUED, Phase.QUEUED, True),
        (Phase.RUNNING, Phase.RUNNING, False),
    ],
)
def test_what_has_not_begun_of_a_held_task_goes_back(
    phase: Phase, after: Phase, withdrawn: bool
) -> None:
    office = Office()
    attempt = LocalAttempt(AttemptKey(3, 17, 1, uuid4()), office.handle.id, NOTE, phase)
    office.supervisor.context.state.add(attempt)
    for _ in range(2):  # at each renewal, for as long as the database thinks so
        office.lease.apply(Renewal(100.0, HeartbeatReply(1, LEASE, ENABLED, recall=(attempt.key,))))
    assert attempt.phase is after
    assert office.link.withdrawn == [attempt.key] * withdrawn
    assert (attempt.end_reason is not None) == (phase in (Phase.WAITING, Phase.PREPARING))


def test_a_round_that_fails_leaves_the_jobs_their_agent(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> float:
        raise RuntimeError("a mistake of ours")

    before = monotonic()
    due = Agent._tick_safely(SimpleNamespace(tick=fail))  # type: ignore[arg-type]
    assert before < due < monotonic() + 2.0
    assert "a mistake of ours" in caplog.text


@pytest.mark.parametrize(("boot", "is_ended"), [("this boot", True), ("another boot", False)])
def test_processes_are_ended_by_number_in_the_boot_that_gave_the_numbers(
    boot: str, is_ended: bool
) -> None:
    started = Started(AttemptKey(3, 17, 1, uuid4()), 4711, 1, 1.0, NOTE.to_json())
    office = Office(started, boot=boot)
    office.handle.dead = True
    office.supervisor.take_inventory(office.handle)
    [item] = office.batches
    assert isinstance(item, partial)
    assert (started in item.args) is is_ended


@pytest.mark.parametrize(("boot", "moment"), [("this boot", 50.0), ("another boot", None)])
def test_when_an_attempt_ended_counts_in_the_boot_that_measured_it(
    monkeypatch: pytest.MonkeyPatch, boot: str, moment: float | None
) -> None:
    ended = Ended(
        AttemptKey(3, 17, 1, uuid4()), 5, Cause.EXIT, None, 3, None, 1.0, Usage(0.5, 1 << 20), 50.0, NOTE.to_json()
    )  # fmt: skip
    office, heard = Office(boot=boot, outcomes=(ended,)), list[float | None]()
    examiner = office.supervisor._finalizer
    monkeypatch.setattr(examiner, "add", lambda _held, _outcome, ended_at: heard.append(ended_at))
    office.supervisor.take_inventory(office.handle)
    assert heard == [moment]
