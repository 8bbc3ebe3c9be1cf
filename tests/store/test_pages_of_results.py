"""The pages of a task's results and its report, and the results as files."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

from orchestra.domain.metrics import to_keep
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.services import work
from orchestra.services.tasks import results
from support.site import Site
from support.world import World

NASTY = "<script>alert(1)</script>\"'"


@pytest.fixture
def task(world: World) -> int:
    """A task of six jobs, two of each value of lr, of which the last failed."""
    task = world.task(jobs=6, test_jobs=0)
    configs = [
        {"lr": 10.0**-n, "seed": seed, "name": NASTY, "mode": "a" if n else "<b>"}
        for n in range(3)
        for seed in (1, 2)
    ]
    version = world.column(task, "config_version_id")
    for place, config in enumerate(configs):
        world.conn.execute(
            "insert into dataset_text (version_id, ordinal, text) values (%s, %s, %s)",
            [version, place, json.dumps(config)],
        )
    pilot = world.pilot()
    world.conduct(2)
    for grant in pilot.claim(cpu=6):
        place = grant.key.index
        text = json.dumps({"accuracy": place / 10, "word": "x" if place else "nan"})
        outcome = Outcome(
            grant.key,
            Cause.EXIT,
            exit_status=int(place == 5),
            seconds=2.0,
            metrics=to_keep("metrics.json", text.encode(), len(text)) if place < 5 else None,
        )
        work.report(world.conn, pilot.keeper, [outcome])
    world.conduct(3)
    return task


@pytest.fixture
def site(conn: psycopg.Connection) -> Site:
    return Site(conn)


def test_results_best_first_without_what_is_the_same(task: int, site: Site) -> None:
    shown = site.get(f"/tasks/{task}/results")
    assert shown.status == 200
    assert "5 of 6 jobs have results" in shown.text
    assert (
        f"The highest accuracy job accuracy lr seed mode word {task}/4 0.4 0.01 1 a x" in shown.text
    )
    assert f"/tasks/{task}/jobs/4" in shown.links
    assert "<script>alert" not in shown.html
    assert f"The same in all rows: name {NASTY}" in shown.text
    # Charts as SVG without a style of their own, against what varies.
    assert "accuracy against lr" in shown.text
    assert not re.search(r"<style|\sstyle=", shown.html)
    assert "mean accuracy" in site.get(f"/tasks/{task}/results", plots="all").text


def test_filter_sort_and_group_are_in_the_address(task: int, site: Site) -> None:
    path = f"/tasks/{task}/results"
    few = site.get(path, where="lr < 1 and seed == 1", sort="-accuracy")
    assert "2 of 5 rows met the condition." in few.text
    rows = few.text.partition("All results")[2]
    assert rows.index(f"{task}/4") < rows.index(f"{task}/2")
    assert few.values["where"] == "lr < 1 and seed == 1"
    assert "sort=accuracy" in "".join(few.links)  # a second click turns it around
    groups = site.get(path, group_by="mode", best="1")
    assert "1 group" in groups.text
    assert "std: sample standard deviation" in groups.text
    grouped = site.get(path, group_by="mode")
    (link,) = (each for each in grouped.links if "where=" in each and "%3Cb%3E" in each)
    assert "2 of 5 rows met the condition." in site.get(link).text
    wrong = site.get(path, where="lrr < 1")
    assert wrong.status == 422
    assert 'the results have no column "lrr". Did you mean "lr"?' in wrong.text
    assert wrong.values["where"] == "lrr < 1"
    assert "5 jobs" in wrong.text
    assert site.get(path, best="x").status == 422
    assert site.get(path, where="lr <").status == 422
    one = site.get(path, metric="run.seconds", against="seed")
    assert "run.seconds against seed" in one.text
    assert site.get(path, first="5", where="lr<1").text.count("No row.") == 1


def test_results_as_files(task: int, site: Site) -> None:
    api = f"/api/v1/tasks/{task}/results"
    csv = site.get(f"{api}.csv", where="seed == 1", sort="accuracy", columns="job,accuracy")
    assert csv.html == "job,accuracy\n0,0.0\n2,0.2\n4,0.4\n"
    assert csv.headers["content-disposition"] == 'attachment; filename="user.ana.task.csv"'
    rows = json.loads(site.get(f"{api}.json", group_by="lr").html)
    assert [row["accuracy.n"] for row in rows] == [1, 2, 2]
    assert site.get(f"{api}.csv", sorted="accuracy").status == 422
    assert 'Did you mean "sort"?' in site.get(f"{api}.csv", sorted="accuracy").text
    assert site.get("/api/v1/tasks/99/results.csv").status == 404


def test_a_large_task_is_shown_by_a_sample(
    task: int, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "SHOWN", 3)
    monkeypatch.setattr(results, "BEST", 1)
    shown = site.get(f"/tasks/{task}/results").text
    assert "of 5 results: a random sample, and the best ones. The downloads have all." in shown
    assert f"{task}/4" in shown
    assert site.get(f"/api/v1/tasks/{task}/results.csv").html.count("\n") == 6


def test_without_results(world: World, site: Site) -> None:
    task = world.task(jobs=2)
    assert "No job of this task is done yet" in site.get(f"/tasks/{task}/results").text
    assert site.get("/tasks/99/results").status == 404


def test_the_report_has_one_known_style_in_a_sandbox(task: int, site: Site) -> None:
    page = site.get(f"/tasks/{task}/report")
    policy = page.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "unsafe-inline" not in policy
    assert "5 of 6" in page.text or "5 done" in page.text
    assert not re.search(r"<script|\sstyle=", page.html)
    saved = site.get(f"/tasks/{task}/report", download="true")
    assert saved.headers["content-disposition"] == 'attachment; filename="user.ana.task.html"'
