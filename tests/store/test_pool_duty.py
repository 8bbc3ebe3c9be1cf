"""The duty of a pool: what it submits and records, and what a process that is killed at any step leaves to the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestra.domain.errors import Superseded
from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    EngineReport,
    Phase,
    Pool,
    PoolSettings,
    Refusal,
    Submission,
)
from orchestra.domain.pools import life, pool_text
from orchestra.pools import engine_thread
from orchestra.pools.duty import Means, PoolDuty
from orchestra.pools.engine_thread import Call
from orchestra.pools.files import AllocationFiles
from orchestra.services.pools import allocations, pools
from orchestra.store.driver.database import connect
from support.people import caller
from support.pool_engine import ScriptedEngine
from support.waiting import wait_until
from support.world import Pilot, World

pytestmark = pytest.mark.servers("embedded")
BOTH = pytest.mark.servers("embedded", "debian15")
"""For tests that together use every statement."""

S = AllocationState


@dataclass
class Site:
    """A pool `cpu` of ana's account on a scripted engine, whose duty the test carries out."""

    world: World
    files: AllocationFiles
    url: str
    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    now: float = 1000.0
    duty: PoolDuty = field(init=False)

    def __post_init__(self) -> None:
        pools.create(self.world.conn, caller(self.world.conn), "cpu", "slurm", PoolSettings(cpus=2))
        self.restart()

    def restart(self) -> None:
        """Replace the process, which has been killed; its term is over."""
        self.world.conn.execute("update leader set expires = now() where duty = 'pool:cpu'")
        self.duty = PoolDuty("cpu", self._means(), lambda: self.now)
        self.duty.use(self.world.conn)

    def _means(self) -> Means:
        return Means(
            engine=self.engine,
            cluster="c1",
            files=self.files,
            submission=self._submission,
            configuration=lambda _, key: {"cluster": "c1", "allocation": str(key)},
            who="ana on login",
            account="ana",
            serves_all=False,
            may_run=lambda owner: owner == "ana",
            poll=30.0,
            wake=lambda: None,
        )

    def _submission(self, pool: Pool, key: UUID) -> Submission:
        words = ("pilot", str(self.files.configuration(key)))
        return Submission(key, pool.spec, pool.limits.walltime, words, str(self.files.log(key)), 60)

    @property
    def pool(self) -> Pool:
        return pools.get(self.world.conn, "cpu")

    @property
    def live(self) -> tuple[Allocation, ...]:
        return self.pool.live

    def one(self) -> Allocation:
        """The oldest that has not ended."""
        return self.live[0]

    def states(self) -> list[str]:
        """The states of all allocations, the oldest first."""
        rows = self.world.conn.execute("select state from allocation order by submitted_at, id")
        return [row[0] for row in rows]

    def run(self, seconds: float = 0.0) -> None:
        """Let time pass, and do all that is due then."""
        self.now += seconds
        for _ in range(50):
            try:
                pause = self.duty.tick()
            except Superseded:
                self.duty.use(self.world.conn)
                continue
            if self.duty.is_over:
                return
            if self.duty._call is not None:
                wait_until(lambda: self.duty.has_news, timeout=5)
            elif pause:
                return
        raise AssertionError("there is always more to do")

    def later(self, seconds: float) -> None:
        """Let time pass for the database, too."""
        self.world.conn.execute(
            "update allocation set submitted_at = submitted_at - %(by)s, cancelled_at = cancelled_at - %(by)s,"
            " started_at = started_at - %(by)s, seen_at = seen_at - %(by)s, ended_at = ended_at - %(by)s",
            {"by": timedelta(seconds=seconds)},
        )
        self.world.conn.execute(
            "update pool set not_before = not_before - %s", [timedelta(seconds=seconds)]
        )
        self.run(seconds)

    def work(self, jobs: int = 8) -> int:
        """A task that may claim."""
        task = self.world.task(jobs=jobs, name=f"user.ana.t{uuid4().hex[:6]}", test_jobs=0)
        self.world.conduct(rounds=2)
        self.run(1.0)
        return task

    def attach(self, allocation: Allocation, name: str = "cpu-101-n1") -> Pilot:
        """Let a pilot of an allocation come, as `services/work` would record it."""
        pilot = self.world.pilot(name)
        self.world.conn.execute(
            "update node set pool_id = %s, allocation_id = %s where id = %s",
            [self.pool.id, allocation.id, pilot.node],
        )
        self.world.conn.execute(
            "update allocation set state = 'SERVING', started_at = coalesce(started_at, now()) where id = %s",
            [allocation.id],
        )
        return pilot

    def end_all(self) -> None:
        """End all allocations, as another process would."""
        with connect(self.url) as conn:
            conn.execute("update allocation set state = 'ENDED', ended_at = now()")

    def silence(self, pilot: Pilot, seconds: float = 61.0) -> None:
        self.world.conn.execute(
            "update pilot set seen_at = now() - %s where node_id = %s",
            [timedelta(seconds=seconds), pilot.node],
        )


@pytest.fixture
def site(world: World, tmp_path: Path, database_url: str) -> Site:
    return Site(world, AllocationFiles(tmp_path / "pools" / "cpu"), database_url)


def test_nothing_is_submitted_without_work(site: Site) -> None:
    site.run()
    assert site.states() == []
    assert site.engine.questions == []
    assert site.pool.run_by == "ana on login"
    assert site.pool.account == "ana"
    assert site.pool.decision
    assert site.pool.decision.why


def test_work_is_answered_by_a_submission(site: Site) -> None:
    site.work()
    one = site.one()
    assert (one.state, one.engine_id) == (S.PENDING, "101")
    (asked,) = site.engine.submitted
    assert (asked.name, asked.spec.cpus) == (one.name, 2)
    path = site.files.configuration(one.id)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(path.read_text())["allocation"] == str(one.id)
    site.run(30.0)
    assert (site.one().word, site.one().reason) == ("PENDING", "Priority")


def test_the_row_is_there_before_the_engine_is_asked(site: Site) -> None:
    seen: list[list[str]] = []
    submit = site.engine.submit

    def asked(asked: Submission) -> str | Refusal:
        seen.append(site.states())
        return submit(asked)

    site.engine.submit = asked  # type: ignore[method-assign]
    site.work()
    assert seen == [["SUBMITTING"]]


@BOTH
def test_an_answer_that_comes_too_late_is_found_by_its_name(site: Site) -> None:
    site.engine.answers_late = True
    site.work(jobs=64)
    assert site.states() == ["SUBMITTING"]
    assert "timed out" in (site.pool.back_off.trouble or "")
    site.run(10.0)
    assert (site.one().state, site.one().engine_id) == (S.PENDING, "101")
    assert site.pool.back_off.trouble is None
    assert len(site.engine.submitted) == 1


def test_without_an_answer_nothing_else_is_submitted(site: Site) -> None:
    site.engine.is_silent = True
    site.work(jobs=64)
    site.later(600.0)
    assert site.states() == ["SUBMITTING"]
    said = pool_text.why(site.pool, datetime.now(UTC))
    assert "Slurm has not answered for" in str(said)
    assert "squeue: timed out" in str(said)
    site.engine.is_silent = False
    for _ in range(life.MISSES):
        site.run(10.0)
    site.run(1.0)
    assert site.states()[0] == "ENDED"
    assert site.one().engine_id == "101"
    assert site.pool.silence is None


def test_one_that_was_given_up_and_turns_up_is_cancelled(site: Site) -> None:
    site.engine.is_silent = True
    site.work()
    site.engine.is_silent = False
    site.world.conn.execute("update task set rank = null")
    site.later(200.0)
    for _ in range(life.MISSES):
        site.run(10.0)
    assert site.states() == ["ENDED"]
    (name,) = {name for _, names in site.engine.questions for name in names}
    site.engine.is_silent = False
    site.engine.reports["7"] = EngineReport("7", name, Phase.WAITING, "PENDING")
    site.run(30.0)
    assert site.engine.cancelled == [(frozenset({"7"}), False)]


def test_one_that_is_answered_after_it_was_given_up_is_cancelled(site: Site) -> None:
    submit = site.engine.submit

    def late(asked: Submission) -> str | Refusal:
        site.engine.submit = submit  # type: ignore[method-assign]
        site.end_all()
        return submit(asked)

    site.engine.submit = late  # type: ignore[method-assign]
    site.work()
    assert site.engine.cancelled[0] == (frozenset({"101"}), False)


def test_a_folder_that_cannot_be_written_is_a_refusal(site: Site, tmp_path: Path) -> None:
    (tmp_path / "pools").write_text("")
    site.work()
    assert site.states() == ["ENDED"]
    assert "pools/cpu: Not a directory" in (site.pool.back_off.trouble or "")
    assert site.engine.submitted == []


def test_what_a_pilot_printed_last_is_shown(site: Site) -> None:
    site.work()
    site.files.log(site.one().id).write_text("one\nerror: no database.\n")
    site.engine.say("101", Phase.OVER, "FAILED")
    site.run(30.0)
    assert site.pool.back_off.trouble == "FAILED: error: no database."


def test_a_refusal_is_shown_and_waited_for(site: Site) -> None:
    site.engine.refuses = Refusal("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    site.work()
    assert site.states() == ["ENDED"]
    assert site.pool.back_off.trouble == "sbatch: error: QOSMaxSubmitJobPerUserLimit"
    site.run(5.0)
    assert site.states() == ["ENDED"]
    site.engine.refuses = None
    site.later(31.0)
    assert site.states() == ["ENDED", "PENDING"]
    left = sorted(path.name for path in site.files.log(site.one().id).parent.iterdir())
    assert left == [f"{site.one().id}.json"]


def test_a_fatal_refusal_pauses_the_pool(site: Site) -> None:
    site.engine.refuses = Refusal("Invalid account", is_fatal=True)
    site.work()
    assert site.pool.pause_reason == "Invalid account"
    site.later(4000.0)
    assert site.states() == ["ENDED"]


@BOTH
def test_what_can_never_start_pauses_the_pool_and_is_cancelled(site: Site) -> None:
    site.work()
    site.engine.say("101", Phase.WAITING, "PENDING", is_hopeless=True)
    site.run(30.0)
    assert site.pool.paused_at
    assert site.engine.cancelled == [(frozenset({"101"}), True)]
    site.run(30.0)
    assert site.states() == ["ENDED"]


def test_an_allocation_that_ends_before_its_pilot_came_is_an_early_end(site: Site) -> None:
    site.work()
    site.engine.say("101", Phase.OVER, "FAILED")
    site.run(30.0)
    assert site.states() == ["ENDED"]
    assert site.pool.back_off.early_ends == 1
    assert site.pool.back_off.trouble == "FAILED"
    site.later(61.0)
    assert site.states() == ["ENDED", "PENDING"]


def test_an_unknown_id_is_no_failure(site: Site) -> None:
    site.work()
    site.run(30.0)
    del site.engine.reports["101"]
    for _ in range(life.MISSES - 1):
        site.run(30.0)
    assert site.one().state is S.PENDING
    site.run(30.0)
    assert site.one().state is S.UNKNOWN
    site.later(500.0)
    assert site.one().state is S.UNKNOWN
    site.later(200.0)
    assert site.states()[0] == "ENDED"
    assert site.pool.back_off.early_ends == 0


def serving(site: Site) -> Pilot:
    site.work()
    pilot = site.attach(site.one())
    pilot.start(*pilot.claim(cpu=2))
    site.engine.say("101", Phase.RUNNING, "RUNNING")
    site.run(30.0)
    assert site.one().state is S.SERVING
    return pilot


def test_the_engines_word_alone_does_not_end_what_serves(site: Site) -> None:
    pilot = serving(site)
    site.engine.say("101", Phase.OVER, "NODE_FAIL")
    site.run(30.0)
    assert (site.one().state, site.one().word) == (S.SERVING, "NODE_FAIL")
    site.silence(pilot)
    site.run(1.0)
    assert site.states()[0] == "ENDED"


def open_attempts(site: Site) -> int:
    row = site.world.conn.execute("select count(*) from attempt a where is_open(a)").fetchone()
    assert row
    return int(row[0])


@BOTH
def test_silent_pilots_are_fenced_where_the_engine_kills_all(site: Site) -> None:
    pilot = serving(site)
    site.silence(pilot)
    site.engine.say("101", Phase.OVER, "CANCELLED")
    site.run(30.0)
    assert site.states()[0] == "ENDED"
    assert open_attempts(site) == 0
    lost = site.world.conn.execute("select lost_at is not null from attempt").fetchall()
    assert lost == [(True,), (True,)]
    gone = site.world.conn.execute("select gone_at is not null from node").fetchall()
    assert gone == [(True,)]


@pytest.mark.parametrize("lost", [True, False])
def test_elsewhere_the_lease_is_waited_for(site: Site, lost: bool) -> None:
    site.engine.kills_all = lost
    pilot = serving(site)
    site.silence(pilot)
    site.engine.say("101", Phase.OVER, "NODE_FAIL", is_lost=lost)
    site.run(30.0)
    assert site.one().state is S.SERVING
    assert open_attempts(site) == 2
    site.world.conn.execute("update keeper set fenced_at = now(), fence_reason = 'lease'")
    site.run(1.0)
    assert site.states()[0] == "ENDED"


def test_pilots_that_have_left_end_it(site: Site) -> None:
    pilot = serving(site)
    site.world.conn.execute("update node set gone_at = now() where id = %s", [pilot.node])
    site.run(30.0)
    assert site.one().state is S.SERVING
    site.engine.say("101", Phase.OVER, "COMPLETED")
    site.run(30.0)
    assert site.states()[0] == "ENDED"
    assert site.pool.back_off.early_ends == 0


def test_one_that_runs_without_a_pilot_says_so(site: Site) -> None:
    site.work()
    site.engine.say("101", Phase.RUNNING, "RUNNING")
    site.run(30.0)
    assert site.one().state is S.STARTING
    site.later(150.0)
    assert "its pilot has not attached" in (site.one().reason or "")


@BOTH
def test_a_pool_is_deleted_when_its_allocations_have_ended(site: Site) -> None:
    site.work()
    path = site.files.configuration(site.one().id)
    pools.delete(site.world.conn, caller(site.world.conn), "cpu", "drain")
    site.run(1.0)
    assert site.engine.cancelled == [(frozenset({"101"}), True)]
    site.run(30.0)
    assert site.duty.is_over
    assert not path.exists()
    assert site.world.conn.execute("select * from leader where duty like 'pool:%'").fetchall() == []


def test_of_two_processes_one_acts(site: Site, database_url: str) -> None:
    with connect(database_url) as conn:
        other = PoolDuty("cpu", site.duty._means, lambda: site.now)
        other.use(conn)
        site.work()
        assert other.tick() > 0
        assert site.states() == ["PENDING"]
        site.duty.resign()
        other.tick()
        assert len(site.engine.submitted) == 1
        with pytest.raises(Superseded):
            site.duty._term.transact(lambda: True)


def test_a_process_that_stands_by_notices_a_deletion_and_a_new_pool_of_the_name(
    site: Site, database_url: str
) -> None:
    with connect(database_url) as conn:
        other = PoolDuty("cpu", site.duty._means, lambda: site.now)
        other.use(conn)
        site.run()
        other.tick()
        pools.delete(conn, caller(conn), "cpu")
        pools.create(conn, caller(conn), "cpu", "slurm")
        site.run()
        assert site.pool.run_by == "ana on login"
        pools.delete(conn, caller(conn), "cpu")
        other.tick()
        assert other.is_over


def test_one_that_belongs_to_somebody_else_now_is_left_alone(site: Site) -> None:
    site.run()
    site.world.person("bob")
    pools.change(site.world.conn, caller(site.world.conn), "cpu", PoolSettings(), owner="bob")
    site.work()
    assert site.states() == []
    assert site.pool.run_by is None


@BOTH
def test_an_allocation_without_a_job_although_jobs_waited_is_an_early_end(site: Site) -> None:
    site.work()
    pilot = site.attach(site.one())
    site.run(1.0)
    site.world.conn.execute("update node set gone_at = now() where id = %s", [pilot.node])
    site.world.conn.execute("update pilot set gone_at = now()")
    site.world.conn.execute("update allocation set state = 'ENDED', ended_at = now()")
    site.run(1.0)
    assert site.pool.back_off.early_ends == 1
    assert "without having run a job" in (site.pool.back_off.trouble or "")


class Killed(BaseException):
    """kill -9, at some step."""


def kill(*_: Any, **__: Any) -> Any:
    raise Killed


def at_once(call: Callable[[], Any], _wake: Callable[[], None], *, name: str) -> Call[Any]:
    """An engine's call in the same thread, so that an exception in it ends the process."""
    assert name
    return Call(call(), is_over=True)


@pytest.mark.parametrize("at", ["before the row", "row", "file", "submitted", "answered"])
def test_a_process_killed_at_any_step_submits_nothing_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    submit = site.engine.submit
    steps: dict[str, tuple[object, str, Callable[..., Any]]] = {
        "before the row": (allocations, "reserve", kill),
        "row": (site.files, "write", kill),
        "file": (site.engine, "submit", kill),
        "submitted": (site.engine, "submit", lambda asked: kill(submit(asked))),
        "answered": (allocations, "accepted", kill),
    }
    with monkeypatch.context() as killing:
        killing.setattr(engine_thread, "start", at_once)
        killing.setattr(*steps[at])
        with pytest.raises(Killed):
            site.work()
    site.restart()
    site.run(1.0)
    for _ in range(life.MISSES):
        site.later(60.0)
    alive = [each for each in site.engine.reports.values() if each.phase is not Phase.OVER]
    assert [each.engine_id for each in alive] == [each.engine_id for each in site.live] == ["101"]
