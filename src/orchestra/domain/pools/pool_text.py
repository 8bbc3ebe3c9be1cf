"""A pool in words, for tables and sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.human import count, duration, listed, relative, sentence, size
from orchestra.domain.models.pools import Allocation, AllocationState, Pool, PoolLimits, PoolSpec
from orchestra.domain.pools.decision_text import what_happened
from orchestra.domain.wording import Action, Sentence, words

_CHOICES = ("partition", "account", "qos", "constraint", "gres")


def state_of(pool: Pool, now: datetime) -> str:
    """Return the state of a pool in one word: what holds it back, or else what its allocations do."""
    if pool.deletion:
        return "DELETING"
    if pool.paused_at:
        return "PAUSED"
    if pool.run_by is None:
        return "NOT RUN"
    if backs_off(pool, now):
        return "BACKING OFF"
    if any(each.state is not AllocationState.STARTING for each in running(pool)):
        return "SERVING"
    return "STARTING" if pool.live else "IDLE"


def backs_off(pool: Pool, now: datetime) -> bool:
    """Whether nothing is submitted for a while."""
    until = pool.back_off.not_before
    return until is not None and until > now


def running(pool: Pool) -> list[Allocation]:
    """Return the allocations that have started and not ended."""
    return [each for each in pool.live if not _may_wait(each)]


def pending(pool: Pool) -> list[Allocation]:
    """Return the allocations that may still wait in the engine's queue."""
    return [each for each in pool.live if _may_wait(each)]


def _may_wait(allocation: Allocation) -> bool:
    """Whether it has not started as far as is known: also one that is withdrawn, or that the engine does not know."""
    has_started = allocation.state in (AllocationState.STARTING, AllocationState.SERVING)
    return allocation.started_at is None and not allocation.pilots and not has_started


@dataclass(frozen=True, slots=True)
class AllocationCounts:
    """How many allocations of a pool run, are pending, and may exist at most."""

    running: int
    pending: int
    most: int


def counts(pool: Pool) -> AllocationCounts:
    """Count the allocations of a pool."""
    most = max(1, pool.limits.max_pilots // pool.spec.nodes)
    return AllocationCounts(len(running(pool)), len(pending(pool)), most)


def why(pool: Pool, now: datetime) -> Sentence:
    """Return what holds a pool back, what its pending allocations wait for, or else the latest decision."""
    obstacle = next(obstacles(pool, now), None)
    if obstacle is not None:
        return obstacle
    waits = reasons(pending(pool))
    decided = pool.decision.why if pool.decision else ""
    return f"{pool.engine.capitalize()} says: {waits}. {decided}".strip() if waits else decided


def reasons(allocations: list[Allocation]) -> str:
    """Return the engine's reasons why allocations wait, each once: `Priority`, `Resources and QOSMaxJobs`."""
    found = dict.fromkeys(each.reason or each.word or "" for each in allocations)
    return listed([each for each in found if each], most=3)


def size_in_words(spec: PoolSpec) -> str:
    """Return what each node of an allocation has: `4 CPUs, 16 GB, 1 GPU`."""
    parts = [count(spec.cpus, "CPU")]
    parts += [size(spec.memory_bytes)] if spec.memory_bytes else []
    parts += [count(spec.gpus, "GPU")] if spec.gpus else []
    each = " on each node" if spec.nodes > 1 else ""
    nodes = [f"{spec.nodes} nodes"] if spec.nodes > 1 else []
    return ", ".join([*parts[:-1], parts[-1] + each, *nodes])


def choices_in_words(spec: PoolSpec) -> str:
    """Return where allocations go: `partition long, account lab`; empty for the engine's defaults."""
    chosen = [f"{name} {getattr(spec, name)}" for name in _CHOICES if getattr(spec, name)]
    return ", ".join(chosen)


def limits_in_words(limits: PoolLimits) -> str:
    """Return how many pilots there may be and for how long: `at most 10 pilots, 4 pending, 4 h each`."""
    least = f"{limits.min_pilots} to {limits.max_pilots}"
    pilots = f"at most {limits.max_pilots}" if not limits.min_pilots else least
    parts = [f"{pilots} {'pilot' if limits.max_pilots == 1 else 'pilots'}"]
    parts.append(f"at most {limits.max_pending} pending")
    if limits.walltime:
        parts.append(f"{duration(limits.walltime)} each")
    return ", ".join(parts)


def obstacles(pool: Pool, now: datetime) -> Iterator[Sentence]:
    """Yield why a pool submits nothing at present, whatever work there is."""
    if pool.deletion:
        yield f"Pool {pool.name} is being deleted."
        return
    if pool.paused_at:
        why = f': "{pool.pause_reason}"' if pool.pause_reason else ""
        ago = relative(-(now - pool.paused_at).total_seconds())
        said = sentence(f"Pool {pool.name} was paused {ago} by {pool.paused_by}{why}")
        yield words(f"{said} ", Action.RESUME_POOL(name=pool.name), " ends that.")
    if pool.run_by is None:
        yield words(
            f"No process runs pool {pool.name}. Where its engine is: ",
            Action.RUN_POOL(name=pool.name),
        )
    if pool.silent_since and pool.run_by:
        since = duration(max(1.0, (now - pool.silent_since).total_seconds()))
        why = f": {pool.silence}" if pool.silence else ""
        yield sentence(f"{pool.engine.capitalize()} has not answered for {since}{why}")
    if backs_off(pool, now) and not pool.paused_at:
        yield back_off_in_words(pool, now)


def back_off_in_words(pool: Pool, now: datetime) -> str:
    """Return what happened, and until when nothing is submitted."""
    back_off = pool.back_off
    assert back_off.not_before is not None
    left = relative((back_off.not_before - now).total_seconds())
    what = what_happened(back_off, f" of pool {pool.name}")
    return f"{sentence(what[0].upper() + what[1:])} The next submission is {left}."
