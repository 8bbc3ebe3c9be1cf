"""Changes that are made once, however often they are requested under the same idempotency key."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.models.users import User
from orchestra.store import answers as store
from orchestra.store.driver.database import in_transaction


def once(
    conn: psycopg.Connection, user: User, key: str, request: bytes, change: Callable[[], bytes]
) -> bytes:
    """Make a change in one transaction and return its answer, or the answer that it was given before.

    Args:
        request: a hash of what is requested.

    Raises:
        BadInput: the key was used for another request.
        OrchestraError: the change fails; the key can be used again.
    """

    def work() -> bytes:
        if not store.begin(conn, user.id, key, request):
            return _known(conn, user, key, request)
        answer = change()
        store.finish(conn, user.id, key, answer)
        return answer

    return in_transaction(conn, work)


def _known(conn: psycopg.Connection, user: User, key: str, request: bytes) -> bytes:
    found = store.known(conn, user.id, key)
    if found is None:
        raise Refused("this Idempotency-Key has just expired.", hint="Use another one.")
    if found.request != request:
        raise BadInput(
            "this Idempotency-Key was used for another request.",
            hint="A key names one request and its repetitions.",
        )
    return found.answer
