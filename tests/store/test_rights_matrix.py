"""Every operation that requires a right, as the owner, as another user and as an admin."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from orchestra.domain.errors import BadInput, NotAllowed, OrchestraError
from orchestra.interface.table import OPERATIONS, Operation, Who
from support.rights import ADMIN, CASES, OTHER, Case, scene
from support.world import World

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
    there = scene(world)
    for case in CASES[operation.name]:
        for me in (case.owner, OTHER, ADMIN):
            asked = case.ask(replace(there, me=me))
            assert type(asked) is operation.request
            before = rows(world.conn)
            refusal = None
            with world.conn.transaction(force_rollback=True):
                try:
                    world.interface(me)(asked)
                except (NotAllowed, BadInput) as error:
                    refusal = error
                changed = rows(world.conn) != before
            check(case, me, refusal)
            assert changed is (operation.changes and refusal is None), (me, asked)


def check(case: Case, me: str, refusal: OrchestraError | None) -> None:
    if me in case.may:
        assert refusal is None, f"{me}: {refusal}"
    else:
        assert refusal is not None, f"{me} may"
        assert case.refusal.format(me=me) in str(refusal)


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
