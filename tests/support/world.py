"""A small world in the database: users, nodes, pilots, data sets and tasks, with only the necessary columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from orchestra.conductor.order import TaskOrder
from orchestra.domain.models.pilots import KeeperHello, PilotHello
from orchestra.domain.models.tasks import Counts
from orchestra.domain.models.work import Claim, Grant, Outcome, Place, Started
from orchestra.domain.resources import DeviceRoom, Room
from orchestra.domain.states import Cause, JobState, JobStatus, Queue, TaskState
from orchestra.interface.local import Local
from orchestra.services import work
from orchestra.store.tasks import live_tasks
from support.people import interface

_AMOUNTS = "seconds, failed_seconds, lost_seconds, cpu_seconds, gpu_seconds, memory_byte_seconds"


@dataclass
class Pilot:
    """A pilot without processes: it claims and reports when the test calls it."""

    conn: psycopg.Connection
    node: int
    agent: UUID
    keeper: UUID
    request: int = 0

    def claim(self, cpu: int = 1, gpu: int = 0) -> tuple[Grant, ...]:
        return self.claim_answer(cpu, gpu).grants

    def claim_answer(
        self,
        cpu: int = 1,
        gpu: int = 0,
        *,
        after: Mapping[Queue, Place] | None = None,
        seconds_left: float = inf,
    ) -> Claim:
        self.request += 1
        room = Room(cpu, (DeviceRoom(),) * gpu, seconds_left=seconds_left)
        return work.claim(self.conn, self.agent, self.keeper, self.request, room, after=after)

    def start(self, *grants: Grant) -> tuple[Any, ...]:
        return work.started(self.conn, self.keeper, [Started(g.key, 0.1) for g in grants])

    def end(self, *grants: Grant, status: int = 0, cause: Cause = Cause.EXIT) -> None:
        exit_status = status if cause is Cause.EXIT else None
        outcomes = [Outcome(g.key, cause, exit_status=exit_status, seconds=1.0) for g in grants]
        work.report(self.conn, self.keeper, outcomes)


@dataclass
class World:
    """What a test sets up and inspects."""

    conn: psycopg.Connection
    order: TaskOrder = field(default_factory=TaskOrder)

    def person(self, name: str = "ana") -> int:
        """Return a user's id; create the user if there is none of that name."""
        return int(
            self._one(
                "insert into person (name, email) values (%s, %s) "
                "on conflict (name) do update set name = excluded.name returning id",
                name,
                f"{name}@example.org",
            )
        )

    def interface(self, name: str = "ana") -> Local:
        """The interface that carries out a user's requests; the user is created at the first one."""
        return interface(self.conn, name)

    def pilot(
        self, name: str = "gauss", *, conn: psycopg.Connection | None = None, **hello: Any
    ) -> Pilot:
        """A node of 8 CPU and 2 GPU slots, with a pilot."""
        conn = conn or self.conn
        self.conn.execute(
            "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max) values (%s, 8, 8, 2, 2) "
            "on conflict do nothing",
            [name],
        )
        standing = work.attach(conn, self.hello(name, **hello))
        agent = self._one("select agent from pilot where node_id = %s", standing.node_id)
        boot = str(hello.get("boot_id", "boot-1"))
        machine = str(hello.get("machine_id", f"machine-{name}"))
        keeper = KeeperHello(uuid4(), machine, boot, 4711, "0", work.PROTOCOL)
        work.register_keeper(conn, standing.node_id, keeper)
        return Pilot(conn, standing.node_id, agent, keeper.id)

    def hello(self, name: str = "gauss", **changes: Any) -> PilotHello:
        values = {
            "node": name,
            "agent": uuid4(),
            "machine_id": f"machine-{name}",
            "boot_id": "boot-1",
            "host": name,
            "pid": 4711,
            "account": "ana",
            "is_root": False,
            "serve_all": False,
            "may_conduct": True,
            "version": "0",
            "protocol": work.PROTOCOL,
        }
        return PilotHello(**{**values, **changes})

    def dataset_version(
        self, files: int, root: str = "/data/configs", *, is_folder: bool = True
    ) -> int:
        version = self._one(
            "insert into dataset_version (root, is_folder, files, bytes) values (%s, %s, %s, 0) returning id",
            root, is_folder, files,
        )  # fmt: skip
        self.conn.execute(
            "insert into dataset_file (version_id, ordinal, path, size, mtime_ns, sha256) "
            "select %s, n, 'config.' || n || '.json', 10, 0, sha256(n::text::bytea) from generate_series(0, %s) n",
            [version, files - 1],
        )
        return int(version)

    def task(
        self, jobs: int = 36, name: str = "user.ana.task", owner: str = "ana", **columns: Any
    ) -> int:
        """A registered task whose data is one file; `columns` are those of its row."""
        data = self.dataset_version(1, "/data/digits.npz", is_folder=False)
        values: dict[str, Any] = {
            "name": name,
            "owner_id": self.person(owner),
            "account": owner,
            "queue": "cpu",
            "command": "run -d %DATA -c %IN -o %OUT",
            "config_version_id": self.dataset_version(jobs),
            "volume": "/data/ana",
            "folder": f"/data/ana/{name}",
            "jobs": jobs,
            **columns,
        }
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        task = self._one(
            f"insert into task ({names}) values ({marks}) returning id", *values.values()
        )
        self.conn.execute("insert into task_input values (%s, 'DATA', %s)", [task, data])
        self.conn.execute(
            "insert into job (task_id, ordinal) select %s, n from generate_series(0, %s) n",
            [task, jobs - 1],
        )
        self.conn.execute(
            "insert into task_count (task_id, stripe, registered) values (%s, 0, %s)", [task, jobs]
        )
        return int(task)

    def state(self, task: int) -> TaskState:
        return TaskState(self._one("select state from task where id = %s", task))

    def jobs(self, task: int) -> list[JobState]:
        rows = self.conn.execute(
            "select state from job where task_id = %s order by ordinal", [task]
        )
        return [JobState(row[0]) for row in rows]

    def counts(self, task: int) -> Counts:
        """The sums of the counts that triggers maintain."""
        sums = ", ".join(f"coalesce(sum({f.value}), 0)::int as {f.value}" for f in JobStatus)
        with self.conn.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                f"select {sums} from task_count where task_id = %s", [task]
            ).fetchone()
        assert row
        return Counts(**row)

    def true_counts(self, task: int) -> Counts:
        """The same, counted from the jobs."""
        rows = self.conn.execute(
            "select job_figure(state, is_test, kill_requested, keeper_id is not null), count(*) "
            "from job where task_id = %s group by 1",
            [task],
        )
        return Counts(**dict(rows.fetchall()))

    def usage(self) -> dict[Any, tuple[float, ...]]:
        """What the days say that attempts took, by day, task, revision and node; rounded, since sums are of floats."""
        return self._usage_of(
            "select day, task_id, revision, node_id, cpus, gpu_milli, memory_bytes, attempts, done, failed, lost, "
            f"{_AMOUNTS} from usage_daily where attempts <> 0"
        )

    def true_usage(self) -> dict[Any, tuple[float, ...]]:
        """The same, summed over the attempts."""
        sums = ", ".join(
            f"sum(u.{name})"
            for name in ("attempts", "done", "failed", "lost", *_AMOUNTS.split(", "))
        )
        return self._usage_of(
            f"select u.day, a.task_id, a.revision, a.node_id, r.cpus, r.gpu_milli, r.memory_bytes, {sums} "
            "from attempt a, usage_of(a) u, usage_row(a.task_id, a.revision, a.node_id) r group by 1, 2, 3, 4, 5, 6, 7"
        )

    def _usage_of(self, statement: str) -> dict[Any, tuple[float, ...]]:
        rows = self.conn.execute(statement).fetchall()
        return {row[:4]: tuple(round(float(value), 3) for value in row[4:]) for row in rows}

    def conduct(self, rounds: int = 1) -> None:
        """Carry out the conductor's duties for tasks."""
        from orchestra.conductor.lifecycle import advance
        from orchestra.store.driver.database import in_transaction
        from orchestra.store.work import attempts

        for _ in range(rounds):
            tasks = live_tasks.read(self.conn)
            advance(self.conn, lambda step: in_transaction(self.conn, step), tasks)
            self.order.rerank(self.conn, live_tasks.read(self.conn))
            attempts.end_back_off(self.conn, 100)

    def reserve(self) -> None:
        """Carry out the conductor's duty to reserve nodes for jobs that fit on none now."""
        order, tasks = TaskOrder(), live_tasks.read(self.conn)
        order.rerank(self.conn, tasks)
        order.reserve(self.conn, tasks)

    def run_all(self, failing: Collection[int] = ()) -> None:
        """Let a pilot run the jobs of all tasks, test jobs first; those with an index in `failing` fail."""
        pilot = self.pilot(is_root=True)
        for _ in range(6):
            self.conduct()
            if grants := pilot.claim(cpu=100):
                pilot.start(*grants)
                pilot.end(*[g for g in grants if g.key.index not in failing])
                pilot.end(*[g for g in grants if g.key.index in failing], status=3)
        self.conduct(3)

    def wait_out_back_off(self) -> None:
        """End the delay of failed jobs before a retry."""
        self.conn.execute("update job set not_before = now() where not_before is not null")
        self.conduct()

    def guard(self, margin: float = 120.0) -> None:
        """Carry out the conductor's duty for leases."""
        from orchestra.conductor import leases
        from orchestra.store.driver.database import in_transaction

        leases.expire(self.conn, lambda step: in_transaction(self.conn, step), margin=margin)

    def age(self, seconds: float, *, gap: bool = False) -> None:
        """Let time pass for every keeper and for the conductor's term; with `gap`, the term was not held meanwhile."""
        self.conn.execute(
            "update keeper set renewed_at = renewed_at - make_interval(secs => %(s)s), "
            "lease_until = lease_until - make_interval(secs => %(s)s)",
            {"s": seconds},
        )
        held = 0.0 if gap else seconds
        self.conn.execute(
            "update leader set held_since = held_since - make_interval(secs => %s)", [held]
        )

    def column(self, task: int, column: str) -> Any:
        return self._one(f"select {column} from task where id = %s", task)

    def attempt(self, grant: Grant) -> Mapping[str, Any]:
        key = grant.key
        with self.conn.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(
                "select * from attempt where (task_id, ordinal, number) = (%s, %s, %s)",
                [key.task_id, key.index, key.number],
            ).fetchone()
        assert row
        return row

    def _one(self, statement: str, *params: Any) -> Any:
        row = self.conn.execute(statement, params).fetchone()
        assert row
        return row[0]
