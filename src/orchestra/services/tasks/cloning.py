"""What to request for one more task like an existing one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import psycopg

from orchestra.domain import cloning
from orchestra.domain.caller import Caller
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.domain.naming import OwnedName, parse_name
from orchestra.domain.short_names import TASK_PREFIX
from orchestra.services import names
from orchestra.services.tasks import selection
from orchestra.store.tasks import sources


def settings(conn: psycopg.Connection, caller: Caller, word: str, name: str | None) -> NewTask:
    """Return the request for a task of the caller's like an existing one, anybody's.

    Raises:
        BadInput, NotFound: there is no such task, or the name is not valid for one of the caller's.
    """
    task = selection.find(conn, word)
    if name is None:
        last = parse_name(task.name, username=task.owner).name
        name = names.free(conn, caller, str(OwnedName(caller.name, last)))
    inputs = {each.tag: each.dataset for each in sources.inputs(conn, task.id) if each.dataset}
    request = cloning.settings(task, name, _config(conn, task), inputs)
    return request if task.owner == caller.name else replace(request, volume="")


def _config(conn: psycopg.Connection, task: Task) -> str:
    found = sources.config(conn, task.id)
    # A folder's last part is the name of its task.
    return found.dataset or TASK_PREFIX + PurePosixPath(found.root).name
