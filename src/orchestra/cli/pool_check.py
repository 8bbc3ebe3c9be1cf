"""What the engine of a pool says to a submission, before any is made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.domain.errors import BadInput
from orchestra.domain.human import sentence

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.pools import Pool, PoolSettings


def check_new(ctx: Context, name: str, engine: str, settings: PoolSettings) -> None:
    """Ask the engine about a new pool, where the engine is.

    Raises:
        BadInput: it refuses the submissions of such a pool for good, or the name or a setting is invalid.
    """
    from orchestra.domain.models.pools import Pool
    from orchestra.domain.pools.names import check_pool_name
    from orchestra.domain.pools.settings import check_engine, of_new

    check_pool_name(name)
    known = check_engine(engine)
    spec, limits = of_new(known, settings)
    _check(ctx, Pool(0, name, known, None, None, spec, limits, datetime.now(UTC)))


def check_change(ctx: Context, pool: Pool, settings: PoolSettings) -> None:
    """Ask the engine about a changed pool, where the engine is.

    Raises:
        BadInput: it refuses its submissions for good, or a setting is invalid.
    """
    from orchestra.domain.pools.settings import over

    spec, limits = over(pool.engine, pool.spec, pool.limits, settings)
    if (spec, limits.walltime) != (pool.spec, pool.limits.walltime):
        _check(ctx, replace(pool, spec=spec, limits=limits))


def _check(ctx: Context, pool: Pool) -> None:
    from orchestra.wiring.submissions import refusal

    refused = refusal(ctx.settings, pool)
    if refused and refused.is_fatal:
        raise BadInput(sentence(refused.words))
    if refused:
        ctx.out.note(f"note: {refused.words}")
