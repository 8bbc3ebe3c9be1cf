"""The pools of this account: whether a process runs each, and whether their engine is here and accepts submissions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor.finding import Failure, Finding, failed, ok, problem, warning
from orchestra.command_words import worded
from orchestra.domain import human
from orchestra.domain.pools import pool_text

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.domain.models.pools import Pool

CHECK = "pool"


@dataclass(frozen=True, slots=True)
class SeenPool:
    """A pool, the program of its engine that is missing here, and what the engine says against a submission."""

    pool: Pool
    missing: str | None = None
    refusal: str | None = None


def inspect(settings: Settings, pools: Sequence[Pool]) -> tuple[SeenPool, ...]:
    """Look for the engines of pools, and ask them about a submission; none is made."""
    return tuple(_inspect(settings, pool) for pool in pools)


def _inspect(settings: Settings, pool: Pool) -> SeenPool:
    from orchestra.wiring.submissions import missing_program, refusal

    if missing := missing_program(pool.engine):
        return SeenPool(pool, missing)
    refused = refusal(settings, pool)
    return SeenPool(pool, refusal=refused.words if refused else None)


def assess(seen: tuple[SeenPool, ...] | Failure, now: datetime) -> Iterator[Finding]:
    """Report one finding for each pool."""
    if isinstance(seen, Failure):
        yield failed(CHECK, seen)
        return
    yield from (_assess(each, now) for each in seen)


def _assess(seen: SeenPool, now: datetime) -> Finding:
    pool = seen.pool
    if seen.refusal:
        remedy = f"maestro pool set {pool.name} changes what it asks for."
        return problem(CHECK, f"{pool.name}: {human.sentence(seen.refusal)}", remedy)
    if pool.run_by is None and seen.missing:
        says = f"no process runs pool {pool.name}, and {seen.missing} is not on this machine."
        return warning(CHECK, says, f"maestro pool run {pool.name}   where sbatch is")
    if pool.run_by is None:
        return warning(CHECK, f"no process runs pool {pool.name}.", f"maestro pool run {pool.name}")
    if (obstacle := next(pool_text.obstacles(pool, now), None)) is not None:
        return warning(CHECK, worded(obstacle))
    counts = pool_text.counts(pool)
    return ok(
        CHECK,
        f"{pool.name} is run by {pool.run_by}: {counts.running} running and {counts.pending} pending of at most "
        f"{counts.most}",
    )
