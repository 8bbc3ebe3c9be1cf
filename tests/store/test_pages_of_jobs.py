"""The page of a job, and the questions before a retry and a kill."""

from __future__ import annotations

import re

import pytest

from orchestra.domain.models.work import Grant, Outcome
from orchestra.domain.states import Cause
from orchestra.services import work
from support.people import caller
from support.site import Site
from support.world import Pilot, World

LOG = b"first\n10 %\r20 %\n\x1b[31m<script>alert(1)</script>\x1b[0m\nlast \xff\n"


@pytest.fixture
def pilot(world: World) -> Pilot:
    return world.pilot("gauss")


@pytest.fixture
def site(world: World, pilot: Pilot) -> Site:
    """A site for ana, the owner of a task whose job 0 runs."""
    caller(world.conn, "root")
    site = Site(world.conn, "ana")
    world.task(2, test_jobs=0)
    world.conduct(2)
    return site


@pytest.fixture
def grant(site: Site, pilot: Pilot) -> Grant:
    (grant,) = pilot.claim()
    pilot.start(grant)
    return grant


def test_a_job_that_waits_and_one_that_runs(world: World, site: Site, grant: Grant) -> None:
    waits = site.get("/tasks/0/jobs/1")
    assert "Job 0/1 of user.ana.task waiting" in waits.text
    assert "It has not run yet." in waits.text
    assert "/tasks/0/jobs/1/kill" in waits.links
    assert "/tasks/0/jobs/1/retry" not in waits.links
    runs = site.get("/tasks/0/jobs/0")
    assert "Job 0/0 of user.ana.task running" in runs.text
    folder = "/data/ana/user.ana.task/.attempts/job_configId_0/1"
    assert f"run -d /data/digits.npz -c /data/configs/config.0.json -o {folder}" in runs.text
    assert "maestro job run --here 0/0" in runs.text
    assert 'data-source="/api/v1/tasks/0/jobs/0/attempts/1/log" data-end' in runs.html
    other = Site(world.conn, "bob").get("/tasks/0/jobs/0")
    assert "/tasks/0/jobs/0/kill" not in other.links


def test_each_attempt_has_an_address_and_its_last_lines_need_no_script(
    world: World, site: Site, pilot: Pilot, grant: Grant
) -> None:
    told = Outcome(
        grant.key, Cause.EXIT, exit_status=3, seconds=1.0, log_bytes=len(LOG), log_tail=LOG
    )
    work.report(world.conn, pilot.keeper, [told])
    shown = site.get("/tasks/0/jobs/0", attempt="1")
    assert "failed" in shown.text
    assert re.search("Attempt 1 on gauss ?: exit status 3", shown.text)
    assert "first\n20 %\n&lt;script&gt;alert(1)&lt;/script&gt;\nlast \ufffd\n" in shown.html
    assert not re.search(r"<script(?![^>]* src=)|\sstyle=|[\x00-\x08\x1b]", shown.html)
    assert "/tasks/0/jobs/0?attempt=1" in shown.links
    assert "/nodes/gauss" in shown.links
    for missing in ("/tasks/0/jobs/7", "/tasks/9/jobs/0"):
        assert site.get(missing).status == 404
    assert site.get("/tasks/0/jobs/0", attempt="2").status == 404
    assert site.get("/tasks/0/jobs/0", attempt="x").status == 422
    assert site.get("/tasks/0/jobs/0-1").status == 422


def test_retry_and_kill_say_first_what_they_do(
    world: World, site: Site, pilot: Pilot, grant: Grant
) -> None:
    question = site.get("/tasks/0/jobs/0/kill")
    assert "Kill job 0/0?" in question.text
    assert "Its process on node gauss is ended. It has run for" in question.text
    assert site.get("/tasks/0/jobs/0/retry").status == 422
    answer = site.post("/tasks/0/jobs/0/kill", reason="enough")
    assert (answer.status, answer.location) == (303, "/tasks/0/jobs/0")
    assert "/tasks/0/jobs/0/kill" not in site.get("/tasks/0/jobs/0").links
    assert "It has not started, and will not." in site.get("/tasks/0/jobs/1/kill").text

    pilot.end(grant, cause=Cause.ENDED)
    question = site.get("/tasks/0/jobs/0/retry")
    assert "It runs again, before all others, as attempt 2 in a new folder." in question.text
    assert site.get("/tasks/0/jobs/0/kill").status == 422
    assert Site(world.conn, "bob").get("/tasks/0/jobs/0/retry").status == 403
    assert Site(world.conn, "bob").post("/tasks/0/jobs/0/retry").status == 403
    assert site.post("/tasks/0/jobs/0/retry").status == 303
    assert "waiting" in site.get("/tasks/0/jobs/0").text
