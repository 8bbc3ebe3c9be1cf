"""Task selection: numbers, names and ranges become ids."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.job_address import parse_task
from orchestra.domain.models.selection import Selection
from orchestra.domain.models.tasks import Task
from orchestra.domain.nearest import nearest_name
from orchestra.domain.wording import Action, Field, Sentence, words
from orchestra.store.tasks import tasks as store


def find(conn: psycopg.Connection, word: str) -> Task:
    """Return the task with a number or a name.

    Raises:
        BadInput: it is neither.
        NotFound: there is no such task; suggests a similar name.
    """
    meant = parse_task(word)
    if isinstance(meant, int):
        task = store.by_id(conn, meant)
    else:
        task = store.by_name(conn, meant)
    if task is None:
        raise _unknown(conn, meant)
    return task


def find_ids(conn: psycopg.Connection, selection: Selection) -> list[int]:
    """Return the selected ids, each once, in the order in which they were typed.

    Raises:
        BadInput: nothing was selected, or only one end of a range.
        NotFound: one of the tasks does not exist, or a range is empty.
    """
    ids = [_id(conn, word) for word in selection.words]
    ids += _between(conn, selection.first, selection.last)
    if not ids:
        raise BadInput(
            "which task?",
            hint=words("Give its number or its name; ", Action.LIST_TASKS, " shows both."),
        )
    return list(dict.fromkeys(ids))


def _id(conn: psycopg.Connection, word: str) -> int:
    meant = parse_task(word)
    if isinstance(meant, int):
        found = store.ids_between(conn, meant, meant)
        known = found[0] if found else None
    else:
        known = store.id_of_name(conn, meant)
    if known is None:
        raise _unknown(conn, meant)
    return known


def _between(conn: psycopg.Connection, first: int | None, last: int | None) -> Sequence[int]:
    if first is None and last is None:
        return ()
    if first is None or last is None:
        raise BadInput(
            words(Field.FIRST, " and ", Field.LAST, " belong together; one of them is missing.")
        )
    if first > last:
        raise BadInput(words(Field.FIRST(first), " is greater than ", Field.LAST(last), "."))
    found = store.ids_between(conn, first, last)
    if not found:
        raise NotFound(f"there is no task from {first} to {last}.", hint=_newest(conn), kind="task")
    return found


def _unknown(conn: psycopg.Connection, meant: int | str) -> NotFound:
    if isinstance(meant, int):
        return NotFound(f"there is no task {meant}.", hint=_newest(conn), kind="task", task=meant)
    guess = nearest_name(meant, store.names(conn))
    question = f' Did you mean "{guess}"?' if guess else ""
    return NotFound(
        f'there is no task "{meant}".{question}', hint=_newest(conn), kind="task", name=meant
    )


def _newest(conn: psycopg.Connection) -> Sentence:
    newest = store.newest_id(conn)
    if newest is None:
        return words("There are no tasks yet: ", Action.CREATE_TASK)
    return words(f"The newest is task {newest}; ", Action.LIST_ALL_TASKS, " shows all.")
