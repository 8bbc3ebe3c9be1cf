"""Every operation that requires a right, as the owner, as another user and as an admin."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from orchestra.domain.errors import BadInput, NotAllowed
from orchestra.domain.identities import UnixAccount
from orchestra.interface.operation import Request
from orchestra.interface.table import OPERATIONS, Operation, Who
from orchestra.interface.user_changes import CreateUser
from orchestra.services.users import tokens, users
from support.asgi import InProcess
from support.people import caller
from support.rights import ADMIN, CASES, OTHER, Case, scene
from support.world import World

pytestmark = pytest.mark.servers(
    "embedded"
)  # test_openapi.py calls every operation on the other one

TAKES_A_RIGHT = [each for each in OPERATIONS if each.changes or each.who is not Who.ANYBODY]
OTHERS_MAY = {Who.ANYBODY: True, Who.OWNER: False, Who.SELF: False, Who.ADMIN: False}
OWNERS_MAY = {Who.ANYBODY: True, Who.OWNER: True, Who.SELF: True, Who.ADMIN: False}


def test_there_is_an_expectation_for_every_operation_that_takes_a_right() -> None:
    assert set(CASES) == {operation.name for operation in TAKES_A_RIGHT}


@pytest.mark.parametrize("operation", TAKES_A_RIGHT, ids=lambda operation: operation.name)
def test_the_table_says_who_may(operation: Operation) -> None:
    """If there are several cases, the first is the usual one."""
    usual = CASES[operation.name][0]
    assert (OTHER in usual.may) is OTHERS_MAY[operation.who]
    assert (usual.owner in usual.may) is OWNERS_MAY[operation.who]
    assert all(ADMIN in case.may for case in CASES[operation.name][:1])


@pytest.mark.parametrize("operation", TAKES_A_RIGHT, ids=lambda operation: operation.name)
def test_who_may_and_who_is_refused(world: World, operation: Operation) -> None:
    """Over a connection, and over HTTP with a token; nobody may do anything there."""
    there = scene(world)
    server = InProcess(world.conn)
    secrets = {user.name: secret_of(world.conn, user.name) for user in users.everybody(world.conn)}
    before = rows(world.conn)
    for case in CASES[operation.name]:
        for me in (case.owner, OTHER, ADMIN):
            asked = case.ask(replace(there, me=me))
            assert type(asked) is operation.request
            assert server.ask(asked, None).status == 401
            ways = [partial(ask_directly, world)]
            if me in secrets:
                ways.append(partial(ask_over_http, server, secrets[me]))
            for ask in ways:
                with world.conn.transaction(force_rollback=True):
                    refusal = ask(me, asked)
                    changed = rows(world.conn) != before
                check(case, me, refusal)
                assert changed is (operation.changes and refusal is None), (me, asked)
    assert rows(world.conn) == before


def secret_of(conn: psycopg.Connection, name: str) -> str:
    """A token of a user, whose use is not noted within a minute."""
    secret = tokens.create(conn, caller(conn, name), UnixAccount(name, "gauss")).secret
    conn.execute("update api_token set last_used_at = now()")
    return secret


def ask_directly(world: World, me: str, asked: Request[Any]) -> str | None:
    """Make a request, and return why it was refused."""
    try:
        world.interface(me)(asked)
    except (NotAllowed, BadInput) as error:
        return str(error)
    return None


def ask_over_http(server: InProcess, secret: str, _me: str, asked: Request[Any]) -> str | None:
    """Make a request, and return why it was refused."""
    answer = server.ask(asked, secret)
    if answer.status == 409 and "already exists" in answer.json["detail"]:
        assert type(asked) is CreateUser, "who has a token is a user already"
        return None
    assert answer.status in (200, 403, 422), answer
    return None if answer.status == 200 else str(answer.json["detail"])


def check(case: Case, me: str, refusal: str | None) -> None:
    if me in case.may:
        assert refusal is None, f"{me}: {refusal}"
    else:
        assert refusal is not None, f"{me} may"
        assert case.refusal.format(me=me) in refusal


def rows(conn: psycopg.Connection) -> list[tuple[str, str]]:
    """The content of every table."""
    tables = [
        name
        for (name,) in conn.execute(
            "select table_name from information_schema.tables "
            "where table_schema = 'orchestra' and table_type = 'BASE TABLE' order by 1"
        )
    ]
    query = " union all ".join(
        f"select '{name}', md5(coalesce(string_agg(t::text, '' order by t::text), '')) from orchestra.\"{name}\" t"
        for name in tables
    )
    return conn.execute(query).fetchall()
