"""Which nodes can run a job, and why none can. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from orchestra.domain.exclusions import lack, unserved
from orchestra.domain.human import count, duration, relative
from orchestra.domain.offers import Need, NodeOffer
from orchestra.domain.wording import Action, Field, Sentence, words

__all__ = ["Need", "NodeOffer", "eligible", "why_no_node"]


def eligible(need: Need, offers: Sequence[NodeOffer]) -> list[NodeOffer]:
    """Return the nodes on which such a job can start, perhaps after another one has ended."""
    return [
        offer
        for offer in offers
        if offer.enabled >= need.slots
        and offer.online
        and offer.drained_at is None
        and not offer.leaving
        and offer.opens_in is None
        and offer.has_time(need)
        and offer.serves(need.account, need.image)
        and (offer.knows_revisions or not need.is_news)
        and lack(need, offer) is None
    ]


def why_no_node(need: Need, offers: Sequence[NodeOffer]) -> Sentence | None:
    """Say why no node can run such a job; None if one can.

    The nodes are filtered step by step; the step that leaves none is the reason.
    """
    if not offers:
        return words(
            "There is no node yet: ",
            Action.START_ALL,
            ", or ",
            Action.CREATE_NODE,
            " and ",
            Action.RUN_PILOT,
            ".",
        )
    left = list(offers)
    for keep, reason in _steps(need, offers):
        kept = [offer for offer in left if keep(offer)]
        if not kept:
            return reason(left)
        left = kept
    return None


_Step = tuple[Callable[[NodeOffer], bool], Callable[[Sequence[NodeOffer]], Sentence]]


def _steps(need: Need, offers: Sequence[NodeOffer]) -> Iterator[_Step]:
    kind = need.kind
    yield lambda p: p.enabled > 0, lambda _: f"No node has an enabled {kind} slot."
    yield (
        lambda p: p.enabled >= need.slots,
        lambda left: (
            f"A job needs {count(need.slots, f'{kind} slot')}; no node has more than "
            f"{max(offer.enabled for offer in left)}."
        ),
    )
    yield (
        lambda p: lack(need, p) is None,
        lambda _: f"At present {unserved(need, offers) or 'no node can run such a job'}.",
    )
    yield (
        lambda p: p.online,
        lambda _: words(
            f"No pilot is online on a node with enough {kind} slots: ", Action.RUN_PILOT, "."
        ),
    )
    yield (
        lambda p: p.drained_at is None,
        lambda _: words(f"Every node with {kind} slots is drained: ", Action.LIST_NODES, "."),
    )
    yield (
        lambda p: p.opens_in is None,
        lambda left: (
            f"Every node with {kind} slots is closed; the first opens {relative(_first_opens(left))}."
        ),
    )
    yield (
        lambda p: p.has_time(need),
        lambda left: (
            f"A job may take {duration(need.seconds or 0)}, with its grace; every node with {kind} slots closes or is "
            f"drained before, the last {relative(max(offer.seconds_left or 0 for offer in left))}."
        ),
    )
    yield (
        lambda p: not p.leaving,
        lambda _: words(
            f"Every pilot of a node with {kind} slots is stopping: ", Action.LIST_PILOTS, "."
        ),
    )
    yield (
        lambda p: p.serves(need.account, None),
        lambda _: _no_pilot_of(need.account),
    )
    yield (
        lambda p: p.serves(need.account, need.image),
        lambda _: f"No node has a container runtime for the image {need.image}.",
    )
    yield (
        lambda p: p.knows_revisions or not need.is_news,
        lambda _: words(
            f"The task {'was changed' if need.revised else 'asks for more than slots'}, and pilots of an older version "
            "do not run it. Start one of this version: ",
            Action.RUN_PILOT,
            ".",
        ),
    )


def _first_opens(offers: Sequence[NodeOffer]) -> float:
    return min(offer.opens_in for offer in offers if offer.opens_in is not None)


def _no_pilot_of(account: str) -> Sentence:
    if not account:
        return words(
            "The task has no Unix account, because none was proven to the server when it was created. Start a pilot "
            "with ",
            Field.SERVE_ALL(True),
            ", or create the task with a token of your own account.",
        )
    return words(
        f'No pilot serves the Unix account "{account}". Start one as that account, or any with ',
        Field.SERVE_ALL(True),
        ".",
    )
