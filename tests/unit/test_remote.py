"""The interface over HTTP, with real sockets: what is said when something else answers, or nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from time import sleep
from typing import Any

import pytest

from orchestra.domain.errors import (
    ConfigurationError,
    NotFound,
    NotSignedIn,
    OrchestraError,
    ServerUnavailable,
)
from orchestra.interface import codec, problems
from orchestra.interface.me import Me
from orchestra.interface.names import FreeName
from orchestra.interface.operation import Request
from orchestra.interface.remote import Remote
from orchestra.interface.remote.link import Link, parse_address
from orchestra.interface.sessions import MakeSignInCode
from orchestra.interface.task_changes import FinishKill, HoldTask

FREE = FreeName("user.ana.fit")
ANSWER = codec.encode("user.ana.fit-2")
HUNG = b"<hung>"


@dataclass
class Stranger:
    """A server that gives these answers, one a connection, as they are; without any left, it closes connections."""

    answers: list[bytes]
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    def serve(self, listening: socket.socket) -> None:
        with closing(listening):
            while self.port:
                conn, _ = listening.accept()
                with conn:
                    answer = self.answers.pop(0) if self.answers else b""
                    if request := _request(conn):
                        self.requests.append(request)
                    if answer == HUNG:
                        conn.recv(1)
                    else:
                        conn.sendall(answer)


def _request(conn: socket.socket) -> bytes:
    text = b""
    while b"\r\n\r\n" not in text:
        part = conn.recv(1 << 16)
        if not part:
            return text
        text += part
    return text


@contextmanager
def answering(*answers: bytes) -> Iterator[Stranger]:
    listening = socket.create_server(("127.0.0.1", 0))
    found = Stranger(list(answers), port=listening.getsockname()[1])
    thread = threading.Thread(target=found.serve, args=[listening])
    thread.start()
    try:
        yield found
    finally:
        port, found.port = found.port, 0
        with suppress(ConnectionError):  # it may have ended by itself meanwhile
            socket.create_connection(("127.0.0.1", port)).close()
        thread.join(timeout=5)
        assert not thread.is_alive()


def reply(
    body: bytes = ANSWER,
    status: str = "200 OK",
    kind: str = "application/json",
    api: str | None = "1",
    **headers: str,
) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"Orchestra-Api: {api}"] if api else []
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestra.interface.remote.QUESTION_WITHIN", 0.1)
    monkeypatch.setattr("orchestra.interface.remote.CHANGE_WITHIN", 0.1)


def remote(address: str, token: str | None = None, *, answer_within: float = 5.0) -> Remote:
    where = parse_address(address, "~/.orchestra.json")
    link = Link(where, token, answer_within=answer_within)
    return Remote(link, pause=lambda _: sleep(0.02))


def error_of(asked: Request[Any], *answers: bytes, answer_within: float = 5.0) -> OrchestraError:
    with (
        answering(*answers) as server,
        closing(remote(f"http://127.0.0.1:{server.port}", answer_within=answer_within)) as ask,
        pytest.raises(OrchestraError) as caught,
    ):
        ask(asked)
    return caught.value


HTML = b"<html><h1>502 Bad Gateway</h1></html>"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(HTML, "502 Bad Gateway", "text/html", None), "does not reach the Orchestra server: 502 Bad Gateway."),
        (reply(HTML, "200 OK", "text/html", None), "is not an Orchestra server: 200 OK."),
        (reply(HTML, "404 Not Found", "text/html", None), "is not an Orchestra server: 404 Not Found."),
        (reply(b"", "301 Moved", api=None, Location="https://new.example.org/"),
         "leads to another address, which is not followed: https://new.example.org/."),
        (reply(b"", "413 Too Large", api=None), "takes no request of 0 B"),
        (reply(api="2"), "speaks version 2 of the API, and this program version 1."),
        (reply(HTML, kind="text/html"), "sent an answer that cannot be read: JSON is malformed"),
        (reply(HTML, "500 Oh", kind="text/html"), "sent an answer that cannot be read: it is text/html."),
        (reply(b'{"name": 1}'), 'sent an answer that cannot be read: expected "str", got "object".'),
        (reply(b'"half of'), "sent an answer that cannot be read: input data was truncated."),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not speak HTTP."),
        (b"\x16\x03\x01garbage\r\n\r\n" * 5, "it does not speak HTTP."),
        (b"", "the connection to the server at "),
        (reply()[:-3], "was lost: the answer ended too early."),
        (HUNG, "has not answered for "),
    ],
)  # fmt: skip
def test_what_answers_strangely_gets_one_sentence(answer: bytes, says: str) -> None:
    error = error_of(
        FREE, answer, answer, answer, answer, answer, answer, answer, answer_within=0.2
    )
    assert isinstance(error, ServerUnavailable)
    assert says in str(error)
    assert "127.0.0.1:" in str(error)
    assert "\n" not in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:1", "there is no server at http://127.0.0.1:1: Connection refused."),
        ("unix:/nowhere/socket", "there is no server at /nowhere/socket: No such file or directory."),
        ("unix:/dev/null", "there is no server at /dev/null: Connection refused."),
        ("unix:/" + "x" * 200, "there is no server at /xxx"),
        ("http://nobody.invalid", "there is no server at http://nobody.invalid: "),
    ],
)  # fmt: skip
def test_nobody_answers(address: str, says: str) -> None:
    with pytest.raises(ServerUnavailable) as caught:
        remote(address)(HoldTask(1, "x"))
    assert says in str(caught.value)
    assert "Running jobs are not affected." in str(caught.value.hint)


@pytest.mark.parametrize(
    "address",
    ["", "example.org", "example.org:80", "ftp://example.org", "http://", "http://a:b@example.org", "http://x:99999",
     "http://example.org/?a=1", "http://example.org/#a", "https://[::1", "http://exa mple.org", "unix:",
     "http://example.org\n"],
)  # fmt: skip
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r'"server" in x is not the address of a server\.'):
        parse_address(address, "x")


def test_a_question_is_asked_again_and_a_change_under_its_key() -> None:
    with (
        answering(b"", b"", reply()) as server,
        closing(remote(f"http://127.0.0.1:{server.port}/below/")) as ask,
    ):
        assert ask(FREE) == "user.ana.fit-2"
    assert len(server.requests) == 3
    assert server.requests[0].startswith(b"GET /below/api/v1/free-name?")
    changes: list[tuple[Request[Any], int]] = [(HoldTask(1, "x"), 1), (FinishKill(1), 0)]
    for asked, keys in changes:
        missing = problems.problem_of(NotFound("there is no task 1."))
        refused = reply(codec.encode(missing), "404 Not Found", problems.MEDIA_TYPE)
        with (
            answering(b"", b"", refused) as server,
            closing(remote(f"http://127.0.0.1:{server.port}")) as ask,
            pytest.raises(NotFound),
        ):
            ask(asked)
        found = [_header(each, b"Idempotency-Key") for each in server.requests]
        assert len(found) == 3
        assert len({each for each in found if each}) == keys


def test_a_change_whose_answer_has_a_secret_is_not_repeated() -> None:
    with answering() as server, closing(remote(f"http://127.0.0.1:{server.port}")) as ask:
        with pytest.raises(ServerUnavailable, match="was lost") as caught:
            ask(MakeSignInCode())
        assert "may have been made" in str(caught.value.hint)
    assert len(server.requests) == 1


def _header(request: bytes, name: bytes) -> bytes | None:
    lines = [line.partition(b": ") for line in request.split(b"\r\n")]
    return next((value for key, _, value in lines if key == name), None)


def test_a_change_without_an_answer_may_have_been_made() -> None:
    may = "The change may have been made: look before you repeat it."
    assert error_of(HoldTask(1, "x")).hint == may
    assert error_of(HoldTask(1, "x"), HUNG, answer_within=0.1).hint == may
    assert error_of(HoldTask(1, "x"), reply(b"", "502 Bad", api=None)).hint != may


def test_who_is_not_known_is_told_what_to_do() -> None:
    problem = problems.problem_of(NotSignedIn("this token has expired.", hint="Make another."))
    answer = reply(codec.encode(problem), "401 Unauthorized", problems.MEDIA_TYPE)
    error = error_of(Me(), answer)
    assert 'needs to know who you are, and the configuration has no "token".' in str(error)
    with (
        answering(answer) as server,
        closing(remote(f"http://127.0.0.1:{server.port}", "orc_x")) as ask,
        pytest.raises(NotSignedIn, match="this token has expired"),
    ):
        ask(Me())
    assert _header(server.requests[0], b"Authorization") == b"Bearer orc_x"


def test_a_request_that_was_interrupted_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with answering(reply(), reply()) as server:
        ask = remote(f"http://127.0.0.1:{server.port}")
        with monkeypatch.context() as patched:
            patched.setattr(Link, "_check_server", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ask(FREE)
        assert ask(FREE) == "user.ana.fit-2"
        ask.close()
