"""What keeps jobs of a task from nodes, counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import NamedTuple

from orchestra.domain.errors import BadInput
from orchestra.domain.human import about, count, listed, size
from orchestra.domain.offers import Need, NodeOffer
from orchestra.domain.placement import Condition, parse
from orchestra.domain.resources import Request


class Exclusion(NamedTuple):
    """Why nodes are out of the question, of one node and of several: `has no GPU`, `have no GPU`."""

    of_one: str
    of_several: str


def lack(need: Need, offer: NodeOffer) -> Exclusion | None:
    """Return what keeps a job from a node for as long as node and task stay as they are; None if nothing does."""
    where = need.placement
    if where.nodes and offer.node not in where.nodes:
        return Exclusion("is not among those named", "are not among those named")
    if offer.node in where.not_nodes:
        return Exclusion("is excluded by name", "are excluded by name")
    try:
        conditions = parse(where.constraint).conditions
    except BadInput:  # written by a newer version
        return _unmet(where.constraint)
    for condition in conditions:
        if not condition.holds(offer.labels):
            return _missing(condition)
    if offer.open_for is not None and (need.seconds or 0) > offer.open_for:
        hours = about(need.seconds or 0)
        return Exclusion(f"is never open for {hours}", f"are never open for {hours}")
    if need.request is not None and offer.room is not None:
        short = next(offer.room.needs(need.request), None)
        return None if short is None else too_little(need.request, short)
    return None


def _missing(condition: Condition) -> Exclusion:
    if all(each.sign in ("", "=") for each in condition.tests):
        return Exclusion(f"has no {condition}", f"have no {condition}")
    return _unmet(str(condition))


def _unmet(condition: str) -> Exclusion:
    return Exclusion(f"does not meet {condition}", f"do not meet {condition}")


def too_little(request: Request, name: str) -> Exclusion:
    """Return that a node has too little of what a field of a request names."""
    match name:
        case "cpus":
            what = _fewer(request.cpus, "CPU slot")
        case "gpus" | "gpu_milli":
            what = _fewer(max(1, request.gpus), "GPU")
        case "vram_bytes":
            what = f"less than {size(request.vram_bytes)} of GPU memory"
        case "memory_bytes":
            what = f"less than {size(request.memory_bytes)} of memory"
        case "scratch_bytes":
            what = f"less than {size(request.scratch_bytes)} of scratch space"
        case _:
            raise ValueError(name)
    return Exclusion(f"has {what}", f"have {what}")


def _fewer(wanted: int, noun: str) -> str:
    return f"no {noun}" if wanted == 1 else f"fewer than {count(wanted, noun)}"


def unserved(need: Need, offers: Sequence[NodeOffer]) -> str | None:
    """Say that no node could ever run such a job, as the nodes are; None if one could, or there are none."""
    lacks = [lack(need, offer) for offer in offers]
    if not lacks or None in lacks:
        return None
    parts = list(_counted(each for each in lacks if each))
    if len(parts) == 1:
        nodes, _, why = parts[0].partition(" ")
        return f"no node can run such a job: {nodes} {'node' if nodes == '1' else 'nodes'} {why}"
    return f"no node can run such a job: of {count(len(offers), 'node')}, {listed(parts)}"


def census(need: Need, offers: Sequence[NodeOffer], free_in: Mapping[str, float]) -> str:
    """Count the nodes by what keeps a job from them: `3 nodes: 2 have no gpu=a100, 1 fits and is busy for about 5 min.`

    Args:
        free_in: by node, the seconds until such a job could start there; infinity, or left out, if unknown.
    """
    lacks = [(offer, lack(need, offer)) for offer in offers]
    able = [(offer, _at_present(need, offer)) for offer, why in lacks if why is None]
    parts = [
        *_counted(why for _, why in lacks if why),
        *_counted(why for _, why in able if why),
        *_fits([offer for offer, why in able if why is None], free_in),
    ]
    return f"{count(len(offers), 'node')}: {', '.join(parts)}."


def _at_present(need: Need, offer: NodeOffer) -> Exclusion | None:
    """Return what keeps a job from a node that could run it."""
    if not offer.online:
        return Exclusion("is offline", "are offline")
    if offer.drained_at:
        return Exclusion("is drained", "are drained")
    if offer.leaving:
        return Exclusion("is stopping", "are stopping")
    if offer.opens_in is not None:
        return Exclusion(
            f"is closed for {about(offer.opens_in)}", f"are closed for {about(offer.opens_in)}"
        )
    if not offer.has_time(need):
        return Exclusion("closes before it could end", "close before it could end")
    if not offer.serves(need.account, None):
        return Exclusion("serves other accounts", "serve other accounts")
    if not offer.serves(need.account, need.image):
        return Exclusion("has no runtime for its image", "have no runtime for its image")
    if need.is_news and not offer.knows_revisions:
        return Exclusion("runs an older version", "run an older version")
    return None


def _counted(reasons: Iterable[Exclusion]) -> Iterator[str]:
    for why, nodes in Counter(reasons).most_common():
        yield f"{nodes:,} {why.of_one if nodes == 1 else why.of_several}"


def _fits(offers: Sequence[NodeOffer], free_in: Mapping[str, float]) -> Iterator[str]:
    waits = [free_in.get(offer.node, inf) for offer in offers]
    free = sum(not seconds for seconds in waits)
    if free:
        yield f"{free:,} {'fits and has' if free == 1 else 'fit and have'} room now"
    if busy := len(waits) - free:
        first = min(seconds for seconds in waits if seconds)
        until = "" if first == inf else f" for about {about(max(1.0, first))}"
        least = " at least" if until and busy > 1 else ""
        yield f"{busy:,} {'fits and is' if busy == 1 else 'fit and are'} busy{until}{least}"
