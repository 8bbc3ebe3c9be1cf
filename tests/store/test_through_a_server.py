"""What a call that comes through a server is told and believed, unlike one over a connection to the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args, get_type_hints

import psycopg
import pytest

from orchestra.domain.errors import NotAllowed
from orchestra.domain.identities import Identity, UnixAccount, Via
from orchestra.domain.models.datasets import Manifest, ManifestEntry
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.interface.explanations import ExplainJob
from orchestra.interface.failures import FailuresOf
from orchestra.interface.jobs import ListJobs, ShowJob
from orchestra.interface.local import Local, Through, discretion
from orchestra.interface.logs import ReadLog, ReadLogPart
from orchestra.interface.new_tasks import CreateTask, SettingsOf
from orchestra.interface.operation import Question
from orchestra.interface.reports import ReportTask
from orchestra.interface.runs import CreateRun
from orchestra.interface.selection import FindTask
from orchestra.interface.table import OPERATIONS
from orchestra.interface.task_reports import ShowTask
from orchestra.interface.tasks import ListTasks
from orchestra.interface.tokens import CreateToken
from orchestra.services import datasets, work
from support.people import caller
from support.world import World

SECRET = "horse-battery"
PROVEN = UnixAccount("ana", "gauss")


def through(
    conn: psycopg.Connection, name: str, unix: UnixAccount | None = None, *, open_logs: bool = True
) -> Local:
    """What carries out a user's calls through a server."""
    who = caller(conn, name)
    account, host = (unix.name, unix.host) if unix else (None, None)
    identity = Identity(who.user, who.admin, Via.TOKEN, account=account, host=host)
    return Local.behind(conn, Through(identity, open_logs))


@pytest.fixture
def task(world: World) -> int:
    """Ana's task, whose environment is secret and whose job has failed with a word in its log."""
    caller(world.conn, "root")  # the first user, an admin
    made = world.task(jobs=1, test_jobs=0)
    world.conn.execute(
        "update task set env = jsonb_build_object('TOKEN', %s::text) where id = %s", [SECRET, made]
    )
    world.conduct(2)
    pilot = world.pilot("gauss")
    (grant,) = pilot.claim()
    pilot.start(grant)
    outcome = Outcome(
        grant.key, Cause.EXIT, exit_status=1, seconds=1.0, log_tail=f"{SECRET}\n".encode()
    )
    work.report(world.conn, pilot.keeper, [outcome])
    world.conduct(2)
    return made


def answers(ask: Local, task: int, *, logs: bool) -> Iterator[str]:
    word = str(task)
    asked: Question[Any]
    for asked in (
        *(FindTask(word), ListTasks(every=True), ShowTask(word), ReportTask(word), ListJobs(word)),
        *(ShowJob(f"{task}/0"), FailuresOf(word), ExplainJob(f"{task}/0")),
        *((ReadLog(task, 0, 1), ReadLogPart(task, 0, 1)) if logs else ()),
    ):
        yield repr(ask(asked))


def test_the_environment_of_a_task_and_its_mail_are_its_owner_s_and_the_admins_alone(
    world: World, task: int
) -> None:
    word = str(task)
    world.conn.execute("update attempt set log_tail = null")
    for name in ("ana", "root"):
        assert SECRET in repr(through(world.conn, name)(FindTask(word)))
        assert through(world.conn, name)(SettingsOf(word)).env == {"TOKEN": SECRET}
    bob = through(world.conn, "bob")
    assert bob(FindTask(word)).env == {"TOKEN": discretion.HIDDEN}
    told = [
        each[each.index(SECRET) - 300 :][:330]
        for each in answers(bob, task, logs=True)
        if SECRET in each
    ]
    assert told == []
    with pytest.raises(NotAllowed, match='you are "bob"'):
        bob(SettingsOf(word))
    assert world.interface("bob")(FindTask(word)).env == {"TOKEN": SECRET}, "without a server"


def test_logs_of_others_are_shown_unless_the_server_keeps_them_closed(
    world: World, task: int
) -> None:
    world.conn.execute("update task set env = '{}'")

    def told(name: str, *, open_logs: bool, logs: bool = True) -> int:
        ask = through(world.conn, name, open_logs=open_logs)
        return sum(SECRET in each for each in answers(ask, task, logs=logs))

    everything = told("ana", open_logs=True)
    assert everything >= 4
    assert told("bob", open_logs=True) == everything
    assert told("ana", open_logs=False) == told("root", open_logs=False) == everything
    assert told("bob", open_logs=False, logs=False) == 0
    closed: tuple[Question[Any], ...] = (ReadLog(task, 0, 1), ReadLogPart(task, 0, 1))
    for asked in closed:
        with pytest.raises(NotAllowed, match='user "ana" and to admins only, and you are "bob"'):
            through(world.conn, "bob", open_logs=False)(asked)


def test_each_answer_with_a_log_says_whose_task_it_is_about() -> None:
    """So that what belongs to others can be left out of it, and nothing else. One attempt is read without its log."""

    def strays(kind: Any, at: str, *, about: bool = False) -> Iterator[str]:
        for part in get_args(kind):
            yield from strays(part, at, about=about)
        if isinstance(kind, type) and is_dataclass(kind):
            hints = get_type_hints(kind)
            about = about or hints.get("task") is Task
            names = {each.name for each in fields(kind)}
            if discretion.LOG_TEXTS.keys() & names and not about:
                yield at
            for name in discretion._to_follow(kind):
                yield from strays(hints[name], f"{at}.{name}", about=about)

    found = [each for one in OPERATIONS for each in strays(one.answer, one.name)]
    assert found == ["job.attempt.attempt"]


def _new(world: World, name: str) -> NewTask:
    files = Manifest("/data/x", True, (ManifestEntry("a", 1, 0, bytes(32)),))
    datasets.register(world.conn, caller(world.conn), "user.ana.x", files)
    return NewTask(
        name, "run %DATA %IN %OUT", "user.ana.x", "user.ana.x", "/v", "root", "elsewhere"
    )


@pytest.mark.parametrize("unix", [PROVEN, None])
def test_a_task_has_the_account_that_was_proven_whatever_the_request_claims(
    world: World, unix: UnixAccount | None
) -> None:
    new = _new(world, "user.ana.one")
    ask = through(world.conn, "ana", unix)
    made = [ask(CreateTask(new)), ask(CreateRun(replace(new, name="user.ana.two"), ())).task]
    assert [each.account for each in made] == [unix.name if unix else ""] * 2
    why = world.conn.execute("select why from event where to_state = 'REGISTERED'").fetchall()
    assert why == [("from gauss" if unix else "over HTTP",)] * 2
    assert world.interface()(CreateTask(replace(new, name="user.ana.three"))).account == "root"


def test_a_task_without_an_account_is_run_by_pilots_that_serve_all(world: World) -> None:
    through(world.conn, "ana")(CreateTask(_new(world, "user.ana.one")))
    world.conduct(2)
    assert world.pilot("gauss", account="ana", is_root=False).claim() == ()
    said = repr(world.interface()(ExplainJob("0/0")).explanation)
    assert "without a Unix account" in said or "no Unix account" in said
    assert world.pilot("noether", account="eva", is_root=False, serve_all=True).claim() != ()


def test_a_token_carries_the_account_that_its_maker_has_proven(world: World) -> None:
    for unix in (PROVEN, None):
        token = through(world.conn, "ana", unix)(CreateToken()).token
        assert token.account == (unix.name if unix else None)
