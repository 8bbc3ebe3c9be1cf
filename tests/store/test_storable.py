"""Invalid text or numbers are refused with a message before they reach PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestra.client import words
from orchestra.config import load
from orchestra.domain.caller import Caller
from orchestra.domain.errors import ConfigurationError, OrchestraError
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.nodes import SlotsWanted
from orchestra.domain.models.tasks import Limit, Policy, Resources
from orchestra.domain.models.work import Outcome, Started
from orchestra.domain.states import Cause
from orchestra.domain.troubles import Kind, Trouble
from orchestra.files import task_files
from orchestra.services import datasets, work
from orchestra.services.jobs import actions as job_actions
from orchestra.services.jobs import views
from orchestra.services.nodes import drains, nodes
from orchestra.services.tasks import actions as task_actions
from orchestra.services.tasks import creation, selection
from orchestra.services.users import users
from support.making import make
from support.people import as_admin
from support.registering import register, update
from support.world import World

INCOMPRESSIBLE = "".join(chr(0x100 + (n * 7919) % 0x4000) for n in range(3000))
NASTY = [
    "\0", "\udcff", "a\ud800", "\x1b[31m", "a\nb", "", " ", "a" * 300, "A" + "".join(f"{n:X}" for n in range(2000)),
    INCOMPRESSIBLE, "x" * 70_000, "%IN", "user.ana.\udcff", "docker://a/\udcff", "/\0", "/\udcff", "/x/" + "y" * 5000,
    "5/0", "A=\0", "task:\0", "a@b.\0", "a@b.\udcff", str(10**30), "nan", "inf", "-1", "9" * 5000,
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(NASTY), st.text(st.characters(exclude_categories=()), max_size=40)
)
numbers = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2**15, 2**31 - 1, 2**31, -(2**31), 2**63, -(2**63), 10**30, 10**5000]
    ),
    st.floats(),
    st.sampled_from(["", "1e400", "999999999999999999999 TB", "9" * 5000]),
)
pytestmark = pytest.mark.servers("embedded")
NO_SLOTS = SlotsWanted("CPU"), SlotsWanted("GPU")


@pytest.fixture
def new(conn: psycopg.Connection, ana: Caller, tmp_path: Path) -> NewTask:
    (tmp_path / "volume").mkdir()
    (tmp_path / "digits.npz").write_text("data")
    register(conn, ana, "user.ana.digits", tmp_path / "digits.npz")
    command = "train -d %DATA -c %IN -o %OUT"
    name = "user.ana.digits"
    return NewTask("user.ana.mlp", command, name, name, str(tmp_path / "volume"), "ana", "gauss")


def said(what: Callable[[], Any]) -> str | None:
    """Return the message of the refusal."""
    try:
        what()
    except OrchestraError as error:
        str(error).encode("utf-8", "backslashreplace")
        return str(error)
    return None


def try_out(conn: psycopg.Connection, new: NewTask, ana: Caller) -> None:
    """Do what `--dry_run` does."""
    task_files.check(new, creation.plan(conn, ana, new).folder, dry=True)


def create(conn: psycopg.Connection, new: NewTask, ana: Caller) -> None:
    """Create it as a dry run and for real: both refuse with the same message or both succeed."""
    with conn.transaction(force_rollback=True):
        trial = said(lambda: try_out(conn, new, ana))
        truth = said(lambda: make(conn, ana, new))
    assert trial == truth


quick = settings(
    max_examples=int(os.environ.get("EXAMPLES", "12")),
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@quick
@given(text=texts)
@example("A" * 3000)
def test_no_text_of_a_new_task(
    conn: psycopg.Connection, new: NewTask, ana: Caller, text: str
) -> None:
    for changes in (
        {"name": f"user.ana.{text}"},
        {"command": f"{new.command} {text}"},
        {"config": text},
        {"data": text},
        {"volume": text},
        {"volume": f"{new.volume}/{text}"},
        {"account": text, "host": text},
        {"secondary": {text: new.data}},
        {"secondary": {"A" + text: new.data}},
        {"secondary": {"REF": text}},
        {"image": text},
        {"image": f"docker://{text}"},
        {"image": "docker://a/b", "binds": (text,)},
        {"image": "docker://a/b", "binds": (f"/{text}:/b",)},
        {"env": {"A": text}},
        {"env": {text: "1"}},
        {"complete_file": text},
        {"metrics_file": text},
        {"goal": text},
        {"goal": f"min:{text}"},
        {"after": (text,)},
    ):
        create(conn, replace(new, **changes), ana)


@quick
@given(number=numbers, other=numbers)
def test_no_number_of_a_new_task(
    conn: psycopg.Connection, new: NewTask, ana: Caller, number: Any, other: Any
) -> None:
    given = {
        "bypass": False, "test_jobs": None, "test_for": None, "retries": 0, "timeout": None, "grace": 30.0,
        "priority": 0, "max_fails": None, "resume": False,
    }  # fmt: skip
    for name in given:
        with suppress(OrchestraError):
            policy = words.policy(**{**given, name: number})
            create(conn, replace(new, policy=policy), ana)
    with suppress(OrchestraError):
        size = words.size("memory", other)
        create(conn, replace(new, resources=Resources(memory_bytes=size)), ana)
    if isinstance(number, int):
        create(conn, replace(new, policy=Policy(retries=number)), ana)
        create(conn, replace(new, policy=Policy(priority=number)), ana)
        create(conn, replace(new, resources=Resources(cores=number)), ana)
        create(conn, replace(new, resources=Resources(gpus=number), queue=words.queue("gpu")), ana)
    create(conn, replace(new, policy=Policy(max_fails=Limit(count=3))), ana)


@quick
@given(text=texts)
def test_no_text_that_users_type(
    conn: psycopg.Connection, new: NewTask, ana: Caller, tmp_path: Path, text: str
) -> None:
    task = make(conn, ana, replace(new, reuse=True)).id
    nodes.create(conn, as_admin(conn), "gauss", *NO_SLOTS)
    calls: list[Callable[[], Any]] = [
        lambda: users.create(conn, as_admin(conn), text, "a@example.org"),
        lambda: users.create(conn, as_admin(conn), "bob", text),
        lambda: users.create(conn, as_admin(conn), "bob", f"{text}@example.org"),
        lambda: users.create_own(conn, text, text),
        lambda: users.ensure(conn, text, text),
        lambda: users.get(conn, text),
        lambda: users.change(conn, ana, "ana", email=text),
        lambda: users.delete(conn, as_admin(conn), text),
        lambda: nodes.create(conn, as_admin(conn), text, *NO_SLOTS),
        lambda: nodes.get(conn, text),
        lambda: nodes.find(conn, text),
        lambda: nodes.change(conn, as_admin(conn), text, *NO_SLOTS),
        lambda: drains.drain(conn, as_admin(conn), text, reason=None),
        lambda: drains.drain(conn, as_admin(conn), "gauss", reason=text),
        lambda: nodes.lose(conn, as_admin(conn), "gauss", why=text),
        lambda: nodes.stop(conn, as_admin(conn), text),
        lambda: nodes.delete(conn, as_admin(conn), text),
        lambda: datasets.find(conn, text),
        lambda: register(conn, ana, f"user.ana.{text}", tmp_path),
        lambda: register(conn, ana, "user.ana.x", tmp_path / text),
        lambda: update(conn, ana, "user.ana.digits", tmp_path / text),
        lambda: datasets.remove(conn, ana, text),
        lambda: selection.find(conn, text),
        lambda: views.show(conn, f"{task}/{text}"),
        lambda: views.show(conn, f"{text}/0"),
        lambda: job_actions.kill(conn, ana, [f"{task}/0"], text),
        lambda: job_actions.retry(conn, ana, [text]),
        lambda: task_actions.hold(conn, ana, task, text),
        lambda: task_actions.kill(conn, ana, task, text),
    ]
    try:
        for call in calls:
            with conn.transaction(force_rollback=True):
                said(call)
    finally:
        nodes.delete(conn, as_admin(conn), "gauss")
        conn.execute("truncate task, job, task_count cascade")


@quick
@given(text=texts)
def test_no_text_of_a_machine_or_a_job(world: World, text: str) -> None:
    with world.conn.transaction(force_rollback=True):
        world.task(jobs=2, test_jobs=0)
        world.conduct(2)
        pilot = world.pilot(host=text, account="ana", version=text, runtimes=(text,))
        work.renew(
            world.conn,
            pilot.node,
            pilot.agent,
            [pilot.keeper],
            troubles=[Trouble(Kind.OTHER, text, image=text, path=text)],
            silent=[text],
        )
        grants = pilot.claim(cpu=2)
        work.started(world.conn, pilot.keeper, [Started(g.key, 0.1, text, text) for g in grants])
        ends = [
            Outcome(
                g.key, Cause.EXIT, exit_status=1, reason=text, devices=text, log_tail=b"\0\xff", image_digest=text,
                inputs_note=text,
            )
            for g in grants
        ]  # fmt: skip
        assert not work.report(world.conn, pilot.keeper, ends).unknown
        world.conduct(3)


def test_a_file_of_the_far_future_is_registered(
    conn: psycopg.Connection, ana: Caller, tmp_path: Path
) -> None:
    file = tmp_path / "a.json"
    file.write_text("{}")
    os.utime(file, (10_000_000_000, 10_000_000_000))  # 2286, if the file system supports such times
    assert register(conn, ana, "user.ana.far", tmp_path).files == 1
    assert not update(conn, ana, "user.ana.far").changes


@pytest.mark.parametrize("key", ["username", "email", "node", "job_complete_file_name"])
def test_a_setting_is_text(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    for wrong in ("a\udcff", "a\0"):
        with pytest.raises(ConfigurationError, match=f'"{key}" '):
            load(given={key: wrong})
