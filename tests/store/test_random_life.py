"""Random operations on tasks from several connections.

Only allowed transitions happen, the counts are exact, and no more jobs are released or alive than max_running allows.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.datasets import Manifest, ManifestEntry
from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.work import Grant
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.domain.transitions import TaskInput, job_transitions, task_transitions
from orchestra.services import work
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle, running_limit, updating
from orchestra.services.tasks import settings as task_settings
from orchestra.store import datasets as dataset_store
from orchestra.store.driver.database import connect, in_transaction
from orchestra.store.tasks import task_mutations
from support.people import as_admin, caller
from support.server import Server
from support.world import Pilot, World

JOBS = 7
MOST = 9
"""Jobs that the task has when all files have been there."""
PILOTS = 3
_COMMANDS = [
    TaskInput.KILL,
    TaskInput.RETRY,
    TaskInput.RETRY_ALL,
    TaskInput.HOLD,
    TaskInput.RELEASE,
]
_CAUSES = [Cause.EXIT, Cause.EXIT, Cause.SIGNAL, Cause.TIMEOUT, Cause.ENDED, Cause.LOST, Cause.LEASE,
           Cause.NO_START, Cause.NO_CONTAINER, Cause.RETURNED, Cause.INPUT]  # fmt: skip

steps = st.one_of(
    st.tuples(st.just("conduct"), st.integers(1, 3)),
    st.tuples(st.just("claim"), st.integers(0, PILOTS - 1), st.integers(1, 4)),
    st.tuples(st.just("start"), st.integers(0, 20)),
    st.tuples(st.just("end"), st.integers(0, 20), st.sampled_from(_CAUSES), st.integers(0, 1)),
    st.tuples(st.just("command"), st.sampled_from(_COMMANDS)),
    st.tuples(st.just("job_retry"), st.integers(0, MOST - 1)),
    st.tuples(st.just("job_kill"), st.integers(0, MOST - 1)),
    st.tuples(st.just("reconcile"), st.integers(0, PILOTS - 1)),
    st.tuples(st.just("lose"), st.integers(0, PILOTS - 1)),
    st.tuples(st.just("close_out"), st.integers(0, PILOTS - 1)),
    st.tuples(st.just("advance_cursors")),
    st.tuples(st.just("set"), st.integers(1, 3)),
    st.tuples(st.just("update"), st.sets(st.integers(0, MOST - 1), min_size=1), st.booleans()),
    st.tuples(st.just("limit"), st.one_of(st.none(), st.integers(1, JOBS))),
    st.tuples(st.just("delays_end")),
)


class Life:
    """One task, three pilots with their own connections, and all grants so far."""

    def __init__(
        self,
        world: World,
        connections: Sequence[psycopg.Connection],
        test_jobs: int,
        retries: int,
        limit: int | None = None,
    ) -> None:
        self.world = world
        self.task = world.task(jobs=JOBS, test_jobs=test_jobs, retries=retries, max_running=limit)
        self.limit, self.allowed = limit, MOST if limit is None else limit
        self.pilots = [world.pilot(f"node{n}", conn=conn) for n, conn in enumerate(connections)]
        self.grants: list[tuple[Pilot, Grant]] = []
        self.ana = caller(world.conn)
        self.grid = world._one(
            "insert into dataset (name, owner_id) values ('user.ana.grid', %s) returning id",
            self.ana.user.id,
        )
        world.conn.execute(
            "update dataset_version set dataset_id = %s where root = '/data/configs'", [self.grid]
        )

    def step(self, name: str, *args: object) -> None:
        with contextlib.suppress(OrchestraError):  # a refused transition changes nothing
            getattr(self, f"_{name}")(*args)

    def _conduct(self, rounds: int) -> None:
        for _ in range(rounds):
            self.world.conduct()
            self.check()

    def _claim(self, pilot: int, jobs: int) -> None:
        chosen = self.pilots[pilot]
        self.grants += [(chosen, grant) for grant in chosen.claim(cpu=jobs)]

    def _start(self, which: int) -> None:
        if self.grants:
            pilot, grant = self.grants[which % len(self.grants)]
            pilot.start(grant)

    def _end(self, which: int, cause: Cause, status: int) -> None:
        if self.grants:
            pilot, grant = self.grants[which % len(self.grants)]
            pilot.end(grant, cause=cause, status=status)

    def _command(self, given: TaskInput) -> None:
        lifecycle.apply(self.pilots[0].conn, self.task, given, by="ana", why="as it pleases")

    def _job_retry(self, index: int) -> None:
        lifecycle.retry_jobs(self.pilots[1].conn, self.task, [index], by="ana")

    def _job_kill(self, index: int) -> None:
        lifecycle.kill_jobs(self.pilots[2].conn, self.task, [index], by="ana")

    def _reconcile(self, pilot: int) -> None:
        chosen = self.pilots[pilot]
        held = {grant.key for owner, grant in self.grants if owner is chosen}
        work.reconcile(chosen.conn, chosen.keeper, chosen.request, set(list(held)[::2]))

    def _lose(self, pilot: int) -> None:
        chosen = self.pilots[pilot]
        nodes.lose(chosen.conn, as_admin(chosen.conn), f"node{pilot}", force=True)
        self._new_keeper(chosen, pilot)

    def _close_out(self, pilot: int) -> None:
        chosen = self.pilots[pilot]
        work.close_out(chosen.conn, chosen.agent, chosen.keeper, "its keeper has died")
        self._new_keeper(chosen, pilot)

    def _advance_cursors(self) -> None:
        self.world.conn.execute("select raise_job_floor(%s, 1)", [self.task])

    def _set(self, cores: int) -> None:
        ana = as_admin(self.pilots[2].conn)
        task_settings.change(self.pilots[2].conn, ana, self.task, NewSettings(cores=cores))

    def _limit(self, limit: int | None) -> None:
        conn = self.pilots[0].conn
        in_transaction(conn, lambda: self._set_limit(conn, limit))

    def _set_limit(self, conn: psycopg.Connection, limit: int | None) -> None:
        task_mutations.lock_task(conn, self.task)
        running_limit.set_limit(conn, self.task, limit, by="ana")
        self.limit = limit
        self.allowed = max(self.allowed, MOST if limit is None else limit)

    def _delays_end(self) -> None:
        self.world.conn.execute("update job set not_before = now() where not_before is not null")

    def _update(self, files: set[int], every: bool) -> None:
        entries = (ManifestEntry(f"config.{n}.json", 1, 0, secrets.token_bytes(32)) for n in files)
        conn = self.pilots[1].conn
        dataset_store.add_version(conn, self.grid, Manifest("/data/configs", True, tuple(entries)))
        updating.update(conn, self.ana, self.task, every=every)

    @staticmethod
    def _new_keeper(pilot: Pilot, number: int) -> None:
        keeper = KeeperHello(uuid4(), f"machine-node{number}", "boot-1", 4711, "0", work.PROTOCOL)
        work.register_keeper(pilot.conn, pilot.node, keeper)
        pilot.keeper = keeper.id

    def check(self) -> None:
        """The invariants that hold after every step."""
        state = self.world.state(self.task)
        moves = self.world.conn.execute(
            "delete from audit returning what, before, after"
        ).fetchall()
        for what, before, after in moves:
            if what == "places":
                assert int(after) <= self.allowed
            elif what == "task":
                assert (TaskState(before), TaskState(after)) in task_transitions()
            else:
                assert (JobState(before), JobState(after)) in job_transitions()
        counts = self.world.counts(self.task)
        assert counts == self.world.true_counts(self.task)
        assert counts.total == self.world.column(self.task, "jobs") <= MOST
        assert self.removed == self.world._one(
            "select sum(removed) from task_count where task_id = %s", self.task
        )
        # Once fewer may run than do, places are only left.
        if moves and self.limit is not None:
            self.allowed = max(self.limit, self.world._one(_PLACES, self.task))
        if not state.is_live:
            assert counts.living == 0
        assert self.world.conn.execute(_HIDDEN, [self.task]).fetchall() == []
        assert self.world.usage() == self.world.true_usage()

    @property
    def removed(self) -> int:
        return int(
            self.world._one(
                "select count(*) from job where task_id = %s and removed and state = 'killed'",
                self.task,
            )
        )

    def finish(self) -> None:
        """Whatever happened before: with well-behaved pilots the task ends, and no attempt stays open."""
        for _, grant in self.grants:
            assert self.world.attempt(grant)["revision"] == grant.revision
        with contextlib.suppress(OrchestraError):
            lifecycle.apply(self.world.conn, self.task, TaskInput.RELEASE, by="ana")
        for _ in range(40):
            self.world.wait_out_back_off()
            for number, pilot in enumerate(self.pilots):
                self._claim(number, MOST)
                for owner, grant in self.grants:
                    if owner is pilot and self.world.attempt(grant)["lost_at"] is None:
                        pilot.end(grant)
            self.check()
            if not self.world.state(self.task).is_live:
                break
        assert not self.world.state(self.task).is_live
        counts = self.world.counts(self.task)
        assert counts.ended == self.world.column(self.task, "jobs")
        if self.world.state(self.task) is TaskState.DONE:
            assert counts.done + self.removed == counts.ended


# Jobs that no claim would find: claimable ones below the cursor of their turn.
_HIDDEN = """
select j.ordinal from job j
cross join lateral (
    select ordinal from job_floor c where c.task_id = j.task_id and c.turn = j.turn order by id desc limit 1
) as cursor
where j.task_id = %s and j.ordinal < cursor.ordinal
    and j.state = 'assigned' and j.keeper_id is null and j.not_before is null
"""

# Written by the database itself at every change, so that none is missed between two checks.
_PLACES = """
select count(*) from job where task_id = %s and state in ('assigned', 'running') and not_before is null
"""
_AUDIT = """
create table audit (id bigint generated always as identity, what text, before text, after text);
create function write_audit() returns trigger language plpgsql as $$
begin
    insert into audit (what, before, after) values (tg_table_name, old.state, new.state);
    return null;
end $$;
create function write_places() returns trigger language plpgsql as $$
begin
    insert into audit (what, after)
    select 'places', count(*) from job where state in ('assigned', 'running') and not_before is null;
    return null;
end $$;
create trigger audit_places after update on job for each statement execute function write_places();
create trigger audit_job after update on job for each row
    when (old.state <> new.state) execute function write_audit();
create trigger audit_task after update on task for each row
    when (old.state <> new.state) execute function write_audit();
"""


@pytest.fixture(scope="module")
def connections(database_server: Server) -> Iterator[Sequence[psycopg.Connection]]:
    with (
        database_server.clone(f"random_life_{secrets.token_hex(4)}") as url,
        contextlib.ExitStack() as stack,
    ):
        found = [stack.enter_context(connect(url)) for _ in range(PILOTS + 1)]
        found[0].execute(_AUDIT)
        yield found


@pytest.mark.servers("embedded")
@pytest.mark.timeout(600)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    test_jobs=st.integers(0, 4),
    retries=st.integers(0, 2),
    limit=st.one_of(st.none(), st.integers(1, 3)),
    life=st.lists(steps, max_size=30),
)
@example(test_jobs=1, retries=0, limit=None, life=[("conduct", 1), ("update", {1}, False)])
def test_states_move_along_the_table_and_counts_are_exact(
    connections: Sequence[psycopg.Connection],
    test_jobs: int,
    retries: int,
    limit: int | None,
    life: list[tuple[str, object]],
) -> None:
    first = connections[0]
    first.execute(
        "truncate job, attempt, event, task_count, task, task_input, node, pilot, keeper, person, usage_daily "
        "cascade"
    )
    world = Life(World(first), connections[1:], test_jobs, retries, limit)
    for name, *args in life:
        world.step(name, *args)
        world.check()
    world.finish()
    _check_events(first, world.task)


def _check_events(conn: psycopg.Connection, task: int) -> None:
    """Every change of the task's state has an event, and these form one chain."""
    rows = conn.execute(
        "select from_state, to_state from event where kind = 'task' and task_id = %s order by id",
        [task],
    ).fetchall()
    state = "REGISTERED"
    for before, after in rows:
        assert before == state
        state = after
    assert state == conn.execute("select state::text from task where id = %s", [task]).fetchone()[0]  # type: ignore[index]
