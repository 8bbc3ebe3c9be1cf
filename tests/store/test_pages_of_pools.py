"""The pages of pools."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from orchestra.domain.models.pools import Allocation, AllocationState
from orchestra.interface.pools import ShowPool
from orchestra.services.pools import pools
from orchestra.web.timeline import WIDTH, timeline
from support.people import caller
from support.site import Site
from support.world import World


@pytest.fixture
def site(world: World) -> Site:
    """A site for ana, with an admin and a pool of hers."""
    caller(world.conn, "root")
    site = Site(world.conn, "ana")
    pools.create(world.conn, caller(world.conn), "long", "slurm")
    return site


def add(conn: psycopg.Connection, state: str, word: str, reason: str | None, *, jobs: bool) -> None:
    """Add an allocation of an hour ago."""
    conn.execute(
        "insert into allocation (id, pool_id, engine_id, state, word, reason, submitted_at, started_at, first_job_at,"
        " ended_at) select %(id)s, id, '4711', %(state)s, %(word)s, %(reason)s, now() - interval '1 h',"
        " case when %(state)s <> 'PENDING' then now() - interval '50 min' end, case when %(jobs)s then now() end,"
        " case when %(state)s = 'ENDED' then now() - interval '5 min' end from pool",
        {"id": uuid4(), "state": state, "word": word, "reason": reason, "jobs": jobs},
    )


def test_what_runs_what_is_pending_and_what_slurm_says(world: World, site: Site) -> None:
    add(world.conn, "PENDING", "PENDING", "QOSMaxJobsPerUserLimit", jobs=False)
    add(world.conn, "SERVING", "RUNNING", None, jobs=True)
    add(world.conn, "ENDED", "FAILED", "NonZeroExitCode", jobs=False)
    listed = site.get("/pools").text
    assert "long NOT RUN cpu 1 + 1 / 10" in listed
    assert "No process runs pool long." in listed
    shown = site.get("/pools/long")
    assert re.search(r"4711 pending PENDING, QOSMaxJobsPerUserLimit \d+ min ago", shown.text)
    assert "FAILED, NonZeroExitCode" in shown.text
    assert "ran no job" in shown.text
    assert '<svg class="strips"' in shown.html
    assert shown.html.count("<rect class=") >= 6


def test_the_overview_counts_allocations(world: World, site: Site) -> None:
    add(world.conn, "SERVING", "RUNNING", None, jobs=True)
    assert "1 running and 0 pending of at most 10 NOT RUN" in site.get("/").text


def test_a_pool_is_paused_with_a_reason_and_resumed(world: World, site: Site) -> None:
    add(world.conn, "PENDING", "PENDING", "Priority", jobs=False)
    question = site.get("/pools/long/pause").text
    assert "1 pending allocation will be withdrawn." in question
    assert site.post("/pools/long/pause", reason="<moving>").location == "/pools/long"
    shown = site.get("/pools/long")
    assert 'by ana: "<moving>"' in shown.text
    assert "/pools/long/resume" in shown.links
    assert "/pools/long/pause" not in shown.links
    site.post("/pools/long/resume")
    assert not site.server.ask(site.identity, ShowPool("long")).pool.paused_at


def test_a_pool_is_deleted_with_a_word_about_its_allocations(world: World, site: Site) -> None:
    add(world.conn, "SERVING", "RUNNING", None, jobs=True)
    assert "let running jobs end first" in site.get("/pools/long/delete").text
    refused = site.post("/pools/long/delete")
    assert refused.status == 409
    assert "1 allocation (1 running)" in refused.text
    assert site.post("/pools/long/delete", how="drain").location == "/pools"
    assert "DELETING" in site.get("/pools").text


def test_others_look_and_change_nothing(world: World, site: Site) -> None:
    other = Site(world.conn, "bob")
    shown = other.get("/pools/long")
    assert "Pause" not in shown.text
    assert other.get("/pools/long/pause").status == 403
    assert other.post("/pools/long/delete").status == 403


def test_allocations_are_beside_each_other_only_while_they_overlap() -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def one(start: int, end: int | None) -> Allocation:
        return Allocation(
            uuid4(),
            "long",
            "1",
            AllocationState.ENDED if end else AllocationState.SERVING,
            now - timedelta(minutes=start),
            started_at=now - timedelta(minutes=start - 1),
            ended_at=now - timedelta(minutes=end) if end else None,
        )

    drawn = timeline([one(60, 40), one(50, 20), one(30, None), one(60 * 30, 60 * 29)], now)
    assert [strip.y for strip in drawn.strips] == [0, 10, 0]
    assert drawn.lanes == 2
    assert drawn.strips[0].waited_from == 0
    assert drawn.strips[2].ended == WIDTH
    assert timeline([], now).strips == ()
