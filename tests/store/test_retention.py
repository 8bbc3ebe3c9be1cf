"""Old data is deleted in small portions, and needed data is kept. Time passes in the rows, not on the clock."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.conductor import retention as duty
from orchestra.conductor.isolation import Isolation
from orchestra.conductor.retention import Retention
from orchestra.domain.caller import Caller
from orchestra.domain.errors import KeeperFenced, UnknownKeeper
from orchestra.domain.metrics import to_keep
from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.work import Outcome
from orchestra.domain.retention import DAY, RetentionPolicy
from orchestra.domain.states import Cause, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services import answers, work
from orchestra.services.jobs import explain
from orchestra.services.mail import outbox
from orchestra.services.tasks import actions, lifecycle
from orchestra.services.users import sign_in, tokens
from orchestra.store.cluster import retention
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import facts
from orchestra.store.tasks import purge as purge_store
from support.people import caller
from support.plans import plan
from support.world import Pilot, World

TIMES = {
    "event": ["at"],
    "task": ["created_at", "ended_at"],
    "attempt": ["claimed_at", "started_at", "ended_at"],
    "attempt_metrics": ["kept_at"],
    "keeper": ["renewed_at", "lease_until", "fenced_at", "gone_at"],
    "dataset": ["deleted_at"],
    "dataset_version": ["created_at"],
    "outbox": ["created_at", "sent_at"],
    "api_token": ["created_at", "expires_at", "revoked_at"],
    "sign_in_code": ["expires_at"],
    "api_answer": ["created_at"],
    "web_session": ["created_at", "last_seen_at", "idle_at", "ends_at"],
}
GROWING = (
    "event",
    "attempt",
    "job",
    "task_count",
    "attempt_metrics",
    "keeper",
    "dataset_file",
    "dataset_version",
    "outbox",
)


@pytest.fixture
def ana(world: World) -> Caller:
    world.person()
    return caller(world.conn)


def days_pass(world: World, days: float) -> None:
    """Move the time in all rows back."""
    for table, columns in TIMES.items():
        moved = ", ".join(f"{name} = {name} - make_interval(days => %(days)s)" for name in columns)
        world.conn.execute(f"update {table} set {moved}", {"days": int(days)})


def tidied(world: World, keep: RetentionPolicy | None = None, *, portions: int = 200) -> Retention:
    """Run the duty for whole passes."""
    now = [0.0]
    kept = Retention(keep or RetentionPolicy(), clock=lambda: now[0])
    isolation = Isolation()
    for _ in range(portions):
        now[0] += duty.PORTION_EVERY
        kept.tick(world.conn, lambda step: in_transaction(world.conn, step), isolation)
    assert isolation.stuck == ()
    return kept


def count(world: World, table: str, where: str = "true") -> int:
    return int(world._one(f"select count(*) from {table} where {where}"))


def run(world: World, pilot: Pilot, task: int, *, failing: tuple[int, ...] = ()) -> None:
    """Run the jobs of a task to their end, with logs and metrics."""
    for _ in range(8):
        world.conduct()
        grants = pilot.claim(cpu=100)
        pilot.start(*grants)
        for grant in grants:
            bad = grant.key.task_id == task and grant.key.index in failing
            outcome = Outcome(
                grant.key,
                Cause.EXIT,
                exit_status=int(bad),
                seconds=1.0,
                log_tail=b"it broke\n" if bad else b"fine\n",
                metrics=None if bad else to_keep("metrics.json", b'{"loss": 1}', 11),
            )
            work.report(world.conn, pilot.keeper, [outcome])
    world.conduct(3)


def purge(world: World) -> None:
    while purge_store.purge_deleted(world.conn, 1_000):
        pass


@pytest.mark.servers("embedded")
def test_a_year_and_a_half_levels_off(world: World, ana: Caller) -> None:
    """Each month: a task that is kept for two months, one that is deleted at once, a pilot, a version of a data set."""
    dataset = world._one(
        "insert into dataset (name, owner_id) values ('user.ana.grid', %s) returning id",
        ana.user.id,
    )
    sizes: list[dict[str, int]] = []
    kept: list[int] = []
    for month in range(18):
        pilot = world.pilot(boot_id=f"boot-{month}")
        version = world.dataset_version(5)
        world.conn.execute(
            "update dataset_version set dataset_id = %s, number = %s where id = %s",
            [dataset, month + 1, version],
        )
        kept.append(world.task(6, f"user.ana.kept{month}", test_jobs=0))
        run(world, pilot, kept[-1], failing=(2,))
        gone = world.task(6, f"user.ana.gone{month}", test_jobs=0)
        run(world, pilot, gone)
        leaving = [gone, *([kept.pop(0)] if len(kept) > 2 else [])]
        for task in leaving:
            actions.delete(world.conn, ana, task)
        purge(world)
        world.conn.execute("update outbox set sent_at = coalesce(sent_at, now())")
        work.detach(world.conn, pilot.node, pilot.agent, [pilot.keeper])
        days_pass(world, 30)
        outbox.tidy(world.conn)
        tidied(world)
        sizes.append({table: count(world, table) for table in GROWING})
        sizes[-1]["ends of logs"] = count(world, "attempt", "log_tail is not null")
    assert sizes[-1] == sizes[-2] == sizes[-6], "nothing grows any more"
    assert sizes[3] != sizes[-1], "something did"


def test_what_is_needed_stays_however_old_it_is(world: World, ana: Caller) -> None:
    pilot = world.pilot()
    over = world.task(3, "user.ana.over", test_jobs=0)
    run(world, pilot, over, failing=(1,))
    broken = world.task(3, "user.ana.broken", test_jobs=1)
    run(world, pilot, broken, failing=(0,))
    live = world.task(3, "user.ana.live", test_jobs=0)
    run(world, pilot, live, failing=(0,))
    assert [world.state(t) for t in (over, broken)] == [TaskState.FINALIZED, TaskState.BROKEN]
    lifecycle.apply(world.conn, live, TaskInput.RETRY, by="ana")  # it is live again
    days_pass(world, 1000)
    tidied(world)
    of = "task_id = {} and log_tail is not null"
    assert count(world, "attempt", of.format(live)) == 3, "a live task loses nothing"
    assert count(world, "event", f"task_id = {live} and ordinal is not null") > 0
    tails = world.conn.execute(
        "select task_id, ordinal, log_tail from attempt where task_id <> %s and log_tail is not null order by 1, 2",
        [live],
    ).fetchall()
    assert tails == [(over, 1, b"it broke\n"), (broken, 0, b"it broke\n")], "the last failures"
    assert [group.example.last_line for group in facts.failures(world.conn, over)] == ["it broke"]
    events = world.conn.execute(
        "select distinct kind, ordinal is null from event where task_id = any(%s)", [[over, broken]]
    ).fetchall()
    assert events == [("task", True)], "what became of the task"
    explain.explain(world.conn, f"{over}/1")  # without what was deleted


def test_a_retried_task_is_checked_again_when_it_is_over(world: World) -> None:
    pilot = world.pilot()
    task = world.task(2, test_jobs=0)
    run(world, pilot, task, failing=(1,))
    days_pass(world, 100)
    tidied(world)
    assert world.column(task, "forgotten_at")
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    assert world.column(task, "forgotten_at") is None
    run(world, pilot, task)
    assert count(world, "attempt", "log_tail = 'fine'") == 0
    assert count(world, "attempt", "log_tail is not null") == 2
    days_pass(world, 100)
    tidied(world)
    assert count(world, "attempt", "log_tail is not null") == 0


def test_that_a_task_was_deleted_is_known_for_a_month(world: World, ana: Caller) -> None:
    task = world.task(2, test_jobs=0)
    run(world, world.pilot(), task)
    actions.delete(world.conn, ana, task)
    purge(world)
    days_pass(world, 10)
    tidied(world, RetentionPolicy(events=DAY))
    assert count(world, "event", f"task_id = {task}") == 1
    days_pass(world, 30)
    tidied(world, RetentionPolicy(events=DAY))
    assert count(world, "event", f"task_id = {task}") == 0


def test_keepers_that_live_or_hold_something_stay(world: World) -> None:
    task = world.task(3, test_jobs=0)
    world.conduct(rounds=2)
    holding, gone, living = (world.pilot(name) for name in ("holding", "gone", "living"))
    holding.claim(cpu=1)
    days_pass(world, 400)
    for pilot in (holding, gone):
        world.conn.execute(
            "update keeper set gone_at = now() - interval '400 d' where id = %s", [pilot.keeper]
        )
    tidied(world)
    rows = world.conn.execute("select id from keeper").fetchall()
    assert {row[0] for row in rows} == {holding.keeper, living.keeper}
    assert world.state(task) is TaskState.RUNNING


def test_old_allocations_go_with_their_nodes(world: World) -> None:
    world.pilot("old")
    world.conn.execute(
        "insert into pool (name, engine, spec, max_pilots, max_pending, min_work, idle) "
        "values ('long', 'slurm', '{}', 10, 4, 120, 120)"
    )
    world.conn.execute(
        "insert into allocation (id, pool_id, state, submitted_at, ended_at) "
        "select gen_random_uuid(), id, 'ENDED', now() - n * interval '1 d', now() - n * interval '1 d' "
        "from pool, generate_series(1, 300) n"
    )
    world.conn.execute(
        "update node set allocation_id = (select id from allocation order by ended_at limit 1)"
    )
    tidied(world)
    kept = world.conn.execute("select max(now() - ended_at), count(*) from allocation").fetchone()
    assert kept is not None
    assert kept[0].days == 300
    assert kept[1] == 179 + 1


def test_a_keeper_that_was_given_up_and_comes_back_is_known_for_a_month_and_harmless_after_it(
    world: World,
) -> None:
    task = world.task(3, test_jobs=0)
    world.conduct(rounds=2)
    pilot, keep = world.pilot(), RetentionPolicy(events=1.0)
    late, returned = pilot.claim(cpu=2)
    pilot.start(late, returned)
    work.close_out(world.conn, pilot.agent, pilot.keeper, "its node was lost")
    days_pass(world, 29)
    tidied(world, keep)
    again = KeeperHello(pilot.keeper, "machine-gauss", "boot-1", 4711, "0", work.PROTOCOL)
    with pytest.raises(KeeperFenced, match="has been fenced"):
        work.register_keeper(world.conn, pilot.node, again)
    days_pass(world, 2)
    tidied(world, keep)
    with pytest.raises(UnknownKeeper):
        pilot.end(late)
    held = {late.key, returned.key}
    with pytest.raises(UnknownKeeper):
        work.reconcile(world.conn, pilot.keeper, pilot.request, held)
    work.register_keeper(world.conn, pilot.node, again)
    found = work.reconcile(world.conn, pilot.keeper, pilot.request, held)
    assert found.end == tuple(sorted(held)), "its jobs were requeued"
    pilot.end(late)
    assert world.attempt(late)["accepted"], "it was not claimed since"
    assert world.counts(task).done == 1


def test_a_version_that_was_just_replaced_stays_for_who_is_making_a_task_from_it(
    world: World, ana: Caller
) -> None:
    dataset = world._one(
        "insert into dataset (name, owner_id) values ('user.ana.grid', %s) returning id",
        ana.user.id,
    )
    for number in (1, 2):
        world.conn.execute(
            "update dataset_version set dataset_id = %s, number = %s where id = %s",
            [dataset, number, world.dataset_version(5)],
        )
    tidied(world, RetentionPolicy(events=0.0))
    assert count(world, "dataset_file") == 10
    days_pass(world, 2)
    tidied(world, RetentionPolicy(events=0.0))
    assert count(world, "dataset_file") == 5


def test_a_step_takes_a_small_portion_and_the_next_goes_on_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "ROWS", 10)
    world.conn.execute(
        "insert into event (at, kind, who) select now() - interval '1 y', 'node', 'ana' from generate_series(1, 35)"
    )
    first = retention.delete_events(world.conn, DAY, 0)
    assert (first, count(world, "event")) == (10, 25)
    assert retention.delete_events(world.conn, DAY, first or 0) == 20
    tidied(world)
    assert count(world, "event") == 0


def test_a_failure_in_one_kind_of_rows_does_not_stop_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> int:
        raise ValueError("odd")

    monkeypatch.setattr(retention, "delete_events", fails)
    world.conn.execute(
        "update keeper set gone_at = now() where id = %s", [world.pilot("gone").keeper]
    )
    days_pass(world, 400)
    now = [0.0]
    kept, isolation = Retention(RetentionPolicy(), clock=lambda: now[0]), Isolation()
    for _ in range(20):
        now[0] += 1
        kept.tick(world.conn, lambda step: in_transaction(world.conn, step), isolation)
    assert count(world, "keeper") == 0


def test_no_pass_walks_a_big_table(world: World) -> None:
    task = world.task(20_000)
    world.conn.execute(
        "insert into event (at, kind, task_id, ordinal, who) "
        "select now() - interval '1 y', 'job', %s, n, 'ana' from generate_series(1, 20000) n",
        [task],
    )
    world.conn.execute(
        "insert into attempt (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, "
        "folder_number, ended_at, cause, accepted, log_tail) select %s, n, 1, gen_random_uuid(), gen_random_uuid(), 1, "
        "0, 1, false, 1, now(), 'exit', true, 'x' from generate_series(1, 20000) n",
        [task],
    )
    world.conn.execute("analyze")
    sql = retention.SQL
    page = {"task": task, "first": 0, "next": 100, "indexes": [1], "numbers": [1], "limit": 100}
    for statement in (
        sql.delete_events,
        sql.next_task,
        sql.last_failures,
        sql.delete_logs,
        sql.delete_keepers,
        sql.versions_to_forget,
    ):
        found = plan(world.conn, statement, {"seconds": DAY, "after": 0, **page})
        assert found.walked == set(), statement


def test_what_no_longer_signs_anybody_in_is_deleted_and_ended_tokens_are_shown_for_a_month(
    world: World, ana: Caller
) -> None:
    for seconds in (3600.0, None):
        sign_in.with_token(world.conn, tokens.create(world.conn, ana, None, seconds=seconds).secret)
    revoked = tokens.create(world.conn, ana, None).token.id
    tokens.revoke(world.conn, ana, revoked)
    sign_in.make_code(world.conn, ana, None)
    answers.once(world.conn, ana.user, "key", bytes(32), lambda: b"kept for a day")
    days_pass(world, 1)
    tidied(world)
    assert count(world, "api_answer") == 0
    assert [count(world, each) for each in ("sign_in_code", "web_session", "api_token")] == [
        0,
        0,
        3,
    ]
    days_pass(world, 31)
    tidied(world)
    assert count(world, "api_token") == count(world, "api_token", "expires_at is null") == 1
