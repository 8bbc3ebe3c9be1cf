"""Carries out the requests of `interface/task_changes.py`."""

from __future__ import annotations

from orchestra.domain.models.tasks import Task
from orchestra.interface import task_changes as ask
from orchestra.interface.answers.task_actions import Changed, Done, NodeToAnswer, Removable
from orchestra.interface.local import Scope
from orchestra.services.tasks import actions, removal, settings


def own_task(scope: Scope, asked: ask.OwnTask) -> Task:
    return actions.own_task(scope.conn, scope.caller, asked.task)


def hold_task(scope: Scope, asked: ask.HoldTask) -> Done:
    return actions.hold(scope.conn, scope.caller, asked.task, asked.reason)


def pilots_to_answer(scope: Scope, asked: ask.PilotsToAnswer) -> tuple[NodeToAnswer, ...]:
    return tuple(actions.pilots_to_answer(scope.conn, asked.tasks))


def release_task(scope: Scope, asked: ask.ReleaseTask) -> Done:
    return actions.release(scope.conn, scope.caller, asked.task)


def set_task(scope: Scope, asked: ask.SetTask) -> Changed:
    return settings.change(scope.conn, scope.caller, asked.task, asked.settings)


def retry_task(scope: Scope, asked: ask.RetryTask) -> Done:
    return actions.retry(
        scope.conn, scope.caller, asked.task, every=asked.every, bypass=asked.bypass
    )


def kill_task(scope: Scope, asked: ask.KillTask) -> Done:
    return actions.kill(scope.conn, scope.caller, asked.task, asked.reason)


def finish_kill(scope: Scope, asked: ask.FinishKill) -> Task:
    return actions.finish_kill(scope.conn, scope.caller, asked.task)


def delete_task(scope: Scope, asked: ask.DeleteTask) -> Done:
    return actions.delete(scope.conn, scope.caller, asked.task)


def removable_folders(scope: Scope, asked: ask.RemovableFolders) -> Removable:
    look = removal.look_at_superseded if asked.superseded else removal.look_at_task
    return look(scope.conn, scope.caller, asked.task)
