"""The pages of nodes, queues, data sets and mails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orchestra.domain.models.pilots import Window
from orchestra.domain.states import Cause
from orchestra.domain.transitions import TaskInput
from orchestra.interface.dataset_changes import RegisterDataSet, UpdateDataSet
from orchestra.interface.nodes import GetNode
from orchestra.services import work
from orchestra.services.tasks import lifecycle
from support.people import caller
from support.rights import FILES, MORE_FILES
from support.site import Site
from support.world import World

HOSTILE = "<script>alert(1)</script>\"' \u202e\n\x1b[31m"


@pytest.fixture
def site(world: World) -> Site:
    """A site for ana, with an admin and a node of hers."""
    caller(world.conn, "root")
    site = Site(world.conn, "ana")
    world.pilot("gauss")
    world.conn.execute(
        "update node set owner_id = (select id from person where name = 'ana') where name = 'gauss'"
    )
    return site


def safe(html: str) -> bool:
    """Whether a page has no script and no style of its own, and shows no control characters."""
    return not re.search(
        r"<script(?![^>]* src=)|<style|\s(style|on[a-z]+)=|[\x00-\x08\x1b\u202e]", html
    )


def test_nodes_with_what_runs_and_what_failed(world: World, site: Site) -> None:
    task = world.task(jobs=4, test_jobs=0)
    world.conduct(2)
    pilot = world.pilot("gauss")
    first, second, third = pilot.claim(cpu=3)
    pilot.start(first, second, third)
    pilot.end(first, status=3)
    pilot.end(second, cause=Cause.TIMEOUT)
    nodes = site.get("/nodes")
    assert "gauss online 1/8 0/2" in nodes.text
    node = site.get("/nodes/gauss").text
    assert (
        f"Running here Jobs that run on gauss Job Task Since Config {task}/2 user.ana.task" in node
    )
    assert f"exit status 3 1 {task}/0 of user.ana.task" in node
    assert f"{task}/1" in node
    assert "1 in use, 8 enabled, at most 8" in node


def test_a_node_is_drained_with_a_reason_and_resumed(site: Site) -> None:
    question = site.get("/nodes/gauss/drain")
    assert "No new job starts on it until it is resumed. No job runs there." in question.text
    assert question.values == {"reason": "", "at": ""}
    answer = site.post("/nodes/gauss/drain", reason=HOSTILE)
    assert (answer.status, answer.location) == (422, "")
    assert "<script>alert" not in answer.html
    assert answer.values["reason"].startswith("<script>")  # as typed, in the field
    answer = site.post("/nodes/gauss/drain", reason="<new disk>")
    assert (answer.status, answer.location) == (303, "/nodes/gauss")
    shown = site.get("/nodes/gauss")
    assert re.search(r"drained (now|\d+ s ago) by ana: “<new disk>”", shown.text)
    assert "/nodes/gauss/resume" in shown.links
    assert "/nodes/gauss/drain" not in shown.links
    site.post("/nodes/gauss/resume")
    assert not site.server.ask(site.identity, GetNode("gauss")).drained_at


def test_slots_are_set_and_a_mistake_stands_at_its_field(site: Site) -> None:
    form = site.get("/nodes/gauss/slots")
    assert form.values == {
        "cpu": "8", "cpu_maximum": "8", "gpu": "2", "gpu_maximum": "2", "memory": "", "open": "", "nice": "0",
        "labels": "", "owner": "ana",
    }  # fmt: skip
    wrong = site.post("/nodes/gauss/slots", **{**form.values, "cpu": "x"})
    assert wrong.status == 422
    assert '<span class="error" id="cpu-error">"x" is not a number of slots.' in unescaped(
        wrong.html
    )
    assert wrong.values["cpu"] == "x"
    many = site.post("/nodes/gauss/slots", **{**form.values, "cpu": "9"})
    assert "cannot be enabled (“CPU slots”) of at most 8" in many.text
    assert site.post("/nodes/gauss/slots", **{**form.values, "cpu": "3"}).status == 303
    assert site.server.ask(site.identity, GetNode("gauss")).cpu.enabled == 3
    assert '<a href="#cpu">Correct it</a>' in many.html
    assert "there is no user" in site.post("/nodes/gauss/slots", owner="nobody").text


def test_settings_are_set_and_jobs_are_ended_only_when_somebody_says_so(
    site: Site, world: World
) -> None:
    address, soon = "/nodes/gauss/slots", datetime.now(UTC) + timedelta(days=3)
    form = {**site.get(address).values, "memory": "64GB", "open": f"{soon:%A}", "nice": "10"}
    pilot = world.pilot()
    world.task(jobs=1, test_jobs=0)
    world.conduct()
    pilot.start(*pilot.claim())
    work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper], window=Window(utc_offset=0))

    asked = site.post(address, **form)
    assert asked.status == 200
    assert "1 job would be ended." in asked.text
    assert asked.values["open"] == f"{soon:%A}"
    assert not site.server.ask(site.identity, GetNode("gauss")).open_hours
    assert site.post(address, **form, end="true").status == 303

    shown = site.get("/nodes/gauss").text
    assert "0 B in use, 64 GB enabled" in shown
    assert f"open all of {soon:%a}".lower() in shown
    assert "Niceness 10" in shown
    again = site.get(address).values
    assert (again["memory"], again["open"], again["nice"]) == ("64G", f"{soon:%a}".lower(), "10")
    for field, wrong in (("memory", "much"), ("open", "nights"), ("nice", "20")):
        answer = site.post(address, **{**again, field: wrong})
        assert answer.status == 422
        assert f'<a href="#{field}">Correct it</a>' in answer.html
    site.post(address, **{**again, "memory": "", "open": "", "nice": ""})
    node = site.server.ask(site.identity, GetNode("gauss"))
    assert (node.memory_bytes, node.open_hours, node.nice) == (None, None, 0)


def test_a_drain_is_planned_and_called_off(site: Site) -> None:
    wrong = site.post("/nodes/gauss/drain", at="yesterday", reason="disk")
    assert (wrong.status, wrong.values["at"]) == (422, "yesterday")
    assert "is not a day with a time" in wrong.text
    assert site.post("/nodes/gauss/drain", at="2099-12-01 18:00", reason="disk").status == 303
    shown = site.get("/nodes/gauss")
    assert "drains 2099-12-01 18:00:00 UTC by ana: “disk”" in shown.text
    assert "drains 2099-12-01" in site.get("/nodes").text
    assert "Call off the drain of node gauss?" in site.get("/nodes/gauss/resume").text
    site.post("/nodes/gauss/resume")
    assert not site.server.ask(site.identity, GetNode("gauss")).drain_at


def test_labels_are_set_shown_and_removed(site: Site) -> None:
    assert "Labels" not in site.get("/nodes").text
    form = site.get("/nodes/gauss/slots")
    wrong = site.post("/nodes/gauss/slots", **{**form.values, "labels": "rack=3 é"})
    assert wrong.status == 422
    assert '<a href="#labels">Correct it</a>' in wrong.html
    assert wrong.values["labels"] == "rack=3 é"
    site.post("/nodes/gauss/slots", **{**form.values, "labels": "Rack=3, ssd"})
    assert "rack=3, ssd=yes" in site.get("/nodes/gauss").text
    assert "rack=3, ssd=yes" in site.get("/nodes").text
    assert "gpus=2, cpus=8, node=gauss" in site.get("/nodes/gauss").text
    again = site.get("/nodes/gauss/slots").values
    assert again["labels"] == "rack=3, ssd=yes"
    site.post("/nodes/gauss/slots", **{**again, "labels": "ssd=no"})
    assert site.server.ask(site.identity, GetNode("gauss")).labels == {"ssd": "no"}


def unescaped(html: str) -> str:
    return html.replace("&#34;", '"')


def test_a_node_is_declared_lost_after_a_question(world: World, site: Site) -> None:
    world.task(jobs=2, test_jobs=0)
    world.conduct(2)
    pilot = world.pilot("gauss")
    pilot.start(*pilot.claim(cpu=2))
    question = site.get("/nodes/gauss/lost")
    assert "2 jobs of it start again on other nodes" in question.text
    refused = site.post("/nodes/gauss/lost", reason="smoke")
    assert refused.status == 409
    assert 'the pilot of node "gauss" is online.' in refused.text
    assert refused.values["reason"] == "smoke"
    assert site.post("/nodes/gauss/lost", reason="smoke", force="true").status == 303
    assert site.server.ask(site.identity, GetNode("gauss")).jobs == 0


def test_others_see_no_buttons_and_are_refused(site: Site) -> None:
    bob, root = site.of("bob"), site.of("root")
    links = bob.get("/nodes/gauss").links
    for change in ("drain", "resume", "stop", "lost", "delete", "slots"):
        path = f"/nodes/gauss/{change}"
        assert path not in links
        for answer in (bob.get(path), bob.post(path, cpu="1")):
            assert answer.status == 403
            assert 'but you are "bob"' in answer.text
        assert root.get(path).status == 200
        assert site.get(f"/nodes/nothere/{change}").status == 404


def test_who_started_a_pilot_may_stop_it(world: World, site: Site) -> None:
    site.of("bob")
    world.conn.execute("update pilot set person_id = (select id from person where name = 'bob')")
    assert "/nodes/gauss/stop" in site.of("bob").get("/nodes/gauss").links
    assert site.of("bob").get("/nodes/gauss/stop").status == 200
    answer = site.of("bob").post("/nodes/gauss/stop", now="true")
    assert answer.status == 303
    assert world.conn.execute("select leave, leave_now from pilot").fetchone() == (True, True)


def test_the_queue_in_its_order_with_reasons(world: World, site: Site) -> None:
    first = world.task(jobs=3, name="user.ana.first", test_jobs=0)
    second = world.task(jobs=2, name="user.ana.second", test_jobs=0, priority=-5)
    held = world.task(jobs=2, name="user.ana.held", test_jobs=0)
    world.conduct(3)
    lifecycle.apply(world.conn, held, TaskInput.HOLD, by="ana", why="<lunch>")
    pilot = world.pilot("gauss")
    pilot.start(*pilot.claim(cpu=1))
    shown = site.get("/queue").text
    places = [shown.index(f"{name} {task}") for name, task in [
        ("user.ana.first", first), ("user.ana.second", second), ("user.ana.held", held)
    ]]  # fmt: skip
    assert places == sorted(places)
    assert f"user.ana.first {first} ana 2 1 0 {first}/1" in shown
    assert "held by ana: <lunch>" in shown
    assert (
        f"Running jobs, the longest first Job Task Owner Node Since {first}/0 user.ana.first ana gauss"
        in shown
    )
    assert "No job waits on this queue." in site.get("/queue", name="gpu").text
    assert site.get("/queue", name="<x>").status == 404


def test_data_sets_with_files_and_versions(world: World, site: Site) -> None:
    ask = world.interface("ana")
    grid = ask(RegisterDataSet("user.ana.grid", FILES))
    ask(UpdateDataSet("user.ana.grid", MORE_FILES, grid.version_id))
    world.conn.execute(
        "update dataset_file set path = %s where path = 'b.json'", [f"{HOSTILE}.json"]
    )
    assert "this server takes no uploads" in site.get("/datasets/new").text
    listed = site.get("/datasets")
    assert re.search(r"user.ana.grid 2 2 B 2 (now|\d+ s ago) /data/grid", listed.text)
    assert "No data sets yet." in site.of("bob").get("/datasets").text
    assert "user.ana.grid" in site.of("bob").get("/datasets", all="true").text
    assert "user.ana.grid" in site.of("bob").get("/datasets", user="ana").text
    assert site.get("/datasets", user="nobody").status == 404
    shown = site.get("/datasets/user.ana.grid")
    assert "a.json" in shown.text
    assert "0 to 1 of 2 files" in shown.text
    assert safe(shown.html)
    assert re.search(r"Versions, newest first.* 2 .* 1 ", shown.text)
    assert "No file from number 5 on." in site.get("/datasets/user.ana.grid", first=5).text
    assert site.get("/datasets/user.ana.grid", first=-1).status == 422


def test_a_data_set_is_deleted_after_a_question(world: World, site: Site) -> None:
    world.interface("ana")(RegisterDataSet("user.ana.grid", FILES))
    path = "/datasets/user.ana.grid/delete"
    assert path not in site.of("bob").get("/datasets/user.ana.grid").links
    assert site.of("bob").get(path).status == site.of("bob").post(path).status == 403
    assert "Its 1 file stays at /data/grid." in site.get(path).text
    task = world.task(jobs=1)
    world.conn.execute(
        "update dataset_version set dataset_id = (select id from dataset), number = 7 "
        "where id = (select config_version_id from task where id = %s)", [task],
    )  # fmt: skip
    refused = site.post(path)
    assert refused.status == 409
    assert "still uses user.ana.grid" in refused.text
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    world.conduct(3)
    assert site.post(path).location == "/datasets"
    assert site.get("/datasets/user.ana.grid").status == 404


def test_mails_are_ones_own(world: World, site: Site, conn: psycopg.Connection) -> None:
    task = world.task(jobs=1, test_jobs=0)
    world.run_all(failing=[0])
    shown = site.get("/mails")
    assert "user.ana.task finalized" in shown.text
    (mail,) = (row[0] for row in conn.execute("select id from outbox"))
    opened = site.get(f"/mails/{mail}")
    assert f"job {task}/0" in opened.text
    assert site.of("bob").get(f"/mails/{mail}").status == 403
    assert "No mails yet." in site.of("bob").get("/mails").text
    assert site.get("/mails/x").status == 404
    conn.execute("update outbox set refused_at = now()")
    assert site.post(f"/mails/{mail}/retry").location == f"/mails/{mail}"
    assert "waiting" in site.get(f"/mails/{mail}").text
