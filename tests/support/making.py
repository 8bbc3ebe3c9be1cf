"""Creates tasks as commands do: plan them, check their files, create them."""

from __future__ import annotations

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.files import task_files
from orchestra.services.tasks import creation


def make(conn: psycopg.Connection, caller: Caller, new: NewTask) -> Task:
    """Create a task."""
    planned = creation.plan(conn, caller, new)
    seen = task_files.check(new, planned.folder)
    return creation.create(conn, creation.plan(conn, caller, seen))
