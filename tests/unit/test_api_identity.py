"""Who a request is from: names of the server, pages of other sites, peers of the socket, failed attempts."""

from __future__ import annotations

import os

import pytest

from orchestra.api.limits import MOST, Failures
from orchestra.api.origin import check_host, check_origin
from orchestra.api.peers import Peer, check_peer, program_of
from orchestra.domain.errors import CrossSite, NotSignedIn, TooManyAttempts, WrongHost

NAMES = {"gauss", "lab.example.org"}


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8765", "127.0.0.1:8765", "[::1]", "[::1]:80", "lab.localhost:1234", "GAUSS:1",
        "lab.example.org", "lab.example.org.", "10.1.2.3:443",
    ],
)  # fmt: skip
def test_a_server_answers_under_its_names_whatever_the_port(host: str) -> None:
    check_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example", "evil.example:8765", "localhost.evil.example", "notlocalhost", "gauss.evil.example",
        "gauss:x", "a@gauss", "gauss/x", "127.0.0.1.evil.example", "[::1", "x localhost",
    ],
)  # fmt: skip
def test_and_under_no_other(host: str | None) -> None:
    with pytest.raises(WrongHost):
        check_host(host, NAMES)


HERE, EVIL = {"host": "gauss:8765"}, "https://evil.example"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("headers", "with_cookie", "without"),
    [
        ({}, False, True),
        ({"sec-fetch-site": "same-origin"}, True, True),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True, True),
        ({"sec-fetch-site": "same-site"}, False, False),
        ({"sec-fetch-site": "cross-site"}, False, False),
        ({"sec-fetch-site": "none"}, False, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://gauss:8765"}, False, False),
        ({"origin": "http://gauss:8765"}, True, True),
        ({"origin": "https://gauss:8765"}, True, True),
        ({"origin": "http://gauss:9999"}, False, False),
        ({"origin": EVIL}, False, False),
        ({"origin": "null"}, False, False),
        ({"origin": ""}, False, False),
    ],
)
def test_a_change_by_a_browser_must_come_from_here(
    method: str, headers: dict[str, str], with_cookie: bool, without: bool
) -> None:
    for ambient, may in ((True, with_cookie), (False, without)):
        try:
            check_origin(method, {**HERE, **headers}, ambient=ambient)
        except CrossSite:
            assert not may
        else:
            assert may


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_may_begin_with_a_link_elsewhere(method: str) -> None:
    check_origin(method, {**HERE, "sec-fetch-site": "cross-site", "origin": EVIL}, ambient=True)


def refused(program: str, *headers: str, trust_ssh: bool = False) -> str:
    try:
        check_peer(Peer(1, 1000), dict.fromkeys(headers, "x"), trust_ssh=trust_ssh, program=program)
    except NotSignedIn as error:
        return str(error)
    return ""


def test_a_peer_that_passes_on_what_others_send_proves_nobody() -> None:
    assert refused("maestro") == refused("python3", "accept") == ""
    for program in ("sshd", "sshd-session"):
        assert "this tunnel" in refused(program)
        assert refused(program, trust_ssh=True) == ""
    for trust_ssh in (False, True):
        assert "proxy" in refused("nginx", trust_ssh=trust_ssh)
        assert "proxy" in refused("sshd", "x-forwarded-for", trust_ssh=True)
        assert "cannot see" in refused("", trust_ssh=trust_ssh)


def test_the_kernel_names_a_peer_s_program() -> None:
    assert program_of(Peer(os.getpid(), os.getuid()))
    assert program_of(Peer(2**22 + 1, 0)) == ""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_ten_failures_a_minute_are_too_many_by_address_and_by_token() -> None:
    clock = Clock()
    failures = Failures(clock)
    for number in range(MOST):
        failures.note("from a", f"with {number}")
        clock.now += 1
    with pytest.raises(TooManyAttempts) as found:
        failures.note("from a", "with another")
    assert found.value.params == {"seconds": 50}
    failures.note("from b", "with another")
    for number in range(MOST):
        failures.note(f"from {number}", "with the same")
    with pytest.raises(TooManyAttempts):
        failures.note("from c", "with the same")
    clock.now += 60
    failures.note("from a", "with the same")


def test_failures_are_forgotten_when_there_are_too_many_keys() -> None:
    failures = Failures(Clock())
    for number in range(30_000):
        failures.note(f"from {number}")
    assert len(failures._times) == 10_000
