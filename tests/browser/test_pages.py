"""Every page with real data: looks, words for a reader, and what a person does on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from orchestra.interface.pool_changes import CreatePool
from orchestra.interface.sessions import MakeSignInCode
from orchestra.web import pages
from support.browsing import check_looks, window
from support.served_site import Site

pytestmark = pytest.mark.needs("chromium")

COMMAND = (
    'sh -c \'echo rate $(cat "$1"); if grep -q 2 "$1"; then echo ValueError: too high; exit 3; fi;'
    ' echo x > "$2"/out\' sh %IN %OUT %DATA'
)


@pytest.fixture(scope="module")
def task(site: Site) -> Task:
    """A task on node gauss of which one job in three has failed, and a pool with allocations."""
    site.cluster.interface()(CreatePool("long", "slurm"))
    for state, at in (("PENDING", "null"), ("SERVING", "null"), ("ENDED", "now()")):
        site.cluster.conn.execute(
            "insert into allocation (id, pool_id, engine_id, state, word, submitted_at, started_at, ended_at)"
            f" select gen_random_uuid(), id, '1', '{state}', 'A WORD', now() - interval '1 h',"
            f" case when '{state}' <> 'PENDING' then now() - interval '30 min' end, {at} from pool"
        )
    site.cluster.node("gauss", cpu=2)
    site.cluster.pilot("gauss")
    task = site.cluster.task(3, COMMAND, name="scan")
    site.cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    return task


class Samples(dict[str, object]):
    """What there is to show, by the name that it has in paths; the first of anything else."""

    def __missing__(self, _name: str) -> object:
        return 1


def addresses(task: Task) -> Iterator[str]:
    """The address of every page; of those that one function makes, such as questions about changes, the first."""
    names = {"nodes": "gauss", "pools": "long", "datasets": "user.ana.scan-configs", "users": "ana"}
    makers = set()
    for each in pages.endpoints():
        maker = getattr(each.run, "func", each.run)
        if each.method == "GET" and maker not in makers:
            makers.add(maker)
            name = names.get(each.path.split("/")[1])
            samples = Samples(task=task.id, word=task.id, job=2, index=2, queue="cpu", name=name)
            yield each.path.replace(":rest}", "}").format_map(samples)


def test_every_page_is_well(site: Site, task: Task, signed_in: Page) -> None:
    looked = []
    for address in addresses(task):
        answer = signed_in.request.get(f"{site.url}{address}")
        assert answer.status < 500, address
        if "text/html" not in answer.headers["content-type"]:
            continue  # what is downloaded
        if "sandbox" in answer.headers["content-security-policy"]:
            continue  # the report, in which no script runs, axe's neither; its looks have tests of their own
        signed_in.goto(f"{site.url}{address}")
        assert signed_in.locator("h1").count() == 1, address
        assert signed_in.title(), address
        check_looks(signed_in)
        looked.append(address)
    assert len(looked) > 10


def test_a_wrong_token(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/nodes")
    page.get_by_label("token").fill("orc_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    expect(page.get_by_role("navigation", name="Main")).to_have_count(0)
    check_looks(page)


def test_a_link_signs_in_once_and_not_twice(site: Site, browser: Browser) -> None:
    link = f"{site.url}/in#{site.cluster.interface()(MakeSignInCode()).code}"
    with window(browser) as first, window(browser) as second:
        page, other = first.new_page(), second.new_page()
        page.goto(link)
        expect(page.locator(".user")).to_contain_text("ana")
        other.goto(link)
        expect(other.get_by_role("alert")).to_be_visible()
        assert "#" not in other.url
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("status").first).to_have_text("You are signed out.")
        page.goto(f"{site.url}/nodes")
        expect(page.get_by_label("token")).to_be_visible()


def test_nodes_heal_after_the_death_of_the_server(site: Site, task: Task, signed_in: Page) -> None:
    signed_in.goto(f"{site.url}/nodes")
    expect(signed_in.locator("#live")).to_have_text("live")
    signed_in.evaluate("() => { window.same = true; }")
    site.kill()
    expect(signed_in.locator("#live")).to_contain_text("reconnecting")
    site.cluster.node("noether", cpu=4)
    site.start()
    expect(signed_in.get_by_role("link", name="noether")).to_be_visible()
    expect(signed_in.locator("#live")).to_have_text("live")
    assert signed_in.evaluate("() => window.same"), "without a reload"


def tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus begins with a text."""
    passed = []
    for _ in range(80):
        page.keyboard.press("Tab")
        passed.append(page.evaluate("() => document.activeElement.innerText.trim().slice(0, 40)"))
        if passed[-1].startswith(text):
            return
    raise AssertionError(f"no {text!r} among {passed}")


def test_a_failure_is_found_read_and_retried_with_the_keyboard_alone(
    site: Site, task: Task, signed_in: Page
) -> None:
    signed_in.goto(site.url)
    tab_to(signed_in, "Failures")
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("heading", name="user.ana.scan")).to_be_visible()
    tab_to(signed_in, "log")
    signed_in.keyboard.press("Enter")
    expect(signed_in.locator("#log")).to_contain_text("ValueError: too high")
    tab_to(signed_in, "Retry")
    signed_in.keyboard.press("Enter")
    expect(signed_in.get_by_role("heading", name="Retry")).to_be_visible()
    tab_to(signed_in, "Retry")
    signed_in.keyboard.press("Enter")
    expect(signed_in.locator(".said")).to_be_visible()
    expect(signed_in.locator("#attempts")).to_contain_text("Attempt 2")
    site.cluster.wait_for(task, TaskState.FINALIZED)


def test_a_running_task_is_killed_after_its_preview(
    site: Site, task: Task, signed_in: Page
) -> None:
    cluster = site.cluster
    long = cluster.task(2, "sh -c 'sleep 600' %DATA %IN %OUT", name="long", data="user.ana.data")
    for index in range(2):
        cluster.wait_for_job(long, index, JobState.RUNNING)
    signed_in.goto(f"{site.url}/tasks/{long.id}")
    signed_in.get_by_role("link", name="Kill", exact=True).click()
    loss = signed_in.get_by_role("listitem").first
    expect(loss).to_contain_text("Ends 2 running jobs, which have used")
    signed_in.get_by_label("Reason").fill("<too> long")
    signed_in.get_by_role("button", name="Kill").click()
    # The page follows by itself.
    expect(signed_in.locator("#head")).to_contain_text("KILLED")
    expect(signed_in.locator("#story")).to_contain_text("by ana: <too> long")


def test_a_node_is_drained_with_a_reason_and_resumed(
    site: Site, task: Task, signed_in: Page
) -> None:
    signed_in.goto(f"{site.url}/nodes/gauss")
    signed_in.get_by_role("link", name="Drain").click()
    signed_in.get_by_label("Reason").fill("new <disk>")
    signed_in.get_by_role("button", name="Drain").click()
    expect(signed_in.locator("main")).to_contain_text("new <disk>")
    signed_in.get_by_role("link", name="Resume").click()
    signed_in.get_by_role("button", name="Resume").click()
    expect(signed_in.get_by_role("link", name="Drain")).to_be_visible()


def test_a_task_is_created_and_watched_to_its_end(site: Site, task: Task, signed_in: Page) -> None:
    signed_in.goto(f"{site.url}/tasks/{task.id}")
    signed_in.get_by_role("link", name="Create one like it").click()
    signed_in.get_by_label("Name").fill("seen")
    signed_in.get_by_label("Command").fill("cp %IN out # %DATA")
    signed_in.get_by_role("button", name="Preview").click()
    expect(signed_in.get_by_role("alert")).to_contain_text("%OUT")
    signed_in.get_by_role("link", name="Correct it").click()
    command = signed_in.get_by_label("Command")
    expect(command).to_be_focused()
    command.fill("cp %IN %OUT/out; test -e %DATA")
    signed_in.get_by_role("button", name="Preview").click()
    expect(signed_in.get_by_role("heading", name="user.ana.seen would have 3 jobs")).to_be_visible()
    check_looks(signed_in)
    signed_in.get_by_role("button", name="Create").dblclick()
    expect(signed_in.get_by_role("status").first).to_contain_text("is created")
    expect(signed_in.locator("#head .state").first).to_have_text("DONE")
    signed_in.goto(f"{site.url}/tasks")
    expect(signed_in.get_by_role("link", name="user.ana.seen")).to_have_count(1)
