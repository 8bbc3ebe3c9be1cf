"""Attempts: what pilots claim, start and report. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from orchestra.domain import images
from orchestra.domain.errors import UnknownKeeper
from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import (
    AttemptKey,
    Grant,
    InputFile,
    Outcome,
    Place,
    SharedFiles,
    Started,
    TaskSpec,
)
from orchestra.domain.reservation import PATIENCE, Busy
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.domain.usage import MEASURES, Usage
from orchestra.store.driver.columns import BigInts, Blobs, Bools, Column, Floats, Ints, Texts, Uuids
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks.locks import Front

SQL = load("work/attempts")
DATASETS = load("datasets")
FILES_AT_ONCE = 5_000
"""Rows of a manifest that one statement gives: a slow reader of many would meet the statement's time limit."""
BEFORE_ALL: Place = (-(2**31), -1)
FLOOR_STEP, FLOOR_STEP_A_JOB = 256, 16
"""Jobs that a claim walks past before a task's floors rise, and so many more for each job that it asks for."""


@dataclass(frozen=True, slots=True)
class LockedKeeper:
    id: UUID
    node_id: int
    node: str
    last_request: int
    report_sequence: int
    fenced: bool
    fence_reason: str | None


@dataclass(frozen=True, slots=True)
class ClaimingPilot:
    """Who decides for a node, which tasks it may serve, the node's slots; and the database's epoch.

    `images` is the pattern of the images that its container runtimes can run.
    """

    agent: UUID
    account: str
    serves_all: bool
    images: str
    drained: bool
    enabled: Mapping[Queue, int]
    epoch: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task to take jobs from; each takes so many slots."""

    id: int
    rank: int
    slots: int

    @property
    def place(self) -> Place:
        return self.rank, self.id

    @property
    def before(self) -> Place:
        """The place of a line that goes on with this task."""
        return self.rank, self.id - 1


@dataclass(frozen=True, slots=True)
class Reservation:
    """A node keeps its slots free for the next job of a task; see `domain/reservation.py`."""

    node_id: int
    ready_in: float
    passed_on: int = 0


@dataclass(frozen=True, slots=True)
class ClaimedJobs:
    """What a claim from one task got. `missed` jobs changed hands while they were chosen: they are to be claimed still.

    `worn` says that it walked past so many jobs which are no longer to be claimed that the floors should rise.
    """

    grants: list[Grant]
    missed: int
    worn: bool


@dataclass(frozen=True, slots=True)
class LockedAttempt:
    """A job's row, locked, with one of its attempts and what its task is."""

    key: AttemptKey
    state: JobState
    task_state: TaskState
    queue: Queue
    latest: int
    is_test: bool
    kill_requested: bool
    failures: int
    losses: int
    is_of_keeper: bool
    ended: bool
    lost: bool
    retries: int


@dataclass(frozen=True, slots=True)
class JobEnd:
    """What an accepted outcome makes of its job; `delay` is the seconds before it may be tried again."""

    was: JobState
    state: JobState
    is_test: bool
    failed: bool
    lost: bool
    delay: float | None = None


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    key: AttemptKey
    request: int
    started: bool


def lock_keeper(conn: psycopg.Connection, keeper: UUID) -> LockedKeeper:
    """Lock a keeper's row: claims and reports of one keeper come one after the other.

    Raises:
        UnknownKeeper: there is none.
    """
    rows = fetch(conn, SQL.lock_keeper, {"keeper": keeper})
    if not rows:
        raise UnknownKeeper(f"the database knows no keeper {keeper}")
    row = rows[0]
    return LockedKeeper(keeper, **row)


def claiming_pilot(
    conn: psycopg.Connection, keeper: LockedKeeper, request: int | None = None
) -> ClaimingPilot | None:
    """Give who decides for a keeper's node; the `request` of a claim is noted, so that it is not answered twice."""
    params = {"node": keeper.node_id, "keeper": keeper.id, "request": request}
    rows = fetch(conn, SQL.claiming_pilot, params)
    if not rows:
        return None
    row = rows[0]
    return ClaimingPilot(
        agent=row["agent"],
        account=row["account"],
        serves_all=row["serves_all"],
        images=images.pattern(row["runtimes"]),
        drained=row["drained"],
        enabled={Queue.CPU: row["cpu_enabled"], Queue.GPU: row["gpu_enabled"]},
        epoch=row["epoch"],
    )


def candidates(
    conn: psycopg.Connection,
    queue: Queue,
    pilot: ClaimingPilot,
    offered: int,
    avoid: Collection[int] = (),
    *,
    after: Place = BEFORE_ALL,
    limit: int,
) -> list[Candidate]:
    """Give a page of the tasks to take jobs from, best first, whose jobs need no more than `offered` slots."""
    rank, task = after
    params = {
        "queue": queue,
        "serves_all": pilot.serves_all,
        "account": pilot.account,
        "images": pilot.images,
        "offered": offered,
        "avoid": list(avoid),
        "rank": rank,
        "after": task,
        "limit": limit,
    }
    return [Candidate(**row) for row in fetch(conn, SQL.candidates, params)]


def with_jobs(conn: psycopg.Connection, tasks: Collection[int]) -> set[int]:
    """Give those of the tasks that have a job to hand out now."""
    return {row["id"] for row in fetch(conn, SQL.with_jobs, {"tasks": list(tasks)})}


def busy_here(conn: psycopg.Connection, node: int, queue: Queue) -> list[tuple[int, Busy]]:
    """Give the jobs that have slots of a node, each with its task."""
    rows = fetch(conn, SQL.busy_here, {"node": node, "queue": queue})
    return [(row["task"], Busy(row["slots"], row["age"], row["typical_seconds"])) for row in rows]


def reservation(conn: psycopg.Connection, task: int) -> Reservation | None:
    """Give which node keeps slots free for the next job of a task; None where none does (any more)."""
    rows = fetch(conn, SQL.reservation, {"task": task, "patience": PATIENCE})
    fresh = [row for row in rows if row["is_fresh"]]
    return (
        Reservation(fresh[0]["node_id"], fresh[0]["ready_in"], fresh[0]["passed_on"])
        if fresh
        else None
    )


def reserve(conn: psycopg.Connection, task: int, held: Reservation) -> bool:
    """Have a node keep its slots free for the next job of a task; False where somebody changes that just now."""
    if not _lock_reservation(conn, task):
        return False
    params = {"task": task, "node": held.node_id, "ready_in": held.ready_in}
    conn.execute(SQL.reserve, {**params, "passed_on": held.passed_on})
    return True


def end_reservation(conn: psycopg.Connection, task: int) -> bool:
    """Have no node keep slots free for a task; True where one did. One that is made just now stays until it is over."""
    return (
        _lock_reservation(conn, task)
        and conn.execute(SQL.end_reservation, {"task": task}).rowcount > 0
    )


def _lock_reservation(conn: psycopg.Connection, task: int) -> bool:
    return bool(fetch(conn, SQL.lock_reservation, {"task": task})[0]["locked"])


def claim_jobs(
    conn: psycopg.Connection,
    task: int,
    front: Front,
    keeper: LockedKeeper,
    request: int,
    limit: int,
) -> ClaimedJobs:
    """Claim up to `limit` jobs of a shared task, in order; none when it may not be claimed from any more."""
    params = {
        "task": task,
        "first_in_line": front.first_in_line,
        "in_order": front.in_order,
        "limit": limit,
        "keeper": keeper.id,
        "node": keeper.node_id,
        "request": request,
    }
    with conn.cursor() as cursor:  # plain rows: the longest answer of a claim
        rows = cursor.execute(SQL.claim_jobs, params).fetchall()
    grants = [_grant(*row[2:]) for row in rows if row[2] is not None]
    picked, jobs = rows[0][:2]
    # Small tasks need no floors.
    worn = (jobs or 0) > _step(limit) <= front.passed
    return ClaimedJobs(grants, missed=picked - len(grants), worn=worn)


def _step(limit: int) -> int:
    return FLOOR_STEP + FLOOR_STEP_A_JOB * limit


def raise_floors(conn: psycopg.Connection, task: int, limit: int) -> None:
    """Let claims of `limit` jobs begin where there are jobs to claim, unless somebody else sees to it right now.

    In a transaction of its own: it must not hold what others wait for.
    """
    conn.execute(SQL.raise_floors, {"task": task, "step": _step(limit)})


def granted(conn: psycopg.Connection, keeper: LockedKeeper, request: int) -> list[Grant]:
    """Give what a request was granted and is still open, in order."""
    params = {"node": keeper.node_id, "keeper": keeper.id, "request": request}
    with conn.cursor() as cursor:
        return [_grant(*row) for row in cursor.execute(SQL.granted, params).fetchall()]


def _grant(
    task: int,
    index: int,
    number: int,
    token: UUID,
    is_test: bool,
    folder_number: int,
    done_attempt: int | None,
    new_folder: bool,
    let_go: int,
    root: str,
    is_folder: bool,
    *file: Any,
) -> Grant:
    """Give a grant from a row, whose last columns are those of the config's ManifestEntry."""
    config = _config(root, is_folder, *file)
    key = AttemptKey(task, index, number, token)
    return Grant(key, is_test, folder_number, done_attempt, config, new_folder, let_go)


def _config(root: str, is_folder: bool, *file: Any) -> InputFile:
    entry = ManifestEntry(*file)
    return InputFile(f"{root}/{entry.path}", entry, root) if is_folder else InputFile(root, entry)


def configs(conn: psycopg.Connection, keys: Collection[AttemptKey]) -> dict[AttemptKey, InputFile]:
    """Give the configs of attempts; of those that the database does not know none."""
    given = list(keys)
    with conn.cursor() as cursor:
        rows = cursor.execute(SQL.configs, _full_columns(given)).fetchall()
    return {given[row[0] - 1]: _config(*row[1:]) for row in rows}


def _key(row: Mapping[str, Any]) -> AttemptKey:
    return AttemptKey(row["task_id"], row["ordinal"], row["number"], row["token"])


def task_specs(
    conn: psycopg.Connection, tasks: Collection[int], versions: MutableMapping[int, SharedFiles]
) -> dict[int, TaskSpec]:
    """Give what the jobs of each task have in common; files are read of what is not in `versions` yet."""
    if not tasks:
        return {}
    params = {"tasks": sorted(tasks)}
    inputs: dict[int, dict[str, str]] = {task: {} for task in tasks}
    shared: dict[int, list[SharedFiles]] = {task: [] for task in tasks}
    for row in fetch(conn, SQL.task_inputs, params):
        version, task = row["version_id"], row["task_id"]
        found = versions.get(version) or _version_files(conn, row)
        versions[version] = found
        first = next(iter(found), None) if row["files"] == 1 else None
        inputs[task][row["tag"]] = first.path if first else row["root"]
        shared[task].append(found)
    rows = fetch(conn, SQL.task_specs, params)
    return {row["id"]: _task_spec(row, inputs[row["id"]], shared[row["id"]]) for row in rows}


def _version_files(conn: psycopg.Connection, version: Mapping[str, Any]) -> SharedFiles:
    entries: list[ManifestEntry] = []
    params = {"version": version["version_id"], "limit": FILES_AT_ONCE}
    with conn.cursor() as cursor:
        while len(entries) < version["files"]:
            page = cursor.execute(DATASETS.files, params | {"first": len(entries)}).fetchall()
            if not page:
                break
            entries.extend(ManifestEntry(*row) for row in page)
    return SharedFiles(version["root"], version["is_folder"], tuple(entries))


def _task_spec(
    row: Mapping[str, Any], inputs: Mapping[str, str], shared: Sequence[SharedFiles]
) -> TaskSpec:
    plain = ("id", "name", "owner", "command", "image", "volume", "folder", "complete_file", "env")
    others = ("timeout", "grace", "resume", "metrics_file")
    return TaskSpec(
        **{name: row[name] for name in (*plain, *others)},
        queue=Queue(row["queue"]),
        binds=tuple(row["binds"]),
        inputs=inputs,
        shared=tuple(shared),
        resources=Resources(row["cores"], row["gpus"], row["memory_bytes"]),
    )


def lock_attempts(
    conn: psycopg.Connection, keeper: UUID, keys: Collection[AttemptKey]
) -> list[LockedAttempt]:
    """Lock the jobs behind the keys, in order; a key with a wrong token finds nothing. Their tasks are shared."""
    given = list(keys)
    params = {**_full_columns(given), "keeper": keeper}
    with conn.cursor() as cursor:  # plain rows: the longest answer of a report
        rows = cursor.execute(SQL.lock_attempts, params).fetchall()
    return [
        LockedAttempt(given[place - 1], JobState(state), TaskState(of), Queue(queue), *facts)
        for place, state, of, queue, *facts in rows
    ]


def _key_columns(keys: Sequence[AttemptKey]) -> dict[str, Any]:
    return {
        "tasks": Ints([key.task_id for key in keys]),
        "indexes": Ints([key.index for key in keys]),
        "numbers": Ints([key.number for key in keys]),
        "count": len(keys),
    }


def _full_columns(keys: Sequence[AttemptKey]) -> dict[str, Any]:
    return {**_key_columns(keys), "tokens": Uuids([key.token for key in keys])}


def start(conn: psycopg.Connection, starts: Sequence[Started]) -> None:
    """Write down that attempts have a process: jobs that are assigned run now."""
    params = {
        **_key_columns([start.key for start in starts]),
        "ages": Floats([start.age for start in starts]),
        "devices": Texts([start.devices for start in starts]),
        "image_digests": Texts([start.image_digest for start in starts]),
    }
    conn.execute(SQL.start_jobs, params)
    conn.execute(SQL.start_attempts, params)


def end_attempts(
    conn: psycopg.Connection,
    keeper: LockedKeeper,
    ends: Sequence[tuple[Outcome, JobEnd | None]],
    *,
    who: str,
    sequence: int | None,
) -> None:
    """Write outcomes to their attempts, and to the jobs of those that are accepted, with events.

    Args:
        who: does it.
        sequence: the highest number of the keeper's outcomes.
    """
    if not ends and sequence is None:
        return
    outcomes, jobs = [outcome for outcome, _ in ends], [job for _, job in ends]
    params = {
        **_key_columns([outcome.key for outcome in outcomes]),
        "was": Texts([job and job.was for job in jobs]),
        "states": Texts([job and job.state for job in jobs]),
        "tests": Bools([job and job.is_test for job in jobs]),
        "failed": Bools([job and job.failed for job in jobs]),
        "given_up": Bools([job and job.lost for job in jobs]),
        "delays": Floats([job and job.delay for job in jobs]),
        "causes": Texts([o.cause for o in outcomes]),
        "final": Bools([o.is_final for o in outcomes]),
        "ages": Floats([o.age for o in outcomes]),
        "started": Bools([o.started for o in outcomes]),
        "sequences": BigInts([o.sequence for o in outcomes]),
        "exit_statuses": Ints([o.exit_status for o in outcomes]),
        "signals": Ints([o.signal for o in outcomes]),
        "reasons": Texts([o.reason for o in outcomes]),
        "seconds": Floats([o.seconds for o in outcomes]),
        **_usage_columns([o.usage for o in outcomes]),
        "devices": Texts([o.devices for o in outcomes]),
        "log_bytes": BigInts([o.log_bytes for o in outcomes]),
        "log_tails": Blobs([o.log_tail for o in outcomes]),
        "image_digests": Texts([o.image_digest for o in outcomes]),
        "inputs_notes": Texts([o.inputs_note for o in outcomes]),
        "keeper": keeper.id,
        "node": keeper.node_id,
        "who": who,
        "sequence": sequence,
    }
    conn.execute(SQL.end_attempts, params)


def _usage_columns(usages: Sequence[Usage]) -> dict[str, Column]:
    return {
        measure.name: (Floats if measure.kind is float else BigInts)(
            [getattr(usage, measure.name) for usage in usages]
        )
        for measure in MEASURES
    }


def show_log(conn: psycopg.Connection, key: AttemptKey, length: int, tail: bytes) -> None:
    params = {
        "task": key.task_id,
        "index": key.index,
        "number": key.number,
        "token": key.token,
        "length": length,
        "tail": tail,
    }
    conn.execute(SQL.show_log, params)


def open_attempts(
    conn: psycopg.Connection, keeper: LockedKeeper, limit: int | None = None
) -> list[OpenAttempt]:
    """Give what a keeper was granted and has not ended, in order; at most `limit` of it."""
    params = {"node": keeper.node_id, "keeper": keeper.id, "limit": limit}
    rows = fetch(conn, SQL.open_attempts, params)
    return [OpenAttempt(_key(row), row["request"], row["started"]) for row in rows]


def known(conn: psycopg.Connection, keys: Collection[AttemptKey]) -> set[AttemptKey]:
    """Give those of the keys that this database granted."""
    return {_key(row) for row in fetch(conn, SQL.known, _full_columns(list(keys)))}


def task_folders(conn: psycopg.Connection, tasks: Collection[int]) -> dict[int, str]:
    """Give the folders of tasks."""
    return {
        row["id"]: row["folder"] for row in fetch(conn, SQL.task_folders, {"tasks": list(tasks)})
    }


def adopt(
    conn: psycopg.Connection, keeper: LockedKeeper, folders: Mapping[AttemptKey, int]
) -> dict[AttemptKey, JobState]:
    """Grant attempts after the fact, where their jobs are free; gives what those jobs were. Tasks are shared."""
    params = {
        **_full_columns(list(folders)),
        "folders": Ints(folders.values()),
        "keeper": keeper.id,
        "node": keeper.node_id,
    }
    return {_key(row): JobState(row["before"]) for row in fetch(conn, SQL.adopt, params)}


def never_heard_of(conn: psycopg.Connection, keys: Collection[AttemptKey]) -> list[AttemptKey]:
    """Give those of the keys that the database lacks and that belong to no task which it deleted.

    It granted them once, so it has been replaced by an older one since.
    """
    if not keys:
        return []
    tasks = sorted({key.task_id for key in keys})
    deleted = {row["task_id"] for row in fetch(conn, SQL.deleted_tasks, {"tasks": tasks})}
    return [key for key in keys if key.task_id not in deleted]


def nodes_of_losses(conn: psycopg.Connection, key: AttemptKey, limit: int) -> list[str]:
    """Give the nodes on which the last attempts of a job were lost, the latest first."""
    params = {"task": key.task_id, "index": key.index, "limit": limit}
    return [row["node"] for row in fetch(conn, SQL.nodes_of_losses, params)]


def end_back_off(conn: psycopg.Connection, limit: int) -> set[Queue]:
    """Let jobs be claimed whose time to be tried again has come; gives their queues."""
    return {Queue(row["queue"]) for row in fetch(conn, SQL.end_back_off, {"limit": limit})}


def attempts_to_end(conn: psycopg.Connection, node: int) -> list[tuple[AttemptKey, str]]:
    """Give the attempts of a node that somebody wants ended, each with the reason in words."""
    rows = fetch(conn, SQL.attempts_to_end, {"node": node})
    return [(_key(row), _why_end(row)) for row in rows]


def attempts_to_recall(conn: psycopg.Connection, node: int) -> list[AttemptKey]:
    """Give the attempts of held tasks that a node has claimed and not started, as far as it has said."""
    return [_key(row) for row in fetch(conn, SQL.attempts_to_recall, {"node": node})]


def _why_end(row: Mapping[str, Any]) -> str:
    if row["whole_task"]:
        return "its task was killed"
    return "another test job failed" if row["for_test"] else "it was killed on request"
