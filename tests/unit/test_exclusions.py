"""What keeps jobs of a task from nodes, counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import inf

import pytest

from orchestra.domain.exclusions import census, unserved
from orchestra.domain.matchmaking import Need, NodeOffer, eligible, why_no_node
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.tasks import Resources
from orchestra.domain.resources import WHOLE, DeviceRoom, Room
from orchestra.domain.states import Queue

GB = 10**9
NOW = datetime(2026, 11, 26, tzinfo=UTC)
BIG = NodeOffer(
    "big1", 2, online=True, account="ana", labels={"gpu": "a100-80gb"},
    room=Room(16, (DeviceRoom(WHOLE, 80 * GB),) * 2, 64 * GB, 500 * GB),
)  # fmt: skip
SMALL = replace(
    BIG, node="small1", enabled=1, labels={"gpu": "t4"}, room=Room(4, (DeviceRoom(WHOLE, 16 * GB),), 8 * GB, 50 * GB)
)  # fmt: skip
BARE = replace(BIG, node="bare1", enabled=0, labels={}, room=Room(64, (), 256 * GB))


def need(where: Placement | None = None, queue: Queue = Queue.GPU, **resources: object) -> Need:
    asked = Resources(**resources)  # type: ignore[arg-type]
    return Need.of_resources(queue, asked, "ana", None).at(where or Placement())


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (need(), None),
        (need(Placement("gpu=t4|k80")), None),
        (need(Placement("gpu=h100")), "3 nodes have no gpu=h100"),
        (need(Placement("memory>=1TB")), "3 nodes do not meet memory>=1TB"),
        (need(Placement(nodes=("gpu7",))), "3 nodes are not among those named"),
        (need(Placement(not_nodes=("bare1", "big1", "small1"))), "3 nodes are excluded by name"),
        (need(gpus=3), "3 nodes have fewer than 3 GPUs"),
        (need(gpu_milli=500, vram_bytes=100 * GB),
         "of 3 nodes, 2 have less than 100 GB of GPU memory and 1 has no GPU"),
        (need(memory_bytes=100 * GB), "of 3 nodes, 2 have less than 100 GB of memory and 1 has no GPU"),
        (need(queue=Queue.CPU, cores=65), "3 nodes have fewer than 65 CPU slots"),
        (need(scratch_bytes=900 * GB),
         "of 3 nodes, 2 have less than 900 GB of scratch space and 1 has no GPU"),
        (need(Placement("gpu=a100"), vram_bytes=90 * GB),
         "of 3 nodes, 2 have no gpu=a100 and 1 has less than 90 GB of GPU memory"),
        (need(exclusive=True), None),
        (need(Placement("gpu ~ a newer condition")), "3 nodes do not meet gpu ~ a newer condition"),
    ],
)  # fmt: skip
def test_a_request_that_no_node_could_serve(wanted: Need, said: str | None) -> None:
    offers = (BIG, SMALL, BARE)
    assert unserved(wanted, offers) == (said and f"no node can run such a job: {said}")
    assert (said is None) == bool(eligible(wanted, offers))
    reason = str(why_no_node(wanted, offers) or "")
    assert bool(reason) == bool(said)


def test_a_job_that_takes_longer_than_any_node_is_open() -> None:
    nights = replace(BIG, open_for=12 * 3600.0)
    long = replace(need(), seconds=20 * 3600.0)
    assert unserved(long, (nights, SMALL)) is None
    assert unserved(long, (nights,)) == "no node can run such a job: 1 node is never open for 20 h"
    assert unserved(replace(long, seconds=11 * 3600.0), (nights,)) is None


def test_one_node_and_none() -> None:
    assert (
        unserved(need(gpus=3), (SMALL,))
        == "no node can run such a job: 1 node has fewer than 3 GPUs"
    )
    assert unserved(need(gpus=3), ()) is None
    assert unserved(need(gpus=3), (replace(SMALL, room=None),)) is None  # unknown


def test_the_reason_stands_in_the_explanation() -> None:
    assert why_no_node(need(Placement("gpu=h100")), (BIG, SMALL)) == (
        "At present no node can run such a job: 2 nodes have no gpu=h100."
    )


def test_every_node_is_counted_once_with_what_keeps_the_job_from_it() -> None:
    offers = (
        *(replace(SMALL, node=f"small{n}") for n in range(3)),
        BARE,
        BIG,
        replace(BIG, node="big2"),
        replace(BIG, node="off", online=False),
        replace(BIG, node="drained", drained_at=NOW),
        replace(BIG, node="leaving", leaving=True),
        replace(BIG, node="closed", opens_in=3 * 3600.0),
        replace(BIG, node="closing", seconds_left=60.0),
        replace(BIG, node="other", account="bob"),
        replace(BIG, node="older", knows_revisions=False),
    )
    wanted = replace(need(Placement("gpu=a100|t4"), vram_bytes=40 * GB), seconds=90.0)
    said = census(wanted, offers, {"big1": 0.0, "big2": 1500.0})
    assert said == (
        "13 nodes: 3 have less than 40 GB of GPU memory, 1 has no gpu=a100|t4, 1 is offline, 1 is drained, "
        "1 is stopping, 1 is closed for 3 h, 1 closes before it could end, 1 serves other accounts, "
        "1 runs an older version, 1 fits and has room now, 1 fits and is busy for about 25 min."
    )
    assert sum(int(part.split()[0]) for part in said.partition(": ")[2].split(", ")) == len(offers)
    assert {offer.node for offer in eligible(wanted, offers)} == {"big1", "big2"}


def test_how_long_nodes_that_fit_are_busy() -> None:
    two = (BIG, replace(BIG, node="big2"))
    assert census(need(), two, {"big1": 60.0, "big2": 600.0}) == (
        "2 nodes: 2 fit and are busy for about 1 min at least."
    )
    assert census(need(), two, {"big1": inf}) == "2 nodes: 2 fit and are busy."
    assert census(need(), two, {"big1": 0.0, "big2": 0.0}) == "2 nodes: 2 fit and have room now."


def test_pilots_of_an_older_version_know_only_slots() -> None:
    older = (replace(BIG, knows_revisions=False),)
    assert eligible(need(), older)
    assert eligible(need(memory_bytes=GB), older)
    for wanted in (need(exclusive=True), need(gpu_milli=500), need(Placement("gpu=a100"))):
        assert not eligible(wanted, older)
        assert "asks for more than slots" in str(why_no_node(wanted, older))
