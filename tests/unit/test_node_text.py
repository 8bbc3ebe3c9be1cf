"""When a node is open, and when it will be drained, in words; and what may be set of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.models.nodes import FoundResources, Node, NodeSettings, Slots
from orchestra.domain.node_settings import checked
from orchestra.domain.node_text import hours_now, planned_drain, short_moment

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)  # a Thursday
NODE = Node(
    1, "gauss", Slots(2, 4), Slots(0, 0), NOW, online=True, version="0.3.0", open_hours="19:00-07:00,sat,sun",
    utc_offset=3600,
)  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "shown"),
    [
        (6, "18:00"),
        (23, "11:00"),
        (24, "Fri 12:00"),
        (36, "Sat 00:00"),
        (24 * 6 - 1, "Wed 11:00"),
        (24 * 6, "2026-12-02 12:00"),
    ],
)
def test_a_moment_is_as_short_as_it_is_clear(hours: int, shown: str) -> None:
    assert short_moment(NOW + timedelta(hours=hours), NOW, UTC) == shown


def test_hours_are_told_by_the_nodes_own_clock() -> None:
    closed = replace(NODE, opens_at=NOW + timedelta(hours=6), closes_at=NOW + timedelta(hours=18))
    assert hours_now(closed, NOW) == "closed until 19:00"
    assert hours_now(closed, NOW + timedelta(hours=7)) == hours_now(
        replace(NODE, online=False), NOW
    )
    is_open = replace(NODE, closes_at=NOW + timedelta(hours=42))
    assert hours_now(is_open, NOW) == "open until Sat 07:00"
    assert hours_now(NODE, NOW) == "open 19:00-07:00 every day, all of sat and all of sun"
    assert hours_now(replace(NODE, open_hours=None), NOW) is None
    later = replace(NODE, open_hours="full\nmoon")
    assert hours_now(later, NOW) == "open full\\nmoon"
    old = replace(NODE, keeps_hours=False, version="0.2.0")
    assert hours_now(old, NOW) == "its pilot, version 0.2.0, does not keep to its hours"


def test_a_planned_drain_says_when_by_whom_and_why() -> None:
    assert planned_drain(NODE, NOW) is None
    planned = replace(NODE, drain_at=NOW + timedelta(hours=30), drain_at_by="ana")
    assert planned_drain(planned, NOW, UTC) == "drains Fri 18:00 by ana"
    planned = replace(planned, drain_at_reason="new\ndisk")
    assert planned_drain(planned, NOW, UTC) == 'drains Fri 18:00 by ana: "new\\ndisk"'


def test_memory_is_what_is_enabled_of_what_is_found() -> None:
    assert NODE.memory_enabled is None
    found = replace(NODE, found=FoundResources(memory_bytes=64))
    assert found.memory_enabled == 64
    assert replace(found, memory_bytes=32).memory_enabled == 32
    assert replace(found, memory_bytes=128).memory_enabled == 64


def test_settings_are_stored_in_one_form() -> None:
    assert checked(NodeSettings(open_hours="Sat , 19-7")).open_hours == "sat,19:00-07:00"
    assert checked(NodeSettings(open_hours="0-24")).open_hours == "always"
    assert checked(NodeSettings(memory_bytes=0, nice=19)) == NodeSettings(memory_bytes=0, nice=19)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (NodeSettings(nice=20), "nice"),
        (NodeSettings(nice=-1), "nice"),
        (NodeSettings(memory_bytes=-1), "memory"),
        (NodeSettings(memory_bytes=2**61), "memory"),
        (NodeSettings(open_hours="nights"), "open"),
    ],
)
def test_a_setting_that_cannot_be_had_is_named(settings: NodeSettings, field: str) -> None:
    with pytest.raises(BadInput) as error:
        checked(settings)
    assert error.value.params["field"] == field
