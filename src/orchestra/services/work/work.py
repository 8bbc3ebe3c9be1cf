"""The pilot's only door to the database: attach, claim, started, renew, report, reconcile, close out, detach.

Every function is one transaction (after it, a claim reads what never changes). Every word about an attempt names job,
attempt and token, and each function says what is fenced and what may be repeated. Locks are taken in the order keeper,
task (shared), jobs by (task, ordinal), counts; so a mass move, which holds its task alone, never meets half a claim or
half a report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from orchestra.domain import human
from orchestra.domain.errors import (
    DatabaseReplaced,
    DatabaseUnavailable,
    KeeperFenced,
    NotFound,
    Refused,
    SchemaMismatch,
    Superseded,
    UnknownKeeper,
)
from orchestra.domain.models.cluster import KnownDatabase
from orchestra.domain.models.pilots import HeartbeatReply, KeeperHello, PilotHello, Reconciliation
from orchestra.domain.models.work import (
    AttemptKey,
    Claim,
    Grant,
    InputFile,
    Outcome,
    Place,
    SharedFiles,
    Started,
    TaskSpec,
)
from orchestra.domain.reservation import ready_in, takes_over
from orchestra.domain.states import Cause, HoldCause, JobState, Queue
from orchestra.domain.storable import storable as made_storable
from orchestra.domain.storable import with_storable_texts
from orchestra.domain.transitions import TaskInput
from orchestra.domain.troubles import Trouble
from orchestra.domain.wording import Action, Field, words
from orchestra.services.mail import letters
from orchestra.services.tasks import lifecycle
from orchestra.services.work import fencing, outcomes, settling
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import nodes
from orchestra.store.schema import migrate
from orchestra.store.tasks import locks, moves
from orchestra.store.work import attempts, pilots

PROTOCOL = 1
LEASE_SECONDS = 12 * 3600.0

FIRST_PAGE, FURTHER_PAGE = 16, 256
"""Tasks of a line that are read at a time. Mostly the first one has all that a claim wants."""
TASKS_AT_MOST, LOOKS_AT_MOST = 8192, 64
"""Tasks that one claim reads, and those that it finds without a job: what is behind them is for the next claim."""


def attach(
    conn: psycopg.Connection,
    hello: PilotHello,
    *,
    lease: float = LEASE_SECONDS,
    known: KnownDatabase | None = None,
) -> HeartbeatReply:
    """Make this agent the one that decides for its node.

    An agent on the same machine is taken over (it learns by `superseded` at its next renewal); an agent of another
    machine under the same node name is refused while it is alive. May be repeated.

    What ran on this machine before it was started anew is dead: its keepers are fenced at once. What they held is given
    away by `close_out`, once their outcomes are reported, or by the conductor soon after.

    `known` is what this pilot remembers of the database. One that knows less than that was replaced by an older one:
    its epoch is raised, and it settles (see `services/work/settling.py`).

    Raises:
        NotFound: there is no node of that name.
        Refused: another machine's pilot serves this node, or holds jobs on it, or another account's serves it here.
        SchemaMismatch: the database has no schema, or this pilot is too old for it.
        ForeignDatabase: it is another cluster's database.
    """

    hello = with_storable_texts(hello)

    def work() -> HeartbeatReply:
        migrate.check(conn, newer_allowed=1)
        identity = settling.recognise(conn, known, who=f"pilot {hello.node}")
        _check_protocol(conn, hello)
        node = nodes.lock(conn, hello.node)
        if node is None:
            raise NotFound(
                f'there is no node "{hello.node}".',
                hint=words(Action.CREATE_NODE_NAMED(name=hello.node)),
                kind="node",
                name=hello.node,
            )
        _refuse_second_machine(conn, node.id, hello)
        pilots.attach(conn, node.id, hello)
        reason = "its node was started anew"
        fenced = pilots.fence_older_boots(conn, node.id, hello, reason)
        fencing.note(conn, fenced, reason, who=f"pilot {hello.node}")
        return HeartbeatReply(node.id, lease, node.enabled, identity=identity)

    return in_transaction(conn, work)


def _refuse_second_machine(conn: psycopg.Connection, node_id: int, hello: PilotHello) -> None:
    serving = pilots.serving_pilot(conn, node_id)
    if serving is None:
        return
    if serving.is_on_machine_of(hello):
        _refuse_second_account(serving, hello)
        return
    if serving.alive:
        raise Refused(
            f'node "{hello.node}" is served by a pilot on {serving.host}.',
            hint="Give this machine a node of its own, or stop that pilot first.",
        )
    if jobs := pilots.jobs_elsewhere(conn, node_id, hello):
        raise Refused(
            f'node "{hello.node}" has {human.count(jobs, "job")} on {serving.host}, which was last heard of '
            f"{human.relative(-serving.silent_for)}.",
            hint=words("If that machine is gone: ", Action.LOSE_NODE(name=hello.node)),
        )


def _refuse_second_account(serving: pilots.ServingPilot, hello: PilotHello) -> None:
    """It cannot adopt what the other's keepers run, and these start an agent of theirs: both would fight for ever."""
    if serving.alive and serving.account != hello.account:
        raise Refused(
            f'node "{hello.node}" is served by a pilot of {serving.account} on this machine.',
            hint=words(
                "Two pilots of one machine are two nodes: make one of another name for yours (",
                Action.CREATE_NODE,
                f"), or have {serving.account} start theirs with ",
                Field.SERVE_ALL(True),
                ".",
            ),
        )


def _check_protocol(conn: psycopg.Connection, hello: PilotHello) -> None:
    protocol, oldest = pilots.protocols(conn)
    if hello.protocol < oldest:
        raise SchemaMismatch(
            f"this pilot speaks protocol {hello.protocol}, the database wants {oldest} to {protocol}.",
            hint="Upgrade orchestra-hpc on this node. Running jobs are not affected.",
        )


def register_keeper(
    conn: psycopg.Connection,
    node_id: int,
    keeper: KeeperHello,
    *,
    lease: float = LEASE_SECONDS,
    expires: bool = True,
) -> None:
    """Make a keeper known, so that attempts can be granted to it. May be repeated.

    `expires=False` says that its jobs outlive its lease, so that they are never given away for its silence.

    Raises:
        Fenced: it has been fenced; start another one.
    """

    def work() -> bool:
        return pilots.register_keeper(
            conn, node_id, with_storable_texts(keeper), lease, expires=expires
        )

    if not in_transaction(conn, work):
        raise KeeperFenced(f"keeper {keeper.id} has been fenced")


def claim(
    conn: psycopg.Connection,
    agent: UUID,
    keeper_id: UUID,
    request: int,
    free: Mapping[Queue, int],
    known: Collection[int] = (),
    *,
    offered: Mapping[Queue, int] | None = None,
    at_most: int = 1000,
    avoid: Collection[int] = (),
    after: Mapping[Queue, Place] | None = None,
    epoch: int | None = None,
    versions: MutableMapping[int, SharedFiles] | None = None,
) -> Claim:
    """Take jobs for up to `free[queue]` slots of each queue for a keeper, best task first; `at_most` jobs of each.

    Jobs that need more than `offered[queue]` slots (by default: than the node has enabled) are for other nodes. One
    that needs more than are free now has one node keep its slots free for it, or small jobs would keep it from ever
    starting: what comes after it is held back there, and goes on elsewhere. Any node may take it meanwhile. Tasks to
    `avoid` are for other nodes, too. A queue's line is walked to its end, or as far as one claim may look; then `more`
    of the answer says where the next one is to go on (`after`).

    Repeatable: `request` counts up; a request that was answered before gets the same answer again (less what has ended
    since), so that an answer lost on the way loses no job; one below the keeper's `latest` takes nothing. `known` names
    tasks whose TaskSpec (which never changes) the agent has already, `versions` holds the files of data sets that it
    has (those of new tasks are added); both are of the edition of the database that has the `epoch`: another one gives
    numbers anew.

    Raises:
        DatabaseReplaced: the database was replaced in the meantime; attach again. Nothing was taken.
        Fenced: the keeper's lease was given away.
        Superseded: another agent decides for the node.
    """

    worn: dict[int, int] = {}

    def work() -> Claim:
        worn.clear()
        keeper = attempts.lock_keeper(conn, keeper_id)
        pilot = attempts.claiming_pilot(conn, keeper, request)
        if keeper.fenced:
            raise KeeperFenced(f"keeper {keeper_id} has been fenced")
        if pilot is None or pilot.agent != agent:
            raise Superseded("another agent decides for this node now")
        if epoch is not None and pilot.epoch != epoch:
            raise DatabaseReplaced
        if request <= keeper.last_request:
            grants = tuple(attempts.granted(conn, keeper, request))
            return Claim(grants=grants, latest=keeper.last_request, repeated=True)
        if pilot.drained:
            return Claim(latest=request)
        takings: list[_Taking] = []
        shared = locks.ClaimLocks()
        for queue, slots in free.items():
            most = min(pilot.enabled[queue], (offered or pilot.enabled).get(queue, 0))
            place = after.get(queue) if after else None
            taking = _Taking(
                keeper, pilot, request, queue, most, slots, at_most, avoid, shared, place
            )
            taking.take(conn)
            takings.append(taking)
            worn.update(taking.worn)
        return Claim(
            grants=tuple(grant for taking in takings for grant in taking.taken),
            held_back={t.queue: t.needed for t in takings if t.needed and t.free > 0},
            more={t.queue: t.place for t in takings if t.has_more and t.place},
            latest=request,
        )

    claim = in_transaction(conn, work)
    _raise_floors(conn, worn)
    tasks = {grant.key.task_id for grant in claim.grants} - set(known)
    if not tasks:
        return claim
    # Not while rows are locked: a data set may have very many files. None of this ever changes, but a task that was
    # killed and deleted a moment ago is gone.
    specs = attempts.task_specs(conn, tasks, {} if versions is None else versions)
    gone = tasks - specs.keys()
    left = tuple(grant for grant in claim.grants if grant.key.task_id not in gone)
    return replace(claim, tasks=specs, grants=left)


@dataclass(slots=True)
class _Taking:
    """A claim from one queue: `free` slots are left to fill, with `jobs` jobs at most; `taken` is what it got.

    It has looked up to `place` in the queue's line, and `has_more` where it stopped before its end. `needed` is the
    fewest slots of a job that it has passed because fewer were left. It is `cut_short` at a task for which it may not
    wait (see `ClaimLocks`): the next claim begins there.
    """

    keeper: attempts.LockedKeeper
    pilot: attempts.ClaimingPilot
    request: int
    queue: Queue
    offered: int
    free: int
    jobs: int
    avoid: Collection[int]
    shared: locks.ClaimLocks
    place: Place | None = None
    cut_short: bool = False
    has_more: bool = False
    needed: int | None = None
    taken: list[Grant] = field(default_factory=list)
    worn: dict[int, int] = field(default_factory=dict)

    def take(self, conn: psycopg.Connection) -> None:
        """Claim what fits, along the queue's line, until slots or tasks are used up or a job has to wait for slots."""
        fruitless = 0
        if self.free <= 0:
            return
        for task in self._line(conn):
            if fruitless >= LOOKS_AT_MOST:
                self.has_more = True
                return
            self.place = task.place
            limit = min(self.free // task.slots, self.jobs)
            if limit:
                taken = self._take_from(conn, task.id, limit)
                if self.cut_short:
                    self.place, self.has_more = task.before, True
                    return
                self.free -= taken * task.slots
                self.jobs -= taken
                fruitless += not taken
                if taken and task.slots > 1:
                    self._end_reservation(conn, task.id)
            elif self._must_wait(conn, task):
                return
            else:
                fruitless += 1
            if self.free <= 0 or self.jobs <= 0:
                return

    def _line(self, conn: psycopg.Connection) -> Iterator[attempts.Candidate]:
        """Give the tasks behind `place`, a page at a time; beyond the first page those alone that have jobs."""
        size, read, last = FIRST_PAGE, 0, self.place or attempts.BEFORE_ALL
        while read < TASKS_AT_MOST:
            page = attempts.candidates(
                conn, self.queue, self.pilot, self.offered, self.avoid, after=last, limit=size
            )
            there = attempts.with_jobs(conn, [task.id for task in page]) if read else None
            yield from (task for task in page if there is None or task.id in there)
            if len(page) < size:
                return
            last, size, read = page[-1].place, FURTHER_PAGE, read + len(page)
        self.place, self.has_more = last, True

    def _must_wait(self, conn: psycopg.Connection, task: attempts.Candidate) -> bool:
        """Whether the node is to keep its slots for the next job of a task, which needs more than are left.

        One node does (see `domain/reservation.py`). A node that runs a job of the task will have its slots; it goes on
        with smaller jobs meanwhile.
        """
        if not attempts.with_jobs(conn, [task.id]):
            return False
        self.needed = min(task.slots, self.needed or task.slots)
        node = self.keeper.node_id
        busy = attempts.busy_here(conn, node, self.queue)
        if any(of == task.id for of, _ in busy):
            return False
        taken = sum(job.slots for _, job in busy)
        expected = ready_in(task.slots - self.offered + taken, [job for _, job in busy])
        held = attempts.reservation(conn, task.id)
        if held is None or held.node_id == node:
            passed_on = held.passed_on if held else 0
        elif takes_over(expected, held.ready_in, held.passed_on):
            passed_on = held.passed_on + 1
        else:
            return False
        return attempts.reserve(conn, task.id, attempts.Reservation(node, expected, passed_on))

    def _end_reservation(self, conn: psycopg.Connection, task: int) -> None:
        """Let go of slots that were kept for a task: this node has a job of it now, or there is none left."""
        held = attempts.reservation(conn, task)
        if held is None:
            return
        elsewhere = held.node_id != self.keeper.node_id
        if elsewhere and attempts.with_jobs(conn, [task]):
            return
        if attempts.end_reservation(conn, task) and elsewhere:
            moves.wake_workers(conn, self.queue)

    def _take_from(self, conn: psycopg.Connection, task: int, limit: int) -> int:
        """Claim up to `limit` jobs of a task; gives how many."""
        front, shared = self.shared.share(conn, task)
        self.cut_short = front.has_jobs and not shared
        left, again = limit, shared
        while left and again:
            got = attempts.claim_jobs(conn, task, front, self.keeper, self.request, left)
            self.taken += got.grants
            left -= len(got.grants)
            again = got.missed > 0
            if got.worn:
                self.worn[task] = limit
        return limit - left


def _raise_floors(conn: psycopg.Connection, worn: Mapping[int, int]) -> None:
    """Let the next claims from these tasks begin further on; each was asked for so many jobs."""
    if conn.info.transaction_status != TransactionStatus.IDLE:
        return  # somebody else's transaction may last
    for task, limit in worn.items():
        # What was claimed is claimed, and its answer counts more than what the next claim costs.
        with suppress(DatabaseUnavailable):
            attempts.raise_floors(conn, task, limit)


def started(
    conn: psycopg.Connection, keeper_id: UUID, starts: Sequence[Started]
) -> tuple[AttemptKey, ...]:
    """Say which attempts have a process. Gives those that are no longer granted: end them. May be repeated."""

    def work() -> tuple[AttemptKey, ...]:
        keeper = attempts.lock_keeper(conn, keeper_id)
        keys = [start.key for start in starts]
        locks.share(conn, {key.task_id for key in keys})
        locked = {found.key: found for found in attempts.lock_attempts(conn, keeper_id, keys)}
        known = [s for s in starts if s.key in locked and _holds(locked[s.key])]
        attempts.start(conn, [with_storable_texts(start) for start in known])
        fresh = [s.key for s in known if locked[s.key].state is JobState.ASSIGNED]
        changes = [(key, JobState.ASSIGNED, JobState.RUNNING, None) for key in fresh]
        outcomes.note(conn, keeper, changes)
        granted = {start.key for start in known}
        refused = {k for k in keys if k not in granted and not (k in locked and locked[k].ended)}
        # What an older edition of this database granted is for `reconcile` to look at.
        return tuple(sorted(refused - set(attempts.never_heard_of(conn, refused - set(locked)))))

    return in_transaction(conn, work)


def _holds(found: attempts.LockedAttempt) -> bool:
    return found.is_of_keeper and found.latest == found.key.number and not found.ended


def renew(
    conn: psycopg.Connection,
    node_id: int,
    agent: UUID,
    keepers: Sequence[UUID],
    *,
    lease: float = LEASE_SECONDS,
    expires: bool = True,
    troubles: Sequence[Trouble] = (),
    silent: Sequence[str] = (),
    epoch: int | None = None,
) -> HeartbeatReply:
    """Renew the leases of an agent's keepers and learn what the node's users want. May be repeated.

    Args:
        expires: as for `register_keeper`.
        troubles: what the pilot has to say of itself, for `node list`.
        silent: the folders and files that do not answer on its machine.
        epoch: the one that `attach` told.

    Raises:
        DatabaseReplaced: the database was replaced in the meantime; attach again. Nothing was renewed.
    """

    said = [with_storable_texts(trouble) for trouble in troubles]
    dead = [made_storable(path) for path in silent]

    def work() -> HeartbeatReply:
        if epoch is not None and pilots.epoch(conn) != epoch:
            raise DatabaseReplaced
        wishes = pilots.renew_pilot(conn, node_id, agent, said, dead)
        if wishes is None:
            return HeartbeatReply(node_id, lease, {Queue.CPU: 0, Queue.GPU: 0}, superseded=True)
        pilots.renew_keepers(conn, node_id, keepers, lease, expires=expires)
        return HeartbeatReply(
            node_id,
            lease,
            wishes.enabled,
            leave=wishes.leave or wishes.leave_now,
            leave_now=wishes.leave_now,
            end=tuple(attempts.attempts_to_end(conn, node_id)),
            recall=tuple(attempts.attempts_to_recall(conn, node_id)),
            fenced=pilots.fenced_keepers(conn, keepers),
            generation=wishes.beat,
        )

    return in_transaction(conn, work)


def report(
    conn: psycopg.Connection, keeper_id: UUID, ends: Sequence[Outcome]
) -> tuple[AttemptKey, ...]:
    """Write down how attempts ended, in one transaction: attempt, job, counts, events.

    An outcome is accepted as long as its attempt is its job's latest one, also after it was declared lost and for a
    fenced keeper; else it is recorded with its attempt and changes no job. A wrong token changes nothing at all. May be
    repeated: an attempt that has ended already is left as it is. An outcome may come before or without its `started`.
    An outcome by which a task is held (a changed input, no folder) holds it in a second transaction.

    Gives the attempts that the database has never heard of, because it was replaced by an older one: their outcomes
    are not written down, and must be kept.

    Raises:
        UnknownKeeper: the database knows no such keeper.
    """
    storable = [with_storable_texts(outcome) for outcome in ends]

    def work() -> outcomes.Recorded:
        return outcomes.record(conn, attempts.lock_keeper(conn, keeper_id), storable)

    recorded = in_transaction(conn, work)
    for task, reason in sorted(recorded.holds):
        _hold(conn, task, reason)
    return recorded.unknown


def inputs(
    conn: psycopg.Connection,
    keys: Collection[AttemptKey],
    known: Collection[int] = (),
    *,
    versions: MutableMapping[int, SharedFiles] | None = None,
) -> tuple[Mapping[int, TaskSpec], Mapping[AttemptKey, InputFile]]:
    """Give what attempts read that an earlier agent started: their tasks, but for those `known`, and their configs."""

    def work() -> tuple[Mapping[int, TaskSpec], Mapping[AttemptKey, InputFile]]:
        configs = attempts.configs(conn, keys)
        tasks = {key.task_id for key in configs} - set(known)
        return attempts.task_specs(conn, tasks, {} if versions is None else versions), configs

    return in_transaction(conn, work)


def show_log(conn: psycopg.Connection, key: AttemptKey, length: int, tail: bytes) -> None:
    """Keep the end of a running attempt's log of `length` bytes, for who cannot read the file. May be repeated."""
    in_transaction(conn, lambda: attempts.show_log(conn, key, length, tail))


def _hold(conn: psycopg.Connection, task: int, reason: str) -> None:
    try:
        lifecycle.apply(
            conn, task, TaskInput.HOLD, by="orchestra", why=reason, cause=HoldCause.FILES
        )
    except (NotFound, Refused):
        return  # it has ended in the meantime: there is nothing to hold


def reconcile(
    conn: psycopg.Connection,
    keeper_id: UUID,
    request: int,
    held: Collection[AttemptKey],
    folders: Mapping[AttemptKey, int] | None = None,
    task_folders: Mapping[AttemptKey, str] | None = None,
) -> Reconciliation:
    """Compare what a keeper holds (claimed, running, or with an unreported outcome) with what was granted to it.

    Grants up to claim `request` that it does not hold go back to their jobs, as lost if they had started, else at no
    cost; what it holds and the database no longer grants is to be ended. `folders` names those of `held` that have, or
    had, a process, with the number of the attempt's folder: of these, what the database has never heard of (it was
    replaced by an older one) becomes the job's attempt where the job is free, and is never to be ended; not where its
    task's folder in `task_folders` is not this task's, for such a database may give a task's number to another one. May
    be repeated.

    Raises:
        UnknownKeeper: the database knows no such keeper.
    """

    def work() -> Reconciliation:
        keeper = attempts.lock_keeper(conn, keeper_id)
        granted = {found.key: found for found in attempts.open_attempts(conn, keeper)}
        missing = [
            _vanished(found)
            for key, found in granted.items()
            if key not in held and found.request <= request
        ]
        extra = set(held) - set(granted)
        # All at once, since locks of tasks are asked for in order.
        locks.share(conn, {found.key.task_id for found in missing} | {key.task_id for key in extra})
        if missing:
            outcomes.record(conn, keeper, missing)
        is_settling = pilots.note_reconciled(conn, keeper_id)
        unknown = _unknown_attempts(conn, extra, folders or {})
        adopted = _adopt(conn, keeper, _of_our_tasks(conn, unknown, task_folders or {}))
        end = {key for key in extra - set(unknown) if not is_settling or key not in (folders or {})}
        return Reconciliation(
            end=tuple(sorted(end)),
            released=len(missing),
            adopted=adopted,
            unknown=tuple(sorted(set(unknown) - set(adopted))),
        )

    return in_transaction(conn, work)


def _unknown_attempts(
    conn: psycopg.Connection, extra: Collection[AttemptKey], folders: Mapping[AttemptKey, int]
) -> dict[AttemptKey, int]:
    """Give the attempts with a process that the database has never heard of."""
    unknown = set(extra) - attempts.known(conn, extra) if extra else set()
    return {key: folders[key] for key in attempts.never_heard_of(conn, unknown) if key in folders}


def _of_our_tasks(
    conn: psycopg.Connection,
    unknown: Mapping[AttemptKey, int],
    task_folders: Mapping[AttemptKey, str],
) -> dict[AttemptKey, int]:
    if not unknown:
        return {}
    ours = attempts.task_folders(conn, {key.task_id for key in unknown})
    return {
        key: folder
        for key, folder in unknown.items()
        if task_folders.get(key, ours.get(key.task_id)) == ours.get(key.task_id)
    }


def _adopt(
    conn: psycopg.Connection, keeper: attempts.LockedKeeper, unknown: Mapping[AttemptKey, int]
) -> tuple[AttemptKey, ...]:
    """Make attempts their jobs' latest ones, where the jobs are free; gives which."""
    if not unknown or keeper.fenced:
        return ()
    locks.share(conn, {key.task_id for key in unknown})
    latest = {(key.task_id, key.ordinal): key for key in sorted(unknown)}
    adopted = attempts.adopt(conn, keeper, {key: unknown[key] for key in latest.values()})
    why = "its keeper runs it; the database had been replaced by an older one"
    outcomes.note(
        conn,
        keeper,
        [
            (key, before, JobState.ASSIGNED, why)
            for key, before in adopted.items()
            if before is not JobState.ASSIGNED
        ],
    )
    return tuple(adopted)


def _vanished(found: attempts.OpenAttempt) -> Outcome:
    returned = Outcome(found.key, Cause.RETURNED, reason="its pilot no longer knows of it")
    if not found.started:
        return returned
    return replace(returned, cause=Cause.LOST, reason="its keeper no longer runs it")


def close_out(conn: psycopg.Connection, agent: UUID, keeper_id: UUID, reason: str) -> int:
    """Say that a keeper on this machine is dead; gives how many of its attempts went back to their jobs.

    The agent has read what the keeper left: its outcomes are reported, its processes have ended, and what it had not
    started never will be. What had started is lost, the rest is returned at no cost. May be repeated.

    Raises:
        Superseded: another agent decides for the node.
    """

    def work() -> int:
        try:
            keeper = attempts.lock_keeper(conn, keeper_id)
        except UnknownKeeper:
            return 0  # this database never knew it
        pilot = attempts.claiming_pilot(conn, keeper)
        if pilot is None or pilot.agent != agent:
            raise Superseded("another agent decides for this node now")
        fencing.fence(conn, keeper_id, reason, who=f"pilot {keeper.node}")
        left = [
            replace(_vanished(found), reason=reason)
            for found in attempts.open_attempts(conn, keeper)
        ]
        outcomes.record(conn, keeper, left)
        pilots.forget(conn, keeper_id)
        if left:
            letters.pilot_died(conn, keeper.node, len(left), keeper.fence_reason or reason)
        return len(left)

    return in_transaction(conn, work)


def detach(conn: psycopg.Connection, node_id: int, agent: UUID, keepers: Sequence[UUID]) -> None:
    """Say goodbye: the node is shown as offline at once, and keepers that hold nothing are forgotten."""
    in_transaction(conn, lambda: pilots.detach(conn, node_id, agent, keepers))
