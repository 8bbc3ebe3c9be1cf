"""Names for new tasks and data sets."""

from __future__ import annotations

from itertools import islice
from typing import Literal

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.naming import numbered, parse_name
from orchestra.store import datasets
from orchestra.store.tasks import tasks

Kind = Literal["task", "dataset"]
_AT_A_TIME = 100


def free(
    conn: psycopg.Connection, caller: Caller, name: str, kinds: tuple[Kind, ...] = ("task",)
) -> str:
    """Return the first of `name`, `name-2`, `name-3`, ... that is free among the given kinds.

    Raises:
        BadInput: the name is invalid, or not in the caller's namespace.
    """
    names = numbered(str(parse_name(name, username=caller.name)))
    while True:
        wanted = list(islice(names, _AT_A_TIME))
        used = tasks.taken(conn, wanted) if "task" in kinds else set()
        if "dataset" in kinds:
            used |= datasets.taken(conn, wanted)
        for each in wanted:
            if each not in used:
                return each
