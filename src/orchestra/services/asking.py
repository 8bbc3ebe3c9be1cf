"""Asking the database again and again, by somebody who does not care over which connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import psycopg

T = TypeVar("T")


class Ask(Protocol):
    """Carries out work that only reads, over a connection that stands at the moment."""

    def __call__(self, work: Callable[[psycopg.Connection], T], /) -> T:
        """Give what the work gives."""


def over(conn: psycopg.Connection) -> Ask:
    """Ask over one connection, as long as that stands."""

    def ask(work: Callable[[psycopg.Connection], T], /) -> T:
        return work(conn)

    return ask
