"""The server's application as browsers and programs meet it: signing in, and what it refuses."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orchestra.api.endpoints import Endpoint
from orchestra.domain.access_secrets import new_token
from orchestra.domain.identities import UnixAccount
from orchestra.services.users import sign_in, tokens
from orchestra.wiring.server import endpoints
from support.asgi import Answer, InProcess
from support.people import caller

ME = "/api/v1/me"
TOKENS = "/api/v1/tokens"
HERE: Any = {"sec_fetch_site": "same-origin"}


@pytest.fixture
def server(conn: psycopg.Connection) -> InProcess:
    caller(conn, "root")
    caller(conn, "ana")
    return InProcess(conn, cluster="0f7f5e6e-1234")


@pytest.fixture
def token(conn: psycopg.Connection, server: InProcess) -> str:
    return tokens.create(conn, caller(conn, "ana"), UnixAccount("ana", "gauss")).secret


def link(conn: psycopg.Connection) -> str:
    """The code of a one-time link for ana."""
    return sign_in.make_code(conn, caller(conn, "ana"), UnixAccount("ana", "gauss")).code


def enter(server: InProcess, **form: str) -> Answer:
    return server("POST", "/in", form=form, **HERE)


def test_without_a_token_everything_but_health_and_signing_in_is_401(server: InProcess) -> None:
    opened = set()
    for each in endpoints():
        path = each.path.replace("{version}", "x").replace("{name:rest}", "page.js")
        answer = server(each.method, path.replace("{", "").replace("}", ""))
        if answer.status != 401:
            opened.add(f"{each.method} {each.path}")
            assert each.open
    assert opened <= {
        "GET /in", "POST /in", "POST /sign-out", "GET /static/{version}/{name:rest}",
        "GET /healthz", "GET /readyz", "GET /metrics",
    }  # fmt: skip
    assert "GET /in" in opened
    page = server("GET", "/nodes?x=1", accept="text/html")
    assert (page.status, b'name="then" value="/nodes?x=1"' in page.body) == (401, True)


def test_endpoints_are_closed_by_default() -> None:
    assert not Endpoint("GET", "/x", lambda _: None).open


def test_a_link_signs_in_once_and_signing_out_ends_the_session(
    conn: psycopg.Connection, server: InProcess
) -> None:
    code = link(conn)
    begun = enter(server, code=code, then="/nodes")
    assert (begun.status, begun.headers["location"]) == (303, "/nodes")
    assert begun.cookie.startswith("orchestra-0f7f5e6e=")
    for word in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=25919"):
        assert word in begun.headers["set-cookie"]
    assert server("GET", ME, cookie=begun.cookie).json["name"] == "ana"
    again = enter(server, code=code)
    assert (again.status, "set-cookie" in again.headers) == (401, False)
    assert b"has been used" in again.body
    out = server("POST", "/sign-out", cookie=begun.cookie, **HERE)
    assert out.headers["location"] == "/in"
    assert server("GET", ME, cookie=begun.cookie).status == 401
    assert server("POST", "/sign-out", **HERE).headers["location"] == "/in"


def test_a_token_that_is_pasted_signs_in(server: InProcess, token: str) -> None:
    begun = enter(server, token=f" {token} ", then="//evil.example")
    assert begun.headers["location"] == "/"
    assert server("GET", ME, cookie=begun.cookie).json["name"] == "ana"
    assert enter(server, token="orc_wrong").status == 401
    assert enter(server).status == 401


def test_with_tls_the_cookie_is_bound_to_the_host(server: InProcess, token: str) -> None:
    begun = server("POST", "/in", form={"token": token}, scheme="https", **HERE)
    assert begun.cookie.startswith("__Host-orchestra-0f7f5e6e=")
    assert "Secure" in begun.headers["set-cookie"]
    assert server("GET", ME, cookie=begun.cookie, scheme="https").status == 200
    plain = begun.cookie.removeprefix("__Host-")
    assert server("GET", ME, cookie=plain, scheme="https").status == 401


def test_other_sites_cannot_act_with_the_cookie(
    conn: psycopg.Connection, server: InProcess, token: str
) -> None:
    cookie = enter(server, token=token).cookie
    body = json.dumps({"name": "x"}).encode()

    def made(**headers: Any) -> int:
        before = conn.execute("select count(*) from api_token").fetchone()
        answer = server("POST", TOKENS, body=body, **headers)
        after = conn.execute("select count(*) from api_token").fetchone()
        assert (answer.status == 200) is (before != after)
        return answer.status

    assert made(cookie=cookie) == 403
    assert made(cookie=cookie, sec_fetch_site="cross-site") == 403
    assert made(cookie=cookie, origin="https://evil.example") == 403
    assert made(cookie=cookie, origin="http://127.0.0.1:8765") == 200
    assert made(cookie=cookie, **HERE) == 200
    assert made(authorization=f"Bearer {token}", origin="https://evil.example") == 200
    assert server("POST", "/in", form={"token": token}, sec_fetch_site="cross-site").status == 403
    for method in ("OPTIONS", "GET"):
        answer = server(method, ME, origin="https://evil.example", cookie=cookie)
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_another_host_name_is_421(server: InProcess, token: str) -> None:
    for path in (ME, "/in", "/nowhere"):
        assert server("GET", path, token=token, host="evil.example:8765").status == 421
    assert server("GET", ME, token=token, host="lab.localhost:1234").status == 200


def test_after_ten_wrong_tokens_there_is_429_but_for_who_has_a_right_one(
    server: InProcess, token: str
) -> None:
    answers = [
        server("GET", ME, token=new_token(), x_forwarded_for=f"10.0.0.{n}") for n in range(20)
    ]
    assert [each.status for each in answers] == [401] * 10 + [429] * 10
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert enter(server, code="wrong").status == 429
    assert server("GET", ME, token=token).status == 200
    assert enter(server, token=token).status == 303


def test_every_answer_has_the_headers_that_protect_it(server: InProcess, token: str) -> None:
    for answer in (
        server("GET", ME, token=token),
        server("GET", ME),
        server("GET", "/in"),
        server("GET", "/nowhere"),
        server("GET", "/users", token=token),
    ):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"


def test_nobody_can_send_much(server: InProcess) -> None:
    assert server("POST", "/in", body=b"x" * 100_000, **HERE).status == 422


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


def test_no_secret_is_kept_or_logged(
    conn: psycopg.Connection, server: InProcess, token: str, logged: pytest.LogCaptureFixture
) -> None:
    code = link(conn)
    cookie = enter(server, code=code).cookie
    made = server("POST", TOKENS, body=b"{}", token=token, idempotency_key="one").json["secret"]
    sent = server("POST", "/api/v1/sign-in-codes", body=b"{}", token=made).json["code"]
    server("GET", "/tokens", cookie=cookie, accept="text/html")
    server("GET", "/api/v1/tasks/x/results?where=%", token=made)
    kept = "\n".join(
        str(conn.execute(f'select t::text from orchestra."{name}" t').fetchall())
        for (name,) in conn.execute(
            "select table_name from information_schema.tables "
            "where table_schema = 'orchestra' and table_type = 'BASE TABLE'"
        ).fetchall()
    )
    shown = server("GET", "/tokens", cookie=cookie).body.decode()
    for secret in (token, code, cookie.partition("=")[2], made, sent):
        assert secret not in kept + logged.text + shown
        assert secret.encode().hex() not in kept
