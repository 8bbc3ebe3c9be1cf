"""Whether a pool's pilots could run a job, and why none comes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf

from orchestra.domain.exclusions import too_little
from orchestra.domain.human import about, count, duration, listed, sentence
from orchestra.domain.models.placement import ANYWHERE
from orchestra.domain.models.pools import Pool
from orchestra.domain.offers import Need
from orchestra.domain.pools import pool_text
from orchestra.domain.pools.decision_text import NOTHING_WAITS
from orchestra.domain.pools.ready import Ready
from orchestra.domain.pools.shape import Shape
from orchestra.domain.wording import Sentence

NAMED = 4
"""Pools about which something is said."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """A pool of the queue of a job, what an allocation of it offers, and when both were read."""

    pool: Pool
    shape: Shape
    now: datetime

    @property
    def is_held_back(self) -> bool:
        """Whether the pool submits nothing at present, whatever work there is."""
        return next(pool_text.obstacles(self.pool, self.now), None) is not None

    def fits(self, need: Need) -> bool:
        """Whether its pilots could run such a job."""
        ready = _ready(need)
        return ready is not None and self.shape.fit(ready) > 0


def fitting(prospects: Sequence[Prospect], need: Need) -> list[Prospect]:
    """Return the pools whose pilots could run such a job."""
    return [each for each in prospects if each.fits(need)]


def is_coming(prospects: Sequence[Prospect], need: Need) -> bool:
    """Whether some pool, which nothing holds back, could run such a job."""
    return any(not each.is_held_back for each in fitting(prospects, need))


def why_no_pilot(prospects: Sequence[Prospect], need: Need) -> Iterator[Sentence]:
    """Yield for each pool why no pilot comes, or why none of its pilots could run such a job."""
    for each in sorted(prospects[:NAMED], key=lambda each: not each.fits(need)):
        if each.fits(need):
            yield from _why_none_comes(each.pool, each.now)
        else:
            yield _misfit(each, need)
    if len(prospects) > NAMED:
        yield f"There are {count(len(prospects) - NAMED, 'more pool')}."


def _why_none_comes(pool: Pool, now: datetime) -> Iterator[Sentence]:
    told = list(pool_text.obstacles(pool, now))
    yield from told
    if pending := pool_text.pending(pool):
        longest = max((now - each.submitted_at).total_seconds() for each in pending)
        first = "" if len(pending) == 1 else "the first "
        wait = f"{'waits' if len(pending) == 1 else 'wait'}, {first}for {about(max(1.0, longest))}"
        reasons = pool_text.reasons(pending)
        says = f"; {pool.engine.capitalize()} says: {reasons}" if reasons else ""
        yield f"{count(len(pending), 'allocation')} of pool {pool.name} {wait}{says}."
    elif not told:
        yield _decided(pool)


def _decided(pool: Pool) -> str:
    """Return the latest decision, unless it is older than the job."""
    why = pool.decision.why if pool.decision else ""
    if why in ("", NOTHING_WAITS):
        return f"Pool {pool.name} starts a pilot when such jobs are ready."
    return sentence(f"Pool {pool.name}: {why}")


def _misfit(prospect: Prospect, need: Need) -> str:
    """Return why no pilot of a pool can run such a job: the first of what keeps it away."""
    name, shape, ready = prospect.pool.name, prospect.shape, _ready(need)
    if ready is None:
        return f"Pool {name} cannot run it."
    if short := next(shape.room.needs(ready.request), None):
        return (
            f"Pool {name} cannot run it: its nodes {too_little(ready.request, short).of_several}."
        )
    if ready.seconds is not None and ready.seconds > shape.room.seconds_left:
        left = duration(max(0.0, shape.room.seconds_left)) if shape.room.seconds_left < inf else ""
        return (
            f"Pool {name} cannot run it: it may take {duration(ready.seconds)}, with its grace, and a pilot there has "
            f"{left} for jobs."
        )
    if not shape.fit(replace(ready, image=None, placement=None)):
        return f'Pool {name} runs only jobs of the Unix account "{shape.account}".'
    if not shape.fit(replace(ready, placement=None)):
        return f"Pool {name} cannot run it: its nodes have no container runtime for its image."
    return f"Pool {name} cannot run it: {_place(need)}."


def _place(need: Need) -> str:
    if need.placement.nodes:
        return f"it may run only on {listed(need.placement.nodes, most=3)}"
    return f"its nodes do not meet {need.placement.constraint}"


def _ready(need: Need) -> Ready | None:
    if need.request is None:
        return None
    where = None if need.placement == ANYWHERE else need.placement
    return Ready(
        task=0,
        owner=0,
        account=need.account,
        image=need.image,
        request=need.request,
        jobs=1,
        seconds=need.seconds,
        placement=where,
    )
