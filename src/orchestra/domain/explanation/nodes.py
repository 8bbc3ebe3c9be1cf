"""What the nodes have to offer to a job that waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestra.domain.explanation.facts import Facts
from orchestra.domain.human import count, listed, relative
from orchestra.domain.matchmaking import Need, Place, obstacle
from orchestra.domain.troubles import message
from orchestra.domain.wording import Action, Said, words

NODES_NAMED = 4


def supply(facts: Facts) -> Iterator[Said]:
    """Say how many slots there are, and what keeps the job from which of them."""
    need = Need.of(facts.task)
    offering = [place for place in facts.places if place.enabled]
    if offering:
        yield _slots(need, offering)
    blocked = obstacle(need, facts.places)
    if blocked:
        yield blocked
    yield from _named([p for p in offering if p.drained_at], lambda place: _drained(place, facts))
    yield from _named([p for p in offering if not p.online], _offline)
    yield from _named([p for p in offering if p.online and p.leaving], _leaving)
    yield from _named([p for p in offering if p.online and p.troubles], _says)
    yield from _named([p for p in offering if p.keeps_for is not None], lambda p: _keeps(p, facts))
    if not blocked:
        yield from _pickiness(need, offering)


def _slots(need: Need, places: Sequence[Place]) -> str:
    total = sum(place.enabled for place in places)
    verb = "is" if total == 1 else "are"
    slots = f"{count(total, f'{need.kind} slot')} {verb} enabled on {count(len(places), 'node')}"
    return f"{slots}: {', '.join(_parts(places))}."


def _parts(places: Sequence[Place]) -> Iterator[str]:
    busy = [place for place in places if place.in_use]
    where = ""
    if len(places) > 1 and 0 < len(busy) <= NODES_NAMED:
        where = f" ({', '.join(f'{place.in_use} on {place.node}' for place in busy)})"
    yield f"{sum(place.in_use for place in busy) or 'none'} in use{where}"
    groups: dict[str, list[Place]] = {word: [] for word in ("", "leaving", "drained", "offline")}
    for place in places:
        groups[_condition(place)].append(place)
    for word, group in groups.items():
        if free := sum(place.free for place in group):
            yield f"{free} {_where(word, len(group))}"


def _condition(place: Place) -> str:
    if place.drained_at:
        return "drained"
    if not place.online:
        return "offline"
    return "leaving" if place.leaving else ""


def _where(condition: str, nodes: int) -> str:
    if not condition:
        return "free"
    article = "an" if condition == "offline" else "a"
    return f"on {article} {condition} node" if nodes == 1 else f"on {condition} nodes"


def _named(places: Sequence[Place], sentence: Callable[[Place], Said]) -> Iterator[Said]:
    yield from map(sentence, places[:NODES_NAMED])
    if len(places) > NODES_NAMED:
        yield words(f"The same goes for {len(places) - NODES_NAMED} more: ", Action.LIST_NODES, ".")


def _drained(place: Place, facts: Facts) -> str:
    assert place.drained_at is not None
    why = f': "{place.drain_reason}"' if place.drain_reason else ""
    return (
        f"Node {place.node} was drained {facts.ago(place.drained_at)} by {place.drained_by}{why}."
    )


def _offline(place: Place) -> Said:
    if place.silent_for is None:
        return words(
            f"Node {place.node} has had no pilot yet: ", Action.RUN_PILOT_OF(name=place.node)
        )
    return (
        f"Node {place.node} is offline: its pilot was last heard of {relative(-place.silent_for)}."
    )


def _leaving(place: Place) -> str:
    return f"The pilot of node {place.node} is leaving and takes nothing new."


def _says(place: Place) -> str:
    return f"The pilot of node {place.node} says: {message(place.troubles)}"


def _keeps(place: Place, facts: Facts) -> str:
    whose = "its task" if place.keeps_for == facts.task.id else f"task {place.keeps_for}"
    return f"Node {place.node} keeps its free slots for the next job of {whose}, which needs more of them."


def _pickiness(need: Need, places: Sequence[Place]) -> Iterator[str]:
    """Say what keeps the job from some nodes that others may use."""
    open_ = [place for place in places if place.online and not place.drained_at]
    small = [place for place in open_ if place.enabled < need.slots]
    if small:
        yield f"It needs {need.slots} {need.kind} slots at once; {_names(small)} cannot offer them."
    others = [place for place in open_ if not place.serves(need.account, None)]
    if others:
        yield f'{_names(others, first=True)} run no jobs of the Unix account "{need.account}".'
    bare = [
        place
        for place in open_
        if place.serves(need.account, None) and not place.serves(need.account, need.image)
    ]
    if bare:
        yield f"It runs in a container, and {_names(bare)} has no container runtime for its image."


def _names(places: Sequence[Place], *, first: bool = False) -> str:
    noun = "node" if len(places) == 1 else "nodes"
    names = listed([place.node for place in places], most=NODES_NAMED)
    return f"{noun.capitalize() if first else noun} {names}"
