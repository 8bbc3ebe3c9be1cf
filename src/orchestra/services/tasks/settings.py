"""Changing the settings of a task while it lives, or before it is retried."""

from __future__ import annotations

import psycopg

from orchestra.domain import task_settings
from orchestra.domain.caller import Caller
from orchestra.domain.exclusions import unserved
from orchestra.domain.matchmaking import Need
from orchestra.domain.models.task_settings import NewSettings, SettingChange
from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.task_actions import Changed
from orchestra.services.tasks import running_limit
from orchestra.services.tasks.actions import own_task
from orchestra.store.cluster import events
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import queues, reservations
from orchestra.store.tasks import revisions, task_mutations


def change(conn: psycopg.Connection, caller: Caller, task: int, given: NewSettings) -> Changed:
    """Change settings of a task, each with an event; all of them or none.

    What jobs are started with (timeout, grace, cores, GPUs, memory) counts for those that have not started: they get
    the task's next revision, and pilots return what they have claimed ahead. Jobs that failed for good stay failed, and
    a task that is held stays held.

    Raises:
        NotFound: there is no such task.
        Refused: it belongs to somebody else.
        BadInput: a value cannot be used.
    """
    own_task(conn, caller, task)

    def work() -> Changed:
        locked = task_mutations.lock_task(conn, task)
        before = own_task(conn, caller, task)
        after = task_settings.changed(before, given)
        changes = task_settings.differences(before, after)
        if changes:
            _apply(conn, locked, before, after, changes, caller.name)
            after = own_task(conn, caller, task)
        no_node = unserved(Need.of(after), queues.offers(conn, after.queue))
        return Changed(before, after, changes, task_mutations.failures(conn, task), no_node)

    return in_transaction(conn, work)


def _apply(
    conn: psycopg.Connection,
    locked: task_mutations.LockedTask,
    before: Task,
    after: Task,
    changes: tuple[SettingChange, ...],
    by: str,
) -> None:
    if at_start := [each for each in changes if each.at_start]:
        why = ", ".join(f"{each.name} {each.before} -> {each.after}" for each in at_start)
        revisions.supersede(conn, locked.id, by=by, why=why)
        channels.notify(conn, channels.NODE)  # pilots return what they have claimed ahead
    task_mutations.change_settings(conn, after)
    if after.policy.max_running != before.policy.max_running:
        running_limit.set_limit(conn, locked.id, after.policy.max_running, by=by)
    if after.resources != before.resources:
        reservations.end(conn, locked.id)
        channels.notify_workers(conn, locked.queue)  # jobs may fit where they did not
    for each in changes:
        events.add_task_event(
            conn,
            locked.id,
            before=each.before,
            after=each.after,
            who=by,
            why=each.name,
            kind="set",
        )
    channels.notify(conn, channels.CONDUCTOR)
