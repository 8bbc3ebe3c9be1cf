"""Pilots in allocations of a pool, started by hand: no engine and no process that submits takes part."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from orchestra.domain.pools import names
from support.cluster import Cluster
from support.processes import command_lines
from support.waiting import wait_until


@dataclass
class LentPilots:
    """The allocations of a pool, in the database of a cluster. `state` has the folders of their pilots."""

    cluster: Cluster
    pool: str = "mesh"
    queue: str = "cpu"
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = self.cluster.folder / "lent"
        self.columns(idle=300.0)

    def columns(self, **values: Any) -> None:
        """Set columns of the pool's row, which is made if it is not there."""
        conn = self.cluster.conn
        conn.execute(
            "insert into pool (name, engine, spec, max_pilots, max_pending, min_work, idle) "
            "values (%s, 'local', %s, 10, 4, 0, 300) on conflict do nothing",
            [self.pool, json.dumps({"queue": self.queue})],
        )
        for name, value in values.items():
            conn.execute(f"update pool set {name} = %s where name = %s", [value, self.pool])

    def allocation(self, nodes: int = 1) -> UUID:
        """Make an allocation that the engine has accepted."""
        made = uuid4()
        self.cluster.conn.execute(
            "insert into allocation (id, pool_id, state, nodes) "
            "values (%s, (select id from pool where name = %s), 'PENDING', %s)",
            [made, self.pool, nodes],
        )
        return made

    def start(
        self,
        allocation: UUID,
        *,
        lasts: float = 3600.0,
        cpus: int = 2,
        host: str | None = None,
        env: dict[str, str] | None = None,
        **file: Any,
    ) -> subprocess.Popen[str]:
        """Start the pilot of an allocation, as an engine would."""
        record = {
            "allocation": str(allocation),
            "pool": self.pool,
            "engine": "local",
            "queue": self.queue,
            "settings": {"postgres": self.cluster.url, "state_dir": str(self.state)},
            "serve_all": True,
            "allow_root": True,
            **file,
        }
        path = self.cluster.folder / f"{allocation}.json"
        path.write_text(json.dumps(record))
        path.chmod(0o600)
        engine_id = self._ids.setdefault(str(allocation), f"{len(self._ids) + 1}")
        inside = {
            "ORCHESTRA_LOCAL_ID": engine_id,
            "ORCHESTRA_LOCAL_END": str(time.time() + lasts),
            "ORCHESTRA_LOCAL_CPUS": str(cpus),
        }
        on_host = ("unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', host) if host else ()
        program = (sys.executable, "-P", "-m", "orchestra.cli.main")
        command = (*program, "pilot", "run", "--allocation", str(path))
        log = self.cluster.folder / f"{allocation}.log"
        with log.open("a") as output:
            process = subprocess.Popen(
                [*on_host, *command],
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    **inside,
                    **(env or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def node(self, allocation: UUID) -> str:
        """The name of the allocation's node on this machine."""
        return names.node_name(self.pool, self._ids[str(allocation)], 0, os.uname().nodename)

    def folder(self, allocation: UUID) -> Path:
        """The folder of its pilot."""
        found = list(self.state.glob(f"*/{self.node(allocation)}"))
        return found[0] if found else self.state / "none"

    def log(self, allocation: UUID) -> str:
        path = self.cluster.folder / f"{allocation}.log"
        return path.read_text() if path.exists() else "(no log)"

    def is_now(self, allocation: UUID, state: str, timeout: float = 20) -> None:
        """Wait until the allocation is in a state."""
        wait_until(
            lambda: self.of(allocation)["state"] == state, timeout, lambda: self.log(allocation)
        )

    def of(self, allocation: UUID) -> dict[str, Any]:
        """The row of an allocation."""
        row = self.cluster.conn.execute(
            "select to_jsonb(a) from allocation a where id = %s", [allocation]
        ).fetchone()
        assert row
        return dict(row[0])

    def gone(self, allocation: UUID) -> list[bool]:
        """For each node of an allocation, whether it is gone."""
        rows = self.cluster.conn.execute(
            "select gone_at is not null from node where allocation_id = %s", [allocation]
        )
        return [row[0] for row in rows]

    def end(self) -> None:
        """End every pilot, keeper and job."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for pid, line in command_lines().items():
            if str(self.cluster.folder) not in line or "slurm-cluster" in line:
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
