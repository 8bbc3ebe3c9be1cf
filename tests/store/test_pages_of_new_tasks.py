"""The page that creates a task: mistakes at their fields, the preview, and one task for two clicks."""

from __future__ import annotations

import psycopg
import pytest

from orchestra.domain.models.tasks import Resources
from orchestra.interface.dataset_changes import RegisterDataSet
from orchestra.interface.selection import FindTask
from support.rights import FILES, MORE_FILES
from support.site import Site
from support.world import World

GIVEN = {
    "name": "fit",
    "config": "grid",
    "data": "digits",
    "command": "fit -c %IN -d %DATA -o %OUT",
    "queue": "cpu",
    "volume": "/data/ana",
}


@pytest.fixture
def site(world: World, conn: psycopg.Connection) -> Site:
    site = Site(conn)
    ask = world.interface("ana")
    ask(RegisterDataSet("user.ana.grid", MORE_FILES))
    ask(RegisterDataSet("user.ana.digits", FILES))
    return site


def test_an_empty_form_suggests_data_sets_and_the_folder_of_the_newest_task(
    world: World, site: Site
) -> None:
    assert site.get("/tasks/new").values["volume"] == ""
    world.task(volume="/data/<ana>")
    form = site.get("/tasks/new", config="user.ana.grid")
    assert form.values["volume"] == "/data/<ana>"
    assert form.values["config"] == "user.ana.grid"
    assert '<option value="user.ana.digits">' in form.html


def test_a_preview_creates_nothing_and_two_clicks_create_one_task(world: World, site: Site) -> None:
    preview = site.post(
        "/tasks/new", do="preview", **GIVEN, retries="2", timeout="2h", env="A=1\r\nB=a=b"
    )
    assert preview.status == 200
    assert "user.ana.fit would have 2 jobs on queue cpu" in preview.text
    assert "all 2 jobs at once, as a test" in preview.text
    assert (
        "fit -c /data/grid/a.json -d /data/grid/a.json -o /data/ana/user.ana.fit/.attempts"
        in preview.text
    )
    assert count(world) == 0
    sent = site.first_form(preview)
    assert sent["env"] == "A=1\nB=a=b"
    answers = [site.post("/tasks/new", do="create", **sent) for _ in range(2)]
    assert [each.status for each in answers] == [303, 303]
    assert answers[0].location == answers[1].location
    assert count(world) == 1
    task = site.server.ask(site.identity, FindTask("user.ana.fit"))
    assert (task.policy.retries, task.policy.timeout, task.env) == (
        2,
        7200.0,
        {"A": "1", "B": "a=b"},
    )
    # The settings of a task are those of the next one.
    again = site.get("/tasks/new", **{"from": task.id})
    assert again.values["name"] == "user.ana.fit-2"
    assert again.values["timeout"] == "2h"
    assert again.values["env"] == "A=1\nB=a=b"
    bob = site.of("bob")
    assert bob.get("/tasks/new", **{"from": task.id}).status == 403  # its environment is ana's
    world.conn.execute("update task set env = '{}'")
    other = bob.get("/tasks/new", **{"from": task.id})
    assert other.values["name"] == "user.bob.fit"
    assert other.values["volume"] == ""
    assert site.get("/tasks/new", **{"from": "99"}).status == 404


def test_what_a_job_needs_and_where_it_may_run_comes_back_as_it_was_typed(site: Site) -> None:
    given = {
        "queue": "gpu", "gpus": "0.5", "gpu_memory": "20G", "cpus": "4", "memory": "8G", "scratch": "50G",
        "exclusive": "true", "walltime": "2h", "constraint": "gpu=a100|h100,rack=3", "node": "gpu[01-04] login",
        "not_node": "gpu03",
    }  # fmt: skip
    preview = site.post("/tasks/new", do="preview", **{**GIVEN, **given})
    site.post("/tasks/new", do="create", **site.first_form(preview))
    task = site.server.ask(site.identity, FindTask("user.ana.fit"))
    gb = 10**9
    assert task.resources == Resources(4, 1, 8 * gb, 4, 500, 20 * gb, 50 * gb, exclusive=True)
    again = site.get("/tasks/new", **{"from": task.id}).values
    assert {**again, **given, "node": "gpu[01-04],login"} == again
    text = site.get(f"/tasks/{task.id}").text
    assert (
        "4 CPU slots a job, 20 GB of GPU memory a job, 8 GB of memory a job, 50 GB of scratch space a job"
        in text
    )
    assert "on nodes with gpu=a100|h100,rack=3, only on gpu[01-04],login, not on gpu03" in text


def count(world: World) -> int:
    return int(world._one("select count(*) from task"))


MISTAKES = (
    ("name", "", "“Name” is empty."),
    ("name", "user.bob.fit", "bob"),
    ("name", "<script>", "&lt;script&gt;"),
    ("config", "gird", "Did you mean"),
    ("data", "digit", "Did you mean"),
    ("command", "fit -c %IN -d %DATA", "%OUT"),
    ("volume", "here", "here"),
    ("image", "./x y", "x y"),
    ("test_jobs", "many", "“Test jobs” needs a whole number of at least 0"),
    ("timeout", "soon", "is not a duration"),
    ("timeout", "0", "must be greater than zero"),
    ("memory", "1 elephant", "is not a size"),
    ("gpus", "1.5", "must be whole"),
    ("scratch", "much", "is not a size"),
    ("walltime", "0", "must be greater than zero"),
    ("constraint", "memory>64", "a size without a unit"),
    ("node", "gpu[1-", "a bracket without its counterpart"),
    ("max_fails", "0", "would be reached at once"),
    ("env", "NOVALUE", "has no"),
    ("bind", "/data:/data", "is for containers"),
    ("after", "77", "77"),
    ("goal", "loss", "the goal"),
    ("secondary", "%REF", "names no tag with a data set"),
    ("metrics", "../x", "../x"),
    ("retries", "99999", "retries"),
)  # fmt: skip


def test_a_mistake_stands_at_its_field_and_what_was_typed_stays(site: Site) -> None:
    for field, typed, said in MISTAKES:
        answer = site.post("/tasks/new", do="preview", **{**GIVEN, field: typed})
        assert answer.status in (404, 409, 422), field
        assert f'<a href="#{field}">Correct it</a>' in answer.html
        error = answer.html.partition(f'id="{field}-error">')[2].partition("</span>")[0]
        assert said in error.replace("&#34;", '"')
        assert answer.values[field] == typed
        assert answer.values["command"] == {**GIVEN, field: typed}["command"]
        assert "<script>" not in answer.html


def test_a_name_that_was_taken_meanwhile_and_a_form_without_its_key(
    world: World, site: Site
) -> None:
    sent = site.first_form(site.post("/tasks/new", do="preview", **GIVEN))
    assert "lost its key" in site.post("/tasks/new", do="create", **{**sent, "key": ""}).text
    world.task(name="user.ana.fit")
    taken = site.post("/tasks/new", do="create", **sent)
    assert taken.status == 409
    assert 'a task "user.ana.fit" already exists' in taken.text
