"""The users on whose behalf a test acts."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from orchestra.domain.caller import Caller
from orchestra.interface.local import Local
from orchestra.services.users import users


def caller(conn: psycopg.Connection, name: str = "ana") -> Caller:
    """Return a user with the rights that they have; create them if they do not exist."""
    return Caller.of(users.ensure(conn, name, f"{name}@example.org")[0])


def as_admin(conn: psycopg.Connection, name: str = "ana") -> Caller:
    """The same, with the rights of an admin."""
    return replace(caller(conn, name), admin=True)


def interface(conn: psycopg.Connection, name: str = "ana") -> Local:
    """Return the interface that carries out a user's requests; they are created at the first one."""
    return Local(conn, name, lambda conn: caller(conn, name))
