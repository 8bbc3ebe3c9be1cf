"""Metrics of jobs: stored with their outcomes, compared in the database, deleted with their task."""

from __future__ import annotations

import json
from collections.abc import Callable, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.metrics import Metrics, to_keep
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.files.results import read
from orchestra.interface.reports import ReportTask
from orchestra.services import datasets, work
from orchestra.services.tasks import actions, reports, results
from orchestra.services.tasks.best import best_results
from orchestra.store.jobs import metrics
from orchestra.store.tasks import purge
from support.people import caller
from support.plans import plan
from support.registering import register, update
from support.world import Pilot, World


@pytest.fixture
def ana(world: World) -> Caller:
    world.person()
    return caller(world.conn)


def run(world: World, pilot: Pilot, texts: list[str | None], task: int) -> None:
    """Run the jobs of a task to their end, each with its metrics."""
    for _ in range(4):
        world.conduct()
        grants = pilot.claim(cpu=100)
        for grant in grants:
            text = texts[grant.key.index] if grant.key.task_id == task else None
            kept = to_keep("metrics.json", text.encode(), len(text)) if text else None
            outcome = Outcome(grant.key, Cause.EXIT, exit_status=0, seconds=1.0, metrics=kept)
            work.report(world.conn, pilot.keeper, [outcome])
    world.conduct(3)


def count(world: World, table: str) -> int:
    return int(world._one(f"select count(*) from {table}"))


def test_what_a_job_said_comes_with_its_outcome(world: World) -> None:
    task = world.task(jobs=3, folder="/nowhere")
    text = '{"accuracy": 0.5, "loss": NaN, "note": "\\u0000"}'
    run(world, world.pilot(), [text, None, '{"accuracy": 1}'], task)
    rows = world.conn.execute("select ordinal, number, text, numbers from attempt_metrics")
    assert rows.fetchall() == [
        (0, 1, text, {"accuracy": 0.5}),
        (2, 1, '{"accuracy": 1}', {"accuracy": 1}),
    ]
    table = read(results.look_up(world.conn, str(task)))
    assert [row.metrics.get("accuracy") for row in table.rows] == [0.5, None, 1]
    assert table.rows[1].note == "metrics.json is missing; the config is missing"


def test_running_jobs_are_found_beside_the_done_ones(world: World, ana: Caller) -> None:
    task = world.task(jobs=3, folder="/nowhere")
    pilot = world.pilot()
    run(world, pilot, ['{"loss": 1}'] * 3, task)
    actions.retry(world.conn, ana, task, every=True)
    world.conduct(2)
    (grant,) = pilot.claim()

    def found() -> tuple[list[int], list[tuple[int, int, str]]]:
        sources = results.look_up(world.conn, str(task), live=True)
        running = [(job.index, job.attempt, str(job.state)) for job in sources.running or ()]
        return [job.index for job in sources.jobs], running

    assert found() == ([0, 1, 2], [])  # claimed, but not started
    pilot.start(grant)
    assert found() == ([1, 2], [(0, 2, "testing")])
    assert results.look_up(world.conn, str(task)).running is None
    pilot.end(grant)
    assert found() == ([0, 1, 2], [])


def test_a_report_reads_a_sample_of_a_large_task_and_its_best_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "SAMPLE", 5)
    monkeypatch.setattr(results, "BEST", 2)
    task = world.task(jobs=40)
    run(world, world.pilot(), [f'{{"accuracy": {n / 40}}}' for n in range(40)], task)
    facts = world.interface()(ReportTask(str(task)))
    sample = [job.index for job in facts.results.jobs]
    assert len(sample) <= 7
    assert {38, 39} <= set(sample)
    assert sample == sorted(sample)
    assert facts == replace(world.interface()(ReportTask(str(task))), shown=facts.shown)
    assert [(place.node, place.version, place.attempts) for place in facts.places] == [
        ("gauss", "0", 40)
    ]
    monkeypatch.setattr(results, "_SIZE", 10)
    assert reports.facts(world.conn, str(task)).results.jobs == ()


def test_a_repeated_outcome_changes_nothing(world: World) -> None:
    world.task(jobs=1)
    world.conduct()
    pilot = world.pilot()
    (grant,) = pilot.claim()
    for number in (1, 2):
        texts = Metrics(f'{{"a": {number}}}', f'{{"a": {number}}}')
        outcome = Outcome(grant.key, Cause.EXIT, exit_status=0, metrics=texts)
        work.report(world.conn, pilot.keeper, [outcome])
    assert world.conn.execute("select text from attempt_metrics").fetchall() == [('{"a": 1}',)]


def test_the_best_jobs_with_their_configs(world: World) -> None:
    task = world.task(jobs=200)
    run(
        world,
        world.pilot(),
        [json.dumps({"loss": abs(number - 120), "seconds": 1}) for number in range(200)],
        task,
    )
    version = world.column(task, "config_version_id")
    world.conn.execute(
        "insert into dataset_text (version_id, ordinal, text) "
        "select %s, n, '{\"lr\": ' || n || ', \"epochs\": 3}' from generate_series(0, 199) n",
        [version],
    )
    found = best_results(world.conn, task)
    assert found
    assert found.columns == ("loss", "lr", "epochs")
    assert [(row.job, row.values) for row in found.rows] == [
        (f"{task}/120", ("0", "120", "3")),
        (f"{task}/119", ("1", "119", "3")),
        (f"{task}/121", ("1", "121", "3")),
    ]


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (['{"val_loss": 1, "loss": 2}', '{"val_loss": 2, "loss": 1}'], ("val_loss", 0)),
        (['{"loss": 1, "val_loss": 2}', '{"loss": 2, "val_loss": 1}'], ("loss", 0)),
        (['{"loss": 1, "auc": 0.5}', '{"loss": 2, "auc": 0.75}'], ("auc", 1)),
        (['{"loss": NaN}', '{"loss": 2}'], ("loss", 1)),
        (['{"loss": -Infinity}', '{"loss": 2e300}'], ("loss", 1)),
    ],
)
def test_which_is_best_is_as_ever(world: World, texts: list[str | None], wanted: object) -> None:
    task = world.task(jobs=2)
    run(world, world.pilot(), texts, task)
    found = best_results(world.conn, task)
    assert found
    assert (found.columns[0], int(found.rows[0].job.rpartition("/")[2])) == wanted


def test_without_a_goal_there_is_no_best_result(world: World) -> None:
    first = world.task(jobs=1)
    run(world, world.pilot(), ['{"seconds": 1}'], first)
    second = world.task(jobs=1, name="user.ana.other")
    run(world, world.pilot(), [None], second)
    assert [best_results(world.conn, task) for task in (first, second, 99)] == [None] * 3


def test_a_stated_goal_decides_in_the_mail(world: World) -> None:
    task = world.task(jobs=3)
    texts: list[str | None] = [f'{{"accuracy": {n}, "a": {{"chi": {n - 1}}}}}' for n in range(3)]
    run(world, world.pilot(), texts, task)

    def best(goal: str) -> object:
        world.conn.execute("update task set goal = %s where id = %s", [goal, task])
        found = best_results(world.conn, task)
        return found and (found.columns[0], [row.job for row in found.rows])

    assert best("min:a.chi") == ("a.chi", [f"{task}/{n}" for n in (0, 1, 2)])
    assert best("max:metrics.accuracy") == ("accuracy", [f"{task}/{n}" for n in (2, 1, 0)])
    assert best("min:acc") is None


def test_what_is_read_for_a_mail_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of at most 24 jobs, whatever the number of jobs, and the numbers of the first hundred."""
    task = world.task(jobs=300)
    run(world, world.pilot(), [f'{{"loss": {n}}}' for n in range(300)], task)
    read: list[int] = []

    def noted(function: Callable[..., Sized]) -> Callable[..., Sized]:
        def call(*given: Any) -> Sized:
            found = function(*given)
            read.append(len(found))
            return found

        return call

    for name in ("first", "of_jobs"):
        monkeypatch.setattr(metrics, name, noted(getattr(metrics, name)))
    assert best_results(world.conn, task)
    assert read == [100, 1, len({*range(3), *metrics.sample(world.conn, task, 300, 20)})]


@pytest.mark.parametrize("page", [1, 3, 50_000])
def test_the_best_are_the_same_however_many_are_compared_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    task = world.task(jobs=7)
    texts = [f'{{"loss": {loss}}}' for loss in (3, 1, 2, 1, 9, 9)]
    run(world, world.pilot(), [*texts, None], task)
    whole = metrics.sample(world.conn, task, 7, 4)
    monkeypatch.setattr(metrics, "PAGE", page)
    assert metrics.best(world.conn, task, 7, "loss", 3, highest=False) == [1, 3, 2]
    assert metrics.best(world.conn, task, 7, "loss", 3, highest=True) == [4, 5, 0]
    assert metrics.sample(world.conn, task, 7, 4) == whole
    assert [each.index for each in metrics.first(world.conn, task, 3)] == [0, 1, 2]


def test_results_walk_primary_keys_alone(world: World) -> None:
    task = world.task(jobs=100)
    world.task(jobs=100, name="user.ana.other")
    world.conn.execute(
        "insert into attempt_metrics (task_id, ordinal, number, text, numbers) "
        "select t.id, n, 1, '{\"loss\": 1}', '{\"loss\": 1}' from task t, generate_series(0, 5000) n"
    )
    world.conn.execute("analyze")
    found = plan(world.conn, metrics.SQL.first, {"task": task, "limit": 100})
    assert "attempt_metrics" not in found.walked
    page = {"task": task, "name": "loss", "limit": 3, "first": 0, "next": 50}
    for statement in (metrics.SQL.lowest, metrics.SQL.highest, metrics.SQL.sample):
        assert plan(world.conn, statement, page).walked & {"attempt_metrics"} == set()
    found = plan(world.conn, metrics.SQL.forget, {"seconds": 1e6, "limit": 100})
    assert "attempt_metrics_by_age" in found.indexes


def test_old_ones_are_forgotten(world: World) -> None:
    task = world.task(jobs=5)
    run(world, world.pilot(), ['{"loss": 1}'] * 5, task)
    world.conn.execute(
        "update attempt_metrics set kept_at = now() - interval '400 d' where ordinal < 3"
    )
    year = 365 * 86400
    assert metrics.forget(world.conn, year, 2)
    assert count(world, "attempt_metrics") == 3
    assert metrics.forget(world.conn, year, 2)
    assert not metrics.forget(world.conn, year, 2)
    assert count(world, "attempt_metrics") == 2


def test_they_go_with_their_task_and_the_data_set(
    world: World, ana: Caller, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text("{}")
    made = register(world.conn, ana, "user.ana.grid", tmp_path)
    task = world.task(jobs=1, config_version_id=made.version_id)
    run(world, world.pilot(), ['{"loss": 1}'], task)
    actions.delete(world.conn, ana, task)
    datasets.remove(world.conn, ana, "user.ana.grid")
    while purge.purge_deleted(world.conn, 1):
        pass
    assert (count(world, "attempt_metrics"), count(world, "dataset_text")) == (0, 0)
    register(world.conn, ana, "user.ana.grid", tmp_path)
    assert count(world, "dataset_text") == 1
    datasets.remove(world.conn, ana, "user.ana.grid")
    assert count(world, "dataset_text") == 0


# Configs


def test_what_configs_say_is_kept_when_they_are_registered(
    world: World, ana: Caller, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('{"lr": 1}')
    (tmp_path / "b.json").write_text('{"lr": "' + "x" * 4_000 + '"}')
    (tmp_path / "c.dat").write_text("1 2 3")
    made = register(world.conn, ana, "user.ana.grid", tmp_path)
    texts = "select ordinal, name, text from dataset_text where version_id = %s order by ordinal"
    rows = world.conn.execute(texts, [made.version_id])
    assert rows.fetchall() == [(0, None, '{"lr": 1}')]
    (tmp_path / "a.json").write_text('{"lr": 2}')
    updated = update(world.conn, ana, "user.ana.grid")
    rows = world.conn.execute(texts, [updated.dataset.version_id])
    assert rows.fetchall() == [(0, None, '{"lr": 2}')]


def test_results_show_configs_as_they_were_registered(
    world: World, ana: Caller, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text('{"lr": 1}')
    made = register(world.conn, ana, "user.ana.grid", tmp_path)
    task = world.task(jobs=1, config_version_id=made.version_id)
    run(world, world.pilot(), ['{"loss": 1}'], task)
    (tmp_path / "a.json").unlink()
    (row,) = read(results.look_up(world.conn, str(task))).rows
    assert (row.values, row.metrics, row.note) == ({"lr": 1}, {"loss": 1}, None)
