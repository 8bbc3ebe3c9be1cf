"""Tokens, one-time links and sessions: who they are, until when, and whose end ends what."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest

from orchestra.domain import access_secrets
from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, NotSignedIn
from orchestra.domain.identities import Identity, UnixAccount, Via
from orchestra.domain.models.credentials import NewToken
from orchestra.services.users import sessions, sign_in, tokens, users
from orchestra.store.driver.database import connect
from orchestra.store.driver.sql import load
from support.people import caller
from support.plans import plan

HERE = UnixAccount("ana", "gauss")


@pytest.fixture
def root(conn: psycopg.Connection) -> Caller:
    """The first user, an admin."""
    return caller(conn, "root")


@pytest.fixture
def ana(conn: psycopg.Connection, root: Caller) -> Caller:
    return caller(conn, "ana")


@pytest.fixture
def token(conn: psycopg.Connection, ana: Caller) -> NewToken:
    return tokens.create(conn, ana, HERE, name="laptop")


def age(conn: psycopg.Connection, table: str, seconds: float, *columns: str) -> None:
    """Move the times of a table into the past."""
    moved = ", ".join(f"{each} = {each} - make_interval(secs => %(s)s)" for each in columns)
    conn.execute(f"update {table} set {moved}", {"s": seconds})


def identified(conn: psycopg.Connection, secret: str) -> str:
    """The user whom a token identifies, or why it does not."""
    try:
        return tokens.identify(conn, secret).user.name
    except NotSignedIn as error:
        return str(error)


# Tokens


def test_a_token_identifies_its_user_and_carries_the_account_that_made_it(
    conn: psycopg.Connection, token: NewToken
) -> None:
    who = tokens.identify(conn, token.secret)
    assert (who.user.name, who.admin, who.via) == ("ana", False, Via.TOKEN)
    assert (who.account, who.host, who.unix) == ("ana", "gauss", HERE)
    assert who.caller == Caller(who.user, False)
    assert token.token.start == token.secret[:8]
    stored = conn.execute("select t::text from api_token t").fetchall()
    assert token.secret[8:] not in str(stored)


def test_a_wrong_token_is_told_without_the_database(token: NewToken) -> None:
    broken: psycopg.Connection = object()  # type: ignore[assignment]
    for wrong in ("", "hello", token.secret[:-1], token.secret.swapcase()):
        with pytest.raises(NotSignedIn, match="not a token"):
            tokens.identify(broken, wrong)


def test_a_token_works_until_it_expires_or_is_revoked(
    conn: psycopg.Connection, ana: Caller, token: NewToken
) -> None:
    short = tokens.create(conn, ana, None, seconds=60)
    assert short.token.expires_at is not None
    assert short.token.works(datetime.now(UTC))
    assert identified(conn, short.secret) == "ana"
    age(conn, "api_token", 61, "expires_at")
    assert identified(conn, short.secret) == 'this token of user "ana" has expired.'
    assert tokens.revoke(conn, ana, token.token.id).revoked_at
    assert identified(conn, token.secret) == 'this token of user "ana" was revoked.'
    tokens.revoke(conn, ana, token.token.id)
    assert identified(conn, access_secrets.new_token()) == "this token is not known here."
    assert [each.id for each in tokens.of_user(conn, ana)] == [token.token.id, short.token.id]


def test_its_use_is_noted_once_a_minute(conn: psycopg.Connection, token: NewToken) -> None:
    def used() -> tuple[object, ...] | None:
        return conn.execute("select last_used_at, xmin::text from api_token").fetchone()

    assert token.token.last_used_at is None
    tokens.identify(conn, token.secret)
    first = used()
    tokens.identify(conn, token.secret)
    assert used() == first
    age(conn, "api_token", 61, "last_used_at")
    tokens.identify(conn, token.secret)
    assert used() != first


def test_an_admin_s_rights_need_an_admin_and_a_token_that_has_them(
    conn: psycopg.Connection, root: Caller, ana: Caller
) -> None:
    def may(made: NewToken) -> bool:
        return tokens.identify(conn, made.secret).admin

    full, small = (tokens.create(conn, root, None, admin=given) for given in (True, False))
    assert (may(full), may(small)) == (True, False)
    early = tokens.create(conn, ana, None)
    users.change(conn, root, "ana", admin=True)
    users.change(conn, root, "root", admin=False)
    assert (may(full), may(early)) == (False, False)
    few = Caller(caller(conn, "ana").user, admin=False)
    assert not may(tokens.create(conn, few, None)), "a token with fewer rights makes no other"


def test_a_token_for_somebody_else_carries_no_account(
    conn: psycopg.Connection, root: Caller, ana: Caller
) -> None:
    made = tokens.create(conn, root, UnixAccount("root", "gauss"), user="ana")
    assert (made.token.user, made.token.account, made.token.admin) == ("ana", None, False)
    with pytest.raises(NotAllowed, match='but you are "ana"'):
        tokens.create(conn, ana, HERE, user="root")
    with pytest.raises(NotFound, match='no user "bob"'):
        tokens.create(conn, root, None, user="bob")


def test_a_token_made_with_a_token_does_not_outlive_it(
    conn: psycopg.Connection, ana: Caller
) -> None:
    first = tokens.create(conn, ana, HERE, seconds=60)
    through = tokens.identify(conn, first.secret)
    for seconds in (None, 3600.0):
        later = tokens.create(conn, ana, through.unix, seconds=seconds, through=through)
        assert later.token.expires_at == first.token.expires_at
        assert later.token.account == "ana"
    assert tokens.create(conn, ana, HERE, seconds=3600).token.expires_at != first.token.expires_at


@pytest.mark.parametrize(
    "wrong",
    [{"name": "x" * 101}, {"name": "a\nb"}, {"name": "\0"}, {"seconds": 0.5}, {"seconds": 1e12}],
)
def test_bad_input_makes_no_token(
    conn: psycopg.Connection, ana: Caller, wrong: dict[str, object]
) -> None:
    with pytest.raises(BadInput):
        tokens.create(conn, ana, None, **wrong)  # type: ignore[arg-type]
    assert tokens.of_user(conn, ana) == []


def test_others_see_and_revoke_no_token(
    conn: psycopg.Connection, root: Caller, ana: Caller, token: NewToken
) -> None:
    bob = caller(conn, "bob")
    asks: tuple[Callable[[], object], ...] = (
        lambda: tokens.of_user(conn, bob, "ana"),
        lambda: tokens.of_everybody(conn, bob),
        lambda: tokens.revoke(conn, bob, token.token.id),
    )
    for ask in asks:
        with pytest.raises(NotAllowed):
            ask()
    with pytest.raises(NotFound, match="no token 999"):
        tokens.revoke(conn, bob, 999)
    assert (
        tokens.of_user(conn, root, "ana")
        == tokens.of_everybody(conn, root)
        == tokens.of_user(conn, ana)
    )


def test_tokens_go_with_their_user(conn: psycopg.Connection, root: Caller, token: NewToken) -> None:
    sign_in.with_token(conn, token.secret)
    sign_in.make_code(conn, caller(conn, "ana"), HERE)
    users.delete(conn, root, "ana")
    assert identified(conn, token.secret) == "this token is not known here."


# One-time links


def session_of(conn: psycopg.Connection, cookie: str) -> Identity:
    found = sessions.identify(conn, cookie)
    assert found is not None
    return found


def test_a_link_signs_in_once(conn: psycopg.Connection, root: Caller) -> None:
    code = sign_in.make_code(conn, root, HERE)
    begun = sign_in.with_code(conn, code.code)
    who = session_of(conn, begun.secret)
    assert (who.user.name, who.admin, who.unix, who.via) == ("root", True, HERE, Via.SESSION)
    for again in (code.code, "no code", "\ud800"):
        with pytest.raises(NotSignedIn, match="has been used"):
            sign_in.with_code(conn, again)


def test_a_link_works_for_a_minute(conn: psycopg.Connection, ana: Caller) -> None:
    code = sign_in.make_code(conn, ana, None)
    assert 55 < (code.expires_at - datetime.now(UTC)).total_seconds() <= 60
    age(conn, "sign_in_code", 61, "expires_at")
    with pytest.raises(NotSignedIn):
        sign_in.with_code(conn, code.code)
    assert sessions.own(conn, ana) == []


def test_of_two_who_use_a_link_at_once_one_is_signed_in(
    conn: psycopg.Connection, database_url: str, ana: Caller
) -> None:
    code = sign_in.make_code(conn, ana, None).code
    ready, begun, refused = threading.Barrier(2), [], []

    def one() -> None:
        with connect(database_url) as mine:
            ready.wait(20)
            try:
                begun.append(sign_in.with_code(mine, code))
            except NotSignedIn as error:
                refused.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(begun), len(refused)) == (1, 1)
    assert len(sessions.own(conn, ana)) == 1


def test_a_browser_makes_no_link(conn: psycopg.Connection, ana: Caller, token: NewToken) -> None:
    who = session_of(conn, sign_in.with_token(conn, token.secret).secret)
    with pytest.raises(NotAllowed, match="a browser cannot"):
        sign_in.make_code(conn, ana, None, through=who)


# Sessions


def test_a_session_slides_and_ends_after_thirty_days(conn: psycopg.Connection, ana: Caller) -> None:
    cookie = sign_in.with_code(conn, sign_in.make_code(conn, ana, HERE).code).secret
    times = ("created_at", "last_seen_at", "idle_at", "ends_at")
    for _ in range(65):  # 32.5 days in steps that a session survives
        age(conn, "web_session", 12 * 3600 - 60, *times)
        if sessions.identify(conn, cookie) is None:
            break
    lasted = conn.execute("select now() - created_at, now() >= ends_at from web_session").fetchone()
    assert lasted is not None
    assert (lasted[0].days, lasted[1]) == (30, True)
    assert sessions.own(conn, ana) == []


def test_a_session_ends_without_use(conn: psycopg.Connection, token: NewToken) -> None:
    cookie = sign_in.with_token(conn, f" {token.secret}\n").secret
    assert session_of(conn, cookie).token == token.token.id
    age(conn, "web_session", 12 * 3600 + 1, "last_seen_at", "idle_at")
    assert sessions.identify(conn, cookie) is None


def test_sessions_end_with_their_token(
    conn: psycopg.Connection, ana: Caller, token: NewToken
) -> None:
    through = tokens.identify(conn, token.secret)
    link = sign_in.make_code(conn, ana, HERE, through=through)
    cookies = [
        sign_in.with_token(conn, token.secret).secret,
        sign_in.with_code(conn, link.code).secret,
    ]
    unused = sign_in.make_code(conn, ana, HERE, through=through)
    assert all(sessions.identify(conn, each) for each in cookies)
    tokens.revoke(conn, ana, token.token.id)
    assert not any(sessions.identify(conn, each) for each in cookies)
    with pytest.raises(NotSignedIn):
        sign_in.with_code(conn, unused.code)
    short = tokens.create(conn, ana, None, seconds=60)
    begun = sign_in.with_token(conn, short.secret)
    assert begun.session.ends_at == short.token.expires_at


def test_a_session_is_ended_by_its_user(conn: psycopg.Connection, ana: Caller) -> None:
    first, second = (
        sign_in.with_code(conn, sign_in.make_code(conn, ana, None).code) for _ in range(2)
    )
    sessions.sign_out(conn, first.secret)
    assert sessions.identify(conn, first.secret) is None
    assert [each.id for each in sessions.own(conn, ana)] == [second.session.id]
    with pytest.raises(NotAllowed):
        sessions.end(conn, caller(conn, "bob"), second.session.id)
    sessions.end(conn, ana, second.session.id)
    with pytest.raises(NotFound):
        sessions.end(conn, ana, second.session.id)


def test_a_request_reads_one_row_of_the_tokens_or_sessions(
    conn: psycopg.Connection, ana: Caller
) -> None:
    conn.execute(
        "insert into api_token (person_id, name, hash, start, admin) "
        "select %s, '', decode(md5(n::text), 'hex'), '', false from generate_series(1, 5000) n",
        [ana.user.id],
    )
    conn.execute(
        "insert into web_session (person_id, hash, admin, idle_at, ends_at) "
        "select person_id, hash, false, now() + '1 h', now() + '1 h' from api_token"
    )
    conn.execute("analyze api_token; analyze web_session")
    for file, table in (("access/tokens", "api_token"), ("access/sessions", "web_session")):
        found = plan(conn, load(file).identify, {"hash": b"x" * 16})
        assert f"{table}_hash_key" in found.indexes
        assert found.buffers < 20
