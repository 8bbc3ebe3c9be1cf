"""Pools and allocations as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestra.domain.pools.pool_text import state_of

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.cli.output import Record
    from orchestra.domain.models.pools import Allocation, Decision, Pool


def pool_record(pool: Pool, now: datetime) -> Record:
    """Return a pool as JSON. Times of limits in seconds, memory in bytes."""
    return {
        "name": pool.name,
        "state": state_of(pool, now),
        "engine": pool.engine,
        "owner": pool.owner,
        "account": pool.account,
        "serves_all": pool.serves_all,
        "run_by": pool.run_by,
        "asks": asdict(pool.spec) | {"queue": pool.spec.queue.value},
        "limits": asdict(pool.limits),
        "created_at": pool.created_at,
        "paused_at": pool.paused_at,
        "paused_by": pool.paused_by,
        "pause_reason": pool.pause_reason,
        "back_off": asdict(pool.back_off),
        "decision": pool.decision and decision_record(pool.decision),
        "decided_at": pool.decided_at,
        "deletion": pool.deletion,
        "silent_since": pool.silent_since,
        "silence": pool.silence,
        "allocations": [allocation_record(each) for each in pool.live],
    }


def decision_record(decision: Decision) -> Record:
    return {
        "submit": decision.submit,
        "withdraw": [str(each) for each in decision.withdraw],
        "need": decision.need,
        "why": decision.why,
    }


def allocation_record(allocation: Allocation) -> Record:
    return {
        "id": str(allocation.id),
        "engine_id": allocation.engine_id,
        "state": allocation.state.value,
        "word": allocation.word,
        "reason": allocation.reason,
        "nodes": allocation.nodes,
        "pilots": list(allocation.pilots),
        "running_jobs": allocation.running,
        "submitted_at": allocation.submitted_at,
        "started_at": allocation.started_at,
        "ends_at": allocation.ends_at,
        "first_job_at": allocation.first_job_at,
        "seen_at": allocation.seen_at,
        "cancelled_at": allocation.cancelled_at,
        "ended_at": allocation.ended_at,
    }
