"""Who may request what, as data: for each operation that requires a right, requests and who may make them.

Three users try each request, through each interface: the owner, `ana` unless stated otherwise, `bob`, an ordinary
user, and `root`, an admin. `scene` creates what the requests refer to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestra.domain.models.datasets import Manifest, ManifestEntry
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.nodes import NodeSettings, SlotsWanted
from orchestra.domain.models.pools import PoolSettings
from orchestra.domain.models.runs import Files
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Origin
from orchestra.domain.models.users import NewLimits
from orchestra.domain.transitions import TaskInput
from orchestra.interface.dataset_changes import (
    DeleteDataSet,
    OwnDataSet,
    RegisterDataSet,
    UpdateDataSet,
)
from orchestra.interface.job_changes import KillJobs, RetryJobs
from orchestra.interface.job_matches import KillMatching, RetryMatching
from orchestra.interface.mails import RetryMails, ShowMail
from orchestra.interface.new_tasks import CreateTask
from orchestra.interface.node_changes import (
    AttemptsAtStake,
    AttemptsEndedByHours,
    CreateNode,
    DeleteNode,
    DrainNode,
    LoseNode,
    ResumeNode,
    SetNode,
    StopNode,
)
from orchestra.interface.node_groups import (
    CreateNodes,
    DeleteNodes,
    DrainNodes,
    ResumeNodes,
    SetNodes,
    StopNodes,
)
from orchestra.interface.operation import Request
from orchestra.interface.overview import AcknowledgeTask
from orchestra.interface.pool_changes import (
    AllocationsAtStake,
    CreatePool,
    DeletePool,
    PausePool,
    ResumePool,
    SetPool,
)
from orchestra.interface.runs import CreateRun
from orchestra.interface.sessions import EndSession, MakeSignInCode
from orchestra.interface.task_changes import (
    DeleteTask,
    FinishKill,
    HoldTask,
    KillTask,
    OwnTask,
    ReleaseTask,
    RemovableFolders,
    RetryTask,
    SetTask,
)
from orchestra.interface.task_inputs import AddConfigs, InputsOf, UpdateTask
from orchestra.interface.tokens import CreateToken, ListTokens, RevokeToken
from orchestra.interface.user_changes import CreateUser, DeleteUser, LimitUser, SetUser
from orchestra.services import datasets
from orchestra.services.nodes import drains, nodes
from orchestra.services.pools import pools
from orchestra.services.tasks import lifecycle
from orchestra.services.users import sign_in, tokens
from support.people import caller
from support.world import World

OWNER, OTHER, ADMIN = "ana", "bob", "root"
CPU, GPU = SlotsWanted("CPU", 2), SlotsWanted("GPU")
LABELS = {"rack": "3"}
BOTH = ("gauss", "drained")
FILES = Manifest("/data/grid", True, (ManifestEntry("a.json", 1, 0, bytes(32)),))
MORE_FILES = Manifest(
    "/data/grid", True, (*FILES.entries, ManifestEntry("b.json", 1, 0, bytes(32)))
)

NEW_FILES = Manifest("/data/grid/new", True, (ManifestEntry("c.json", 1, 0, bytes(32)),))


@dataclass(frozen=True)
class Scene:
    """What the requests refer to: ana's tasks in several states, and the numbers of other things that she owns.

    `me` is the user who makes the request.
    """

    running: int
    held: int
    being_killed: int
    killed: int
    mail: int
    version: int
    token: int
    session: int
    me: str = OWNER


@dataclass(frozen=True)
class Case:
    """A request, and who may make it. `owner` owns what it changes; others get the error `refusal`."""

    ask: Callable[[Scene], Request[Any]]
    may: frozenset[str]
    owner: str = OWNER
    refusal: str = 'but you are "{me}"'


def anybody(ask: Callable[[Scene], Request[Any]]) -> Case:
    return Case(ask, frozenset({OWNER, OTHER, ADMIN}))


def owned(ask: Callable[[Scene], Request[Any]], *, owner: str = OWNER) -> Case:
    return Case(ask, frozenset({owner, ADMIN}), owner)


def admins(ask: Callable[[Scene], Request[Any]]) -> Case:
    return Case(ask, frozenset({ADMIN}))


def owner_alone(ask: Callable[[Scene], Request[Any]]) -> Case:
    """A request for something in a user's name; an admin may make it only in their own name."""
    return Case(ask, frozenset({OWNER}), refusal=f'belongs to user "{OWNER}"')


def _new_task(name: str) -> NewTask:
    command = "run %DATA %IN %OUT"
    return NewTask(name, command, "user.ana.grid", "user.ana.grid", "/data", "ana", "gauss")


def _files(owner: str) -> tuple[Files, ...]:
    return (Files("IN", f"user.{owner}.new", MORE_FILES),)


CASES: dict[str, tuple[Case, ...]] = {
    "user.create": (
        owned(lambda _: CreateUser("eva", "eva@example.org"), owner="eva"),
        admins(lambda _: CreateUser("dora", "dora@example.org")),
    ),
    "user.set": (
        owned(lambda _: SetUser("ana", email="ana@lab.org")),
        owned(lambda _: SetUser("ana", mail=False)),
        admins(lambda _: SetUser("ana", admin=True)),
        admins(lambda it: SetUser(it.me, admin=True, email="me@lab.org")),
    ),
    "user.limit": (admins(lambda it: LimitUser(it.me, NewLimits(cpus=40))),),
    "user.delete": (owned(lambda _: DeleteUser("carl"), owner="carl"),),
    "token.create": (
        owned(lambda _: CreateToken("ana")),
        anybody(lambda _: CreateToken()),
    ),
    "token.list": (
        owned(lambda _: ListTokens("ana")),
        admins(lambda _: ListTokens(everybody=True)),
    ),
    "token.revoke": (owned(lambda it: RevokeToken(it.token)),),
    "session.code": (anybody(lambda _: MakeSignInCode()),),
    "session.end": (owned(lambda it: EndSession(it.session)),),
    "dataset.register": (
        anybody(lambda it: RegisterDataSet(f"user.{it.me}.new", FILES)),
        owner_alone(lambda _: RegisterDataSet("user.ana.new", FILES)),
    ),
    "dataset.own": (owned(lambda _: OwnDataSet("user.ana.grid")),),
    "dataset.update": (owned(lambda it: UpdateDataSet("user.ana.grid", MORE_FILES, it.version)),),
    "dataset.delete": (owned(lambda _: DeleteDataSet("user.ana.grid")),),
    "task.create": (
        anybody(lambda it: CreateTask(_new_task(f"user.{it.me}.new"))),
        owner_alone(lambda _: CreateTask(_new_task("user.ana.new"))),
    ),
    "task.run": (
        anybody(lambda it: CreateRun(_new_task(f"user.{it.me}.new"), _files(it.me))),
        owner_alone(lambda _: CreateRun(_new_task("user.ana.new"), ())),
        owner_alone(lambda it: CreateRun(_new_task(f"user.{it.me}.new"), _files("ana"))),
    ),
    "task.own": (owned(lambda it: OwnTask(it.running)),),
    "task.hold": (owned(lambda it: HoldTask(it.running)),),
    "task.release": (owned(lambda it: ReleaseTask(it.held)),),
    "task.set": (owned(lambda it: SetTask(it.running, NewSettings(priority=1))),),
    "task.retry": (owned(lambda it: RetryTask(it.killed)),),
    "task.inputs": (owned(lambda it: InputsOf(it.running)),),
    "task.update": (owned(lambda it: UpdateTask(it.killed, origin=Origin("/data/fit.py"))),),
    "task.add": (owned(lambda it: AddConfigs(it.killed, NEW_FILES)),),
    "task.acknowledge": (owned(lambda it: AcknowledgeTask(it.killed)),),
    "task.kill": (owned(lambda it: KillTask(it.running)),),
    "task.finish_kill": (owned(lambda it: FinishKill(it.being_killed)),),
    "task.removable": (owned(lambda it: RemovableFolders(it.killed)),),
    "task.delete": (owned(lambda it: DeleteTask(it.killed)),),
    "job.retry": (owned(lambda it: RetryJobs((f"{it.killed}/0",))),),
    "job.kill": (owned(lambda it: KillJobs((f"{it.running}/0",))),),
    "job.retry_matching": (owned(lambda it: RetryMatching(it.killed)),),
    "job.kill_matching": (owned(lambda it: KillMatching(it.running)),),
    "node.create": (anybody(lambda _: CreateNode("new", CPU, GPU)),),
    "node.set": (
        owned(lambda _: SetNode("gauss", SlotsWanted("CPU", 1), GPU)),
        owned(lambda _: SetNode("gauss", SlotsWanted("CPU"), GPU, owner="carl")),
        owned(lambda _: SetNode("gauss", SlotsWanted("CPU"), GPU, settings=NodeSettings(LABELS))),
        owned(lambda _: SetNode("gauss", SlotsWanted("CPU"), GPU, settings=NodeSettings(nice=9))),
    ),
    "node.drain": (owned(lambda _: DrainNode("gauss")),),
    "node.resume": (owned(lambda _: ResumeNode("drained")),),
    "node.stop": (
        owned(lambda _: StopNode("gauss")),
        owned(lambda _: StopNode("gauss", now=True)),
    ),
    "node.ended_by_hours": (owned(lambda _: AttemptsEndedByHours("gauss", "19:00-07:00")),),
    "node.at_stake": (owned(lambda _: AttemptsAtStake("gauss", force=True)),),
    "node.lose": (owned(lambda _: LoseNode("gauss", force=True)),),
    "node.delete": (owned(lambda _: DeleteNode("drained")),),
    "node.create_all": (anybody(lambda _: CreateNodes(("new", "newer"), CPU, GPU)),),
    "node.set_all": (owned(lambda _: SetNodes(BOTH, SlotsWanted("CPU", 1), GPU)),),
    "node.drain_all": (owned(lambda _: DrainNodes(BOTH)),),
    "node.resume_all": (owned(lambda _: ResumeNodes(BOTH)),),
    "node.stop_all": (owned(lambda _: StopNodes(BOTH)),),
    "node.delete_all": (owned(lambda _: DeleteNodes(("drained",))),),
    "pool.create": (anybody(lambda _: CreatePool("new", "slurm")),),
    "pool.set": (
        owned(lambda _: SetPool("long", PoolSettings(cpus=2))),
        owned(lambda _: SetPool("long", owner="carl")),
    ),
    "pool.pause": (owned(lambda _: PausePool("long")),),
    "pool.resume": (owned(lambda _: ResumePool("paused")),),
    "pool.at_stake": (owned(lambda _: AllocationsAtStake("long")),),
    "pool.delete": (owned(lambda _: DeletePool("long")),),
    "mail.show": (owned(lambda it: ShowMail(it.mail)),),
    "mail.retry": (
        owned(lambda it: RetryMails((it.mail,))),
        admins(lambda _: RetryMails(everybody=True)),
    ),
}


def scene(world: World) -> Scene:
    """Create what the requests refer to."""
    conn = world.conn
    caller(conn, ADMIN)  # the first user
    ana, _, _ = (caller(conn, name) for name in (OWNER, OTHER, "carl"))
    grid = datasets.register(conn, ana, "user.ana.grid", FILES)
    tasks = [world.task(jobs=3, name=f"user.ana.{n}", test_jobs=0) for n in range(4)]
    running, held, being_killed, killed = tasks
    world.conduct(2)
    lifecycle.apply(conn, killed, TaskInput.KILL, by="ana")
    world.conduct(3)  # and writes a mail
    lifecycle.apply(conn, held, TaskInput.HOLD, by="ana")
    lifecycle.apply(conn, being_killed, TaskInput.KILL, by="ana")
    conn.execute("update outbox set refused_at = now()")
    more = datasets.register(conn, ana, "user.ana.more", FILES)
    conn.execute(
        "update dataset_version set dataset_id = %s, number = 2 "
        "where id = (select config_version_id from task where id = %s)",
        [more.id, killed],
    )
    for name in ("gauss", "drained"):
        nodes.create(conn, ana, name, CPU, GPU)
    drains.drain(conn, ana, "drained", reason=None)
    for name in ("long", "paused"):
        pools.create(conn, ana, name, "slurm")
    pools.pause(conn, ana, "paused")
    pilot = world.pilot("gauss")
    pilot.start(*pilot.claim())
    (mail,) = (row[0] for row in conn.execute("select id from outbox"))
    secret = tokens.create(conn, ana, None)
    session = sign_in.with_token(conn, secret.secret).session.id
    return Scene(
        running, held, being_killed, killed, mail, grid.version_id, secret.token.id, session
    )
