"""Pools as JSON: programs read these names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

from orchestra.cli.pool_record import pool_record
from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    Decision,
    Pool,
    PoolLimits,
    PoolSpec,
)
from orchestra.domain.plain_json import to_json

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_the_json_of_a_pool() -> None:
    live = Allocation(uuid4(), "long", "17", AllocationState.PENDING, NOW, "PENDING", "Priority")
    decision = Decision(1, (live.id,), 2, "40 jobs wait.", NOW)
    pool = Pool(1, "long", "slurm", "ana", None, PoolSpec(sbatch=("-Lx",)), PoolLimits(), NOW,
                decision=decision, live=(live,))  # fmt: skip
    found = json.loads(to_json(pool_record(pool, NOW)))
    assert set(found) == {
        "name", "state", "engine", "owner", "account", "serves_all", "run_by", "asks", "limits", "created_at",
        "paused_at", "paused_by", "pause_reason", "back_off", "decision", "decided_at", "deletion", "silent_since",
        "silence", "allocations",
    }  # fmt: skip
    assert set(found["asks"]) == {
        "queue", "partition", "account", "qos", "constraint", "gres", "cpus", "memory_bytes", "gpus", "nodes", "sbatch",
        "keep_slurm_env",
    }  # fmt: skip
    assert set(found["limits"]) == {
        "max_pilots", "min_pilots", "max_pending", "walltime", "min_work", "idle",
    }  # fmt: skip
    assert found["decision"] == {
        "submit": 1,
        "withdraw": [str(live.id)],
        "need": 2,
        "why": "40 jobs wait.",
    }
    (allocation,) = found["allocations"]
    assert set(allocation) == {
        "id", "engine_id", "state", "word", "reason", "nodes", "pilots", "running_jobs", "submitted_at", "started_at",
        "ends_at", "first_job_at", "seen_at", "cancelled_at", "ended_at",
    }  # fmt: skip
    assert (allocation["state"], allocation["reason"]) == ("PENDING", "Priority")
