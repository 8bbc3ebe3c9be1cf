"""Reconciles what keepers hold with what was granted to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import replace
from uuid import UUID

import psycopg

from orchestra.domain.errors import (
    Superseded,
    UnknownKeeper,
)
from orchestra.domain.models.pilots import Reconciliation
from orchestra.domain.models.work import (
    AttemptKey,
    InputFile,
    Outcome,
    Revision,
    SharedFiles,
    TaskSpec,
)
from orchestra.domain.states import Cause, JobState
from orchestra.services.jobs import outcomes
from orchestra.services.mail import notifications
from orchestra.services.nodes import fencing
from orchestra.services.tasks import running_limit
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, claims, pilots, task_specs


def reconcile(
    conn: psycopg.Connection,
    keeper_id: UUID,
    request: int,
    held: Collection[AttemptKey],
    folders: Mapping[AttemptKey, int] | None = None,
    task_folders: Mapping[AttemptKey, str] | None = None,
) -> Reconciliation:
    """Compare what a keeper holds (claimed, running, or with an unreported outcome) with what was granted to it.

    Grants up to claim `request` that it does not hold are requeued, as lost if they had started, else at no cost. What
    it holds and the database no longer grants must be ended. `folders` names those of `held` that have, or
    had, a process, with the number of the attempt's folder: of these, attempts that the database does not
    know (it was replaced by an older one) become their jobs' attempts where the jobs are free, and are never ended;
    except where the folder in `task_folders` is not the task's, since such a database may assign a task's number again.
    May be repeated.

    Raises:
        UnknownKeeper: the database does not know the keeper.
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
        is_recovering = pilots.note_reconciled(conn, keeper_id)
        unknown = _unknown_attempts(conn, extra, folders or {})
        adopted = _adopt(conn, keeper, _of_our_tasks(conn, unknown, task_folders or {}))
        end = {
            key for key in extra - set(unknown) if not is_recovering or key not in (folders or {})
        }
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
    """Return the attempts with a process that the database does not know."""
    unknown = set(extra) - attempts.known(conn, extra) if extra else set()
    return {key: folders[key] for key in attempts.forgotten(conn, unknown) if key in folders}


def _of_our_tasks(
    conn: psycopg.Connection,
    unknown: Mapping[AttemptKey, int],
    task_folders: Mapping[AttemptKey, str],
) -> dict[AttemptKey, int]:
    if not unknown:
        return {}
    ours = task_specs.folders(conn, {key.task_id for key in unknown})
    return {
        key: folder
        for key, folder in unknown.items()
        if task_folders.get(key, ours.get(key.task_id)) == ours.get(key.task_id)
    }


def _adopt(
    conn: psycopg.Connection, keeper: attempts.LockedKeeper, unknown: Mapping[AttemptKey, int]
) -> tuple[AttemptKey, ...]:
    """Make attempts their jobs' latest ones, where the jobs are free; return which."""
    if not unknown or keeper.fenced:
        return ()
    locks.share(conn, {key.task_id for key in unknown})
    latest = {(key.task_id, key.index): key for key in sorted(unknown)}
    adopted = attempts.adopt(conn, keeper, {key: unknown[key] for key in latest.values()})
    running_limit.withdraw_excess(conn, {key.task_id for key in adopted}, by="orchestra")
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
    returned = Outcome(found.key, Cause.RETURNED, reason="its pilot no longer has it")
    if not found.started:
        return returned
    return replace(returned, cause=Cause.LOST, reason="its keeper no longer runs it")


def close_out(conn: psycopg.Connection, agent: UUID, keeper_id: UUID, reason: str) -> int:
    """Close out a dead keeper of this machine; return how many of its attempts were requeued.

    The agent has read what the keeper left behind: its outcomes are reported, its processes have ended, and what it had
    not started never will be. Attempts that had started are lost, the rest is requeued at no cost. May be repeated.

    Raises:
        Superseded: another agent decides for the node.
    """

    def work() -> int:
        try:
            keeper = attempts.lock_keeper(conn, keeper_id)
        except UnknownKeeper:
            return 0  # this database does not know it
        pilot = claims.claiming_pilot(conn, keeper)
        if pilot is None or pilot.agent != agent:
            raise Superseded("another agent decides for this node now")
        fencing.fence(conn, keeper_id, reason, who=f"pilot {keeper.node}")
        left = [
            replace(_vanished(found), reason=reason)
            for found in attempts.open_attempts(conn, keeper)
        ]
        outcomes.record(conn, keeper, left)
        pilots.mark_gone(conn, keeper_id)
        if left:
            notifications.pilot_died(conn, keeper.node, len(left), keeper.fence_reason or reason)
        return len(left)

    return in_transaction(conn, work)


def inputs(
    conn: psycopg.Connection,
    keys: Collection[AttemptKey],
    known: Collection[Revision] = (),
    *,
    versions: MutableMapping[int, SharedFiles] | None = None,
) -> tuple[Mapping[Revision, TaskSpec], Mapping[AttemptKey, tuple[Revision, InputFile]]]:
    """Return the inputs of attempts that an earlier agent started: the revision of each and its config.

    Also the specs of these revisions, without `known` ones.
    """

    def work() -> tuple[
        Mapping[Revision, TaskSpec], Mapping[AttemptKey, tuple[Revision, InputFile]]
    ]:
        configs = task_specs.configs(conn, keys)
        revisions = {revision for revision, _ in configs.values()} - set(known)
        return task_specs.read(conn, revisions, {} if versions is None else versions), configs

    return in_transaction(conn, work)
