"""What the nodes offer to a waiting job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestra.domain.exclusions import census, unserved
from orchestra.domain.explanation.facts import Facts
from orchestra.domain.human import count, duration, listed, relative
from orchestra.domain.matchmaking import Need, NodeOffer, why_no_node
from orchestra.domain.troubles import message
from orchestra.domain.wording import Action, Sentence, words

NODES_NAMED = 4


def about_nodes(facts: Facts) -> Iterator[Sentence]:
    """Yield how many slots there are, and why the job cannot use some of them."""
    need = Need.of(facts.task)
    offering = [offer for offer in facts.offers if offer.enabled]
    if offering:
        yield _slots(need, offering)
    blocked = why_no_node(need, facts.offers)
    if blocked and (facts.offers or not facts.pools):
        yield blocked
    counts = need.asks_more or any(offer.opens_in for offer in facts.offers)
    if facts.offers and counts and unserved(need, facts.offers) is None:
        yield census(need, facts.offers, facts.free_in)
    yield from _named([p for p in offering if p.drained_at], lambda offer: _drained(offer, facts))
    yield from _named([p for p in offering if not p.online], _offline)
    yield from _named([p for p in offering if p.online and p.opens_in is not None], _closed)
    yield from _named([p for p in offering if _is_short_of_time(p, need)], _too_short)
    yield from _named([p for p in offering if p.online and p.leaving], _leaving)
    yield from _named([p for p in offering if p.online and p.troubles], _troubles)
    yield from _named(
        [p for p in offering if p.keeps_for is not None], lambda p: _reserves(p, facts)
    )
    if not blocked:
        yield from _mismatches(need, offering)
    yield from facts.no_pilot


def _slots(need: Need, offers: Sequence[NodeOffer]) -> str:
    total = sum(offer.enabled for offer in offers)
    verb = "is" if total == 1 else "are"
    slots = f"{count(total, f'{need.kind} slot')} {verb} enabled on {count(len(offers), 'node')}"
    return f"{slots}: {', '.join(_parts(offers))}."


def _parts(offers: Sequence[NodeOffer]) -> Iterator[str]:
    busy = [offer for offer in offers if offer.in_use]
    where = ""
    if len(offers) > 1 and 0 < len(busy) <= NODES_NAMED:
        where = f" ({', '.join(f'{offer.in_use} on {offer.node}' for offer in busy)})"
    yield f"{sum(offer.in_use for offer in busy) or 'none'} in use{where}"
    groups: dict[str, list[NodeOffer]] = {
        word: [] for word in ("", "leaving", "closed", "drained", "offline")
    }
    for offer in offers:
        groups[_condition(offer)].append(offer)
    for word, group in groups.items():
        if free := sum(offer.free for offer in group):
            yield f"{free} {_where(word, len(group))}"


def _condition(offer: NodeOffer) -> str:
    if offer.drained_at:
        return "drained"
    if not offer.online:
        return "offline"
    if offer.opens_in is not None:
        return "closed"
    return "leaving" if offer.leaving else ""


def _where(condition: str, nodes: int) -> str:
    if not condition:
        return "free"
    article = "an" if condition == "offline" else "a"
    return f"on {article} {condition} node" if nodes == 1 else f"on {condition} nodes"


def _named(
    offers: Sequence[NodeOffer], sentence: Callable[[NodeOffer], Sentence]
) -> Iterator[Sentence]:
    yield from map(sentence, offers[:NODES_NAMED])
    if len(offers) > NODES_NAMED:
        yield words(f"The same goes for {len(offers) - NODES_NAMED} more: ", Action.LIST_NODES, ".")


def _drained(offer: NodeOffer, facts: Facts) -> str:
    assert offer.drained_at is not None
    why = f': "{offer.drain_reason}"' if offer.drain_reason else ""
    return (
        f"Node {offer.node} was drained {facts.ago(offer.drained_at)} by {offer.drained_by}{why}."
    )


def _offline(offer: NodeOffer) -> Sentence:
    if offer.silent_for is None:
        return words(
            f"Node {offer.node} has had no pilot yet: ", Action.RUN_PILOT_OF(name=offer.node)
        )
    return f"Node {offer.node} is offline: its pilot was last seen {relative(-offer.silent_for)}."


def _closed(offer: NodeOffer) -> str:
    return f"Node {offer.node} is closed; it opens {relative(offer.opens_in or 0)}."


def _is_short_of_time(offer: NodeOffer, need: Need) -> bool:
    here = offer.online and not offer.drained_at and offer.opens_in is None
    return here and not offer.has_time(need)


def _too_short(offer: NodeOffer) -> str:
    left = duration(offer.seconds_left or 0)
    why = "before its allocation does" if "pool" in offer.labels else "when it closes or is drained"
    return f"On node {offer.node} jobs must end within {left}, {why}; this one may take longer."


def _leaving(offer: NodeOffer) -> str:
    return f"The pilot of node {offer.node} is stopping and takes no new jobs."


def _troubles(offer: NodeOffer) -> str:
    return f"The pilot of node {offer.node} says: {message(offer.troubles)}"


def _reserves(offer: NodeOffer, facts: Facts) -> str:
    whose = "its task" if offer.keeps_for == facts.task.id else f"task {offer.keeps_for}"
    return f"Node {offer.node} waits for the next job of {whose}, and starts others only if they do not delay it."


def _mismatches(need: Need, offers: Sequence[NodeOffer]) -> Iterator[str]:
    """Yield why the job cannot use nodes that other jobs can."""
    available = [offer for offer in offers if offer.online and not offer.drained_at]
    small = [offer for offer in available if offer.enabled < need.slots]
    if small:
        yield f"It needs {need.slots} {need.kind} slots at once; {_names(small)} cannot offer them."
    others = [offer for offer in available if not offer.serves(need.account, None)]
    if others:
        whose = (
            f'of the Unix account "{need.account}"' if need.account else "without a Unix account"
        )
        yield f"{_names(others, first=True)} run no jobs {whose}."
    bare = [
        offer
        for offer in available
        if offer.serves(need.account, None) and not offer.serves(need.account, need.image)
    ]
    if bare:
        yield f"It runs in a container, and {_names(bare)} has no container runtime for its image."
    older = [offer for offer in available if need.is_news and not offer.knows_revisions]
    if older:
        news = "was changed" if need.revised else "asks for more than slots"
        yield f"Its task {news}, and {_names(older)} runs an older version, which leaves such tasks alone."


def _names(offers: Sequence[NodeOffer], *, first: bool = False) -> str:
    noun = "node" if len(offers) == 1 else "nodes"
    names = listed([offer.node for offer in offers], most=NODES_NAMED)
    return f"{noun.capitalize() if first else noun} {names}"
