"""How an agent applies what the database answers: leases, recalls, keepers that were fenced or have died."""

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
from orchestra.domain.resources import Request
from orchestra.domain.states import Cause, Queue
from orchestra.domain.usage import Usage
from orchestra.pilot import lease
from orchestra.pilot.agent import Agent
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_messages import Ended, Hello, Started
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.lease import LeaseRenewal, Renewal
from orchestra.pilot.opening import Opening
from orchestra.pilot.reconcile import Reconciler
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

LEASE = 60.0
ENABLED = dict.fromkeys(Queue, 1)
NOTE = Note(Queue.CPU, Request(cpus=1), "/v/t", 1, None, None, None, 5.0)


class Link:
    """A connection to a keeper that records what was sent."""

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


class FakeAgent:
    """An agent with one keeper, whose requests to the database are recorded in `requests`."""

    def __init__(
        self, *running: Started, boot: str = "this boot", outcomes: tuple[Ended, ...] = ()
    ) -> None:
        self.link = Link()
        hello = Hello(uuid4(), boot, 1, "1", 1, running, outcomes)
        link: Any = self.link
        self.handle = KeeperHandle(hello, Path("/nowhere"), link, registered=True, reconciled=True)
        self.requests: list[tuple[Callable[[Any], Any], Callable[[Any], None], Any]] = []
        self.work_items: list[Callable[[], Any]] = []
        keepers = Keepers(Path("/nowhere"), uuid4())
        keepers.handles[self.handle.id] = self.handle
        context: Any = SimpleNamespace(
            keepers=keepers,
            lent=None,
            on_lease_lost="kill",
            lease=LEASE,
            leases_expire=True,
            state=PilotState(),
            claim_policy=ClaimPolicy(),
            database=SimpleNamespace(submit=lambda *request, **_: self.requests.append(request)),
            workers=SimpleNamespace(submit=lambda work, *_, **__: self.work_items.append(work)),
            database_memory=SimpleNamespace(known=None, note_generation=lambda _: None),
            reported_troubles=(),
            opening=Opening(),
            unresponsive={},
            found=None,
            node_id=1,
            agent=uuid4(),
            boot_id="this boot",
            launch=None,
            request=0,
        )
        self.context = context
        self.supervisor = Supervisor(context)
        self.lease = LeaseRenewal(context, self.supervisor, lambda: None)


def reply(*fenced: UUID) -> HeartbeatReply:
    return HeartbeatReply(1, LEASE, ENABLED, fenced=frozenset(fenced))


def test_a_lease_counts_from_before_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database counts from a moment in between, so counting from the answer would end the jobs too late."""
    agent, clock = FakeAgent(), [100.0]

    def renew(*_: object, **__: object) -> HeartbeatReply:
        clock[0] += 40.0  # the answer is slow
        return reply()

    monkeypatch.setattr(lease, "boottime", lambda: clock[0])
    monkeypatch.setattr(work, "renew", renew)
    agent.lease.tick(0.0)
    call, then, _ = agent.requests[0]
    then(call(None))
    assert agent.link.deadlines == [(100.0 + LEASE, "kill")]


def test_the_lease_of_a_keeper_whose_jobs_were_requeued_is_not_renewed() -> None:
    agent = FakeAgent()
    agent.lease.apply(Renewal(100.0, reply(agent.handle.id)))
    agent.lease.apply(Renewal(200.0, reply()))
    assert agent.link.deadlines == []
    assert agent.link.stopped
    assert not agent.handle.takes_jobs
    assert not agent.handle.reconciled, "what it holds is compared at once, so that it is ended"


def test_a_keeper_that_the_database_does_not_know_is_registered_again() -> None:
    agent = FakeAgent()
    Reconciler(agent.context, agent.supervisor, agent.lease).reconcile(agent.handle)
    *_, failed = agent.requests.pop()
    failed(UnknownKeeper())
    assert not agent.handle.registered
    assert not agent.handle.reconciled, "what it runs is compared at once, so that it is ended"


@pytest.mark.parametrize(
    ("phase", "after", "withdrawn"),
    [
        (Phase.WAITING, Phase.REPORTING, False),
        (Phase.PREPARING, Phase.PREPARING, False),
        (Phase.QUEUED, Phase.QUEUED, True),
        (Phase.RUNNING, Phase.RUNNING, False),
    ],
)
def test_attempts_of_a_held_task_that_have_not_started_are_released(
    phase: Phase, after: Phase, withdrawn: bool
) -> None:
    agent = FakeAgent()
    attempt = LocalAttempt(AttemptKey(3, 17, 1, uuid4()), agent.handle.id, NOTE, phase)
    agent.supervisor.context.state.add(attempt)
    for _ in range(2):  # at each renewal, until the database knows
        recall = ((attempt.key, "its task is held"),)
        agent.lease.apply(Renewal(100.0, HeartbeatReply(1, LEASE, ENABLED, recall=recall)))
    assert attempt.phase is after
    assert agent.link.withdrawn == [attempt.key] * withdrawn
    assert (attempt.end_reason is not None) == (phase in (Phase.WAITING, Phase.PREPARING))


def test_an_agent_survives_a_round_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> float:
        raise RuntimeError("a bug")

    before = monotonic()
    due = Agent._tick_safely(SimpleNamespace(tick=fail))  # type: ignore[arg-type]
    assert before < due < monotonic() + 2.0
    assert "a bug" in caplog.text


@pytest.mark.parametrize(("boot", "is_ended"), [("this boot", True), ("another boot", False)])
def test_processes_are_ended_by_pid_only_in_the_boot_that_assigned_it(
    boot: str, is_ended: bool
) -> None:
    started = Started(AttemptKey(3, 17, 1, uuid4()), 4711, 1, 1.0, NOTE.to_json())
    agent = FakeAgent(started, boot=boot)
    agent.handle.dead = True
    agent.supervisor.take_inventory(agent.handle)
    [item] = agent.work_items
    assert isinstance(item, partial)
    assert (started in item.args) is is_ended


@pytest.mark.parametrize(("boot", "moment"), [("this boot", 50.0), ("another boot", None)])
def test_the_time_of_an_end_is_used_only_in_the_boot_that_measured_it(
    monkeypatch: pytest.MonkeyPatch, boot: str, moment: float | None
) -> None:
    ended = Ended(
        AttemptKey(3, 17, 1, uuid4()), 5, Cause.EXIT, None, 3, None, 1.0, Usage(0.5, 1 << 20), 50.0, NOTE.to_json()
    )  # fmt: skip
    agent, heard = FakeAgent(boot=boot, outcomes=(ended,)), list[float | None]()
    finalizer = agent.supervisor._finalizer
    monkeypatch.setattr(finalizer, "add", lambda *added: heard.append(added[2]))
    agent.supervisor.take_inventory(agent.handle)
    assert heard == [moment]
