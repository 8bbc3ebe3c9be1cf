"""The pages of users, tokens and sessions."""

from __future__ import annotations

import re

import pytest

from orchestra.interface.tokens import ListTokens
from orchestra.services.users import sign_in, tokens
from support.people import caller
from support.site import Site
from support.world import World


@pytest.fixture
def site(world: World) -> Site:
    """A site for ana, with an admin."""
    caller(world.conn, "root")
    return Site(world.conn, "ana")


def test_users_are_created_changed_and_deleted_by_admins(site: Site) -> None:
    admin = site.of("root")
    assert "New user" not in site.get("/users").text
    assert "New user" in admin.get("/users").text
    wrong = admin.post("/users", name="a b", email="b@example.org")
    assert (wrong.status, wrong.values["name"]) == (422, "a b")
    assert admin.post("/users", name="bob", email="b@example.org").location == "/users"
    assert admin.get("/users/bob").values == {
        "email": "b@example.org",
        "mail": "true",
    }
    admin.post("/users/bob", email="bob@example.org")
    assert "bob bob@example.org off" in site.get("/users").text
    assert "Their tokens end" in admin.get("/users/bob/delete").text
    admin.post("/users/bob/delete")
    assert "bob" not in site.get("/users").text
    refused = admin.post("/users/root/delete")
    assert (refused.status, "is the only admin" in refused.text) == (409, True)


def test_others_change_themselves_alone(site: Site) -> None:
    assert site.post("/users", name="eva", email="e@example.org").status == 403
    for path in ("/users/root", "/users/root/delete"):
        assert site.get(path).status == site.post(path, email="x@example.org").status == 403
    site.post("/users/ana", email="ana@lab.org", mail="true", admin="true")
    assert "ana ana@lab.org on now" in re.sub(r"\d+ s ago", "now", site.get("/users").text)
    assert site.get("/users/nobody").status == 404


def test_admins_limit_users(site: Site) -> None:
    admin, page = site.of("root"), "/users/ana/limits"
    assert page in admin.get("/users/ana").links
    assert page not in site.get("/users/ana").links
    limits = {"cpus": "40", "gpus": "2.5", "running": "", "shares": "2"}
    assert site.get(page).status == site.post(page, **limits).status == 403
    assert admin.post(page, **limits).location == "/users"
    assert "40 CPU slots, 2.5 GPUs, 2 shares" in site.get("/users").text
    assert admin.get(page).values == limits
    for name, wrong in (("cpus", "-1"), ("gpus", "many"), ("running", "0.5"), ("shares", "0")):
        refused = admin.post(page, **{**limits, name: wrong})
        assert (refused.status, refused.values[name]) == (422, wrong)
    assert admin.post(page, shares="1").location == "/users"
    assert "CPU slots" not in site.get("/users").text


def test_a_token_is_shown_once_and_revoked(site: Site) -> None:
    made = site.post("/tokens", name="<laptop>", days="7")
    (secret,) = re.findall(r"orc_\w{38}", made.html)
    assert "<laptop>" not in made.html
    (token,) = site.server.ask(site.identity, ListTokens())
    assert token.expires_at
    assert (token.name, token.account, (token.expires_at - token.created_at).days) == (
        "<laptop>",
        "ana",
        7,
    )
    listed = site.get("/tokens")
    assert secret not in listed.html
    assert f"/tokens/{token.id}/revoke" in listed.links
    assert "signed out" in site.get(f"/tokens/{token.id}/revoke").text
    assert site.of("bob").get(f"/tokens/{token.id}/revoke").status == 404
    site.post(f"/tokens/{token.id}/revoke")
    assert "revoked" in site.get("/tokens").text
    assert site.post("/tokens", name="x", days="8").status == 422
    assert site.post("/tokens", name="x" * 101, days="7").status == 422


def test_a_session_is_ended_from_another_browser(site: Site) -> None:
    ana = caller(site.conn, "ana")
    begun = sign_in.with_token(site.conn, tokens.create(site.conn, ana, None).secret)
    path = f"/sessions/{begun.session.id}/end"
    assert path in site.get("/tokens").links
    assert site.of("bob").post(path).status == 403
    assert site.post(path).location == "/tokens"
    assert path not in site.get("/tokens").links
    assert site.post(path).status == site.post("/sessions/x/end").status == 404
