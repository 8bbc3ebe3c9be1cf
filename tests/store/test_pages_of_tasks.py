"""The overview, the list of tasks, and the page of a task with its changes."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import lifecycle
from store.test_job_matches import failed as failed
from store.test_pages_of_nodes import HOSTILE, safe
from support.people import caller
from support.site import Site
from support.world import World

pytestmark = pytest.mark.servers("embedded")


@pytest.fixture
def site(world: World) -> Site:
    """The pages as ana sees them, who is no admin."""
    caller(world.conn, "root")
    return Site(world.conn)


def test_all_is_well_where_nothing_runs(site: Site) -> None:
    page = site.get("/")
    assert "All is well" in page.text
    assert "0 jobs done and 0 failed in the last 24 hours" in page.text
    assert "/tasks/new" in page.links
    assert "You have no task yet." in site.get("/tasks").text


def test_what_needs_attention_stands_with_its_remedy_until_it_was_seen(
    world: World, site: Site
) -> None:
    task, other = (
        world.task(6, test_jobs=0),
        world.task(6, name="user.bob.t", owner="bob", test_jobs=0),
    )
    world.run_all(failing=[2, 4])
    page = site.get("/")
    assert f"Task {task} (user.ana.task) has ended: 4 done, 2 failed" in page.text
    assert {f"/tasks/{task}/retry", f"/tasks/{task}/acknowledge", f"/tasks/{task}#failures"} <= {
        *page.links
    }
    assert f"Task {other}" not in page.text
    everybody = site.get("/", all="true")
    assert f"Task {other}" in everybody.text
    assert f"/tasks/{other}/retry" not in everybody.links
    assert f"/tasks/{other}/retry" in site.of("root").get("/", all="true").links
    assert site.post(f"/tasks/{task}/acknowledge").location == "/"
    assert f"Task {task}" not in site.get("/").text
    assert site.post(f"/tasks/{other}/acknowledge").status == 403


def test_the_list_is_filtered_and_goes_on(world: World, site: Site) -> None:
    for n in range(55):
        world.task(1, name=f"user.ana.t{n}")
    bobs = world.task(1, name="user.bob.t", owner="bob")
    world.conn.execute("update task set state = 'KILL' where id = 3")
    first = site.get("/tasks")
    assert "user.ana.t54" in first.text
    assert "user.ana.t4 " not in first.text
    (following,) = (link for link in first.links if "before=" in link)
    assert "user.ana.t4 " in site.get(following).text
    assert "user.bob.t" not in first.text
    assert f"/tasks/{bobs}" in site.get("/tasks", all="true").links
    assert f"/tasks/{bobs}" in site.get("/tasks", user="bob").links
    killed = site.get("/tasks", state="KILL")
    assert "user.ana.t3 " in killed.text
    assert "user.ana.t1 " not in killed.text
    assert "No task matches." in site.get("/tasks", name="nothing").text
    assert "user.ana.t33 " in site.get("/tasks", name="a.t33").text
    assert site.get("/tasks", state="running").status == 422
    assert site.get("/tasks", user="nobody").status == 404


def test_a_task_with_its_failures_in_groups(world: World, site: Site, failed: int) -> None:
    world.conn.execute(
        "update attempt set reason = %s where ordinal = 4", [HOSTILE.replace("\n", " ")]
    )
    page = site.get(f"/tasks/{failed}")
    assert safe(page.html)
    assert "2 done, 5 failed, 1 running, 4 waiting" in page.text
    assert "4 jobs: exit status 3" in page.text
    assert "1 job: exceeded its timeout all on gauss" not in page.text
    assert "ValueError: lr 0.5 is too large" in page.text
    assert "exit status 3 4 2 2" in page.text  # the table by node
    assert "all 1" not in page.text
    links = {*page.links}
    assert f"/tasks/{failed}/jobs/retry?status=failed&reason=exit%3A3" in links
    assert f"/tasks/{failed}/kill" in links
    for mine in ("/kill", "/retry", "/settings", "jobs/retry"):
        assert not [
            link for link in site.of("bob").get(f"/tasks/{failed}").links if link.endswith(mine)
        ]
    running = site.get(f"/tasks/{failed}", status="running").html
    assert [n for n in range(12) if f'id="job-{n}"' in running] == [5]
    assert "No job matches." in site.get(f"/tasks/{failed}", line="nothing*").text
    assert "is not a reason why jobs fail" in site.get(f"/tasks/{failed}", reason="why?").text
    assert site.get(f"/tasks/{failed}", status="lost").status == 422
    assert site.get("/tasks/99").status == site.get("/tasks/%20x").status == 404


def test_a_group_of_jobs_is_retried_after_its_preview(
    world: World, site: Site, failed: int
) -> None:
    path = f"/tasks/{failed}/jobs/retry"
    group = {"status": "failed", "reason": "exit:3", "line": "ValueError: lr * is too large"}
    question = site.get(path, **group)
    assert "Runs 2 jobs again, before the others of the task, about 2 CPU hours." in question.text
    assert question.values == group
    assert site.of("bob").post(path, **group).status == 403
    answer = site.post(path, **question.values)
    assert (answer.status, answer.location) == (303, f"/tasks/{failed}")
    assert world.jobs(failed)[:3] == [*[JobState.REGISTERED] * 2, JobState.FAILED]
    question = site.get(f"/tasks/{failed}/jobs/kill", node="gauss")
    assert "Ends 1 running job, which has used 2 CPU hours." in question.text
    site.post(f"/tasks/{failed}/jobs/kill", node="gauss", why="hot")
    assert world.counts(failed).kill == 1


@pytest.mark.parametrize(
    ("change", "fields", "said"),
    [
        ("hold", {"why": "later"}, "Starts no more jobs: 4 waiting jobs stay so"),
        ("kill", {"why": "wrong"}, "Ends 1 running job, which has used 2 CPU hours."),
    ],
)
def test_a_live_task_is_changed_after_its_preview(
    world: World, site: Site, failed: int, change: str, fields: dict[str, Any], said: str
) -> None:
    path = f"/tasks/{failed}/{change}"
    assert said in site.get(path).text
    assert "belongs to user" in site.of("bob").get(path).text
    assert site.of("bob").post(path).status == 403
    assert site.post(path, **fields).location == f"/tasks/{failed}"
    assert fields["why"] in site.get(f"/tasks/{failed}").text


def test_an_ended_task_is_retried_or_deleted(world: World, site: Site) -> None:
    task = world.task(6, test_jobs=0)
    world.run_all(failing=[2, 4])
    question = site.get(f"/tasks/{task}/retry")
    assert "Runs 2 jobs again" in question.text
    assert f"/tasks/{task}/retry?every=true" in question.links
    every = site.get(f"/tasks/{task}/retry", every="true")
    assert "Runs 6 jobs again" in every.text
    assert every.values == {"every": "true"}
    assert "Its files stay in /data/ana/user.ana.task." in site.get(f"/tasks/{task}/delete").text
    assert site.post(f"/tasks/{task}/retry").location == f"/tasks/{task}"
    assert world.state(task) is TaskState.RUNNING
    assert site.post(f"/tasks/{task}/delete").status == 409
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    world.conduct(2)
    assert site.post(f"/tasks/{task}/delete").location == "/tasks"
    assert site.get(f"/tasks/{task}").status == 404


def test_settings_are_changed_and_a_mistake_stands_at_its_field(site: Site, failed: int) -> None:
    path = f"/tasks/{failed}/settings"
    form = site.get(path)
    assert form.values == {
        "priority": "0", "retries": "0", "max_fails": "", "max_running": "", "goal": "", "timeout": "",
        "grace": "30s", "cores": "1", "memory": "", "walltime": "", "scratch": "", "exclusive": "off", "constraint": "",
        "node": "", "not_node": "",
    }  # fmt: skip
    for name, text in (
        ("exclusive", "maybe"),
        ("constraint", "gpu="),
        ("node", "n[1-"),
        ("not_node", "a/b"),
    ):
        wrong = site.post(path, **{**form.values, name: text})
        assert f'id="{name}-error"' in wrong.html, name
    wrong = site.post(path, **{**form.values, "timeout": "soon"})
    assert wrong.status == 422
    assert 'id="timeout-error"' in wrong.html
    assert site.post(path, **{**form.values, "priority": ""}).status == 422
    given = {
        "priority": "5",
        "max_fails": "10%",
        "timeout": "90m",
        "memory": "4G",
        "goal": "min:loss",
        "walltime": "1h",
        "scratch": "20G",
        "exclusive": "on",
        "constraint": "gpu=a100|h100",
        "node": "gpu[01-04]",
        "not_node": "gpu02",
    }
    assert site.post(path, **{**form.values, **given}).location == f"/tasks/{failed}"
    assert {**site.get(path).values, **given} == site.get(path).values
    site.post(path, **{**site.get(path).values, "timeout": "", "max_fails": "", "goal": ""})
    assert site.get(path).values["timeout"] == site.get(path).values["max_fails"] == ""
    assert site.of("bob").get(path).status == 403
