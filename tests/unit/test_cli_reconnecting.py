"""The interface of long commands: a question is repeated after a lost connection, a change never is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from orchestra.cli.reconnecting import PAUSE, ReconnectingInterface
from orchestra.domain.errors import DatabaseUnavailable, ServerUnavailable
from orchestra.interface.operation import Change, Question


class ReadSomething(Question[str]):
    """A question."""


class ChangeSomething(Change[str]):
    """A change."""


@dataclass
class Connection:
    """A connection with given answers; an error stands for a lost connection."""

    answers: list[str | Exception]
    closed: bool = False

    def __call__(self, _asked: Any, /) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            self.closed = True
            raise answer
        return answer

    def works(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True


@dataclass
class Database:
    """A database that can be away: the results of the attempts to reconnect."""

    attempts: list[Connection | Exception] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def interface(self, *answers: str | Exception) -> ReconnectingInterface:
        first = Connection(list(answers))
        return ReconnectingInterface(
            first, cast(Callable[[], Any], self.connect), self.notes.append, sleep=self.slept.append
        )

    def connect(self) -> Connection:
        found = self.attempts.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


AWAY = DatabaseUnavailable("the database does not answer.")


def test_a_question_is_repeated_over_a_new_connection() -> None:
    database = Database([AWAY, AWAY, Connection(["then", "later"])])
    ask = database.interface("now", AWAY)
    assert [ask(ReadSomething()), ask(ReadSomething()), ask(ReadSomething())] == [
        "now",
        "then",
        "later",
    ]
    assert database.notes == [
        "the database does not answer. Waiting for it.",
        "The database is back.",
    ]
    assert database.slept == [PAUSE] * 3


def test_a_server_that_is_away_is_called_so() -> None:
    away = ServerUnavailable("there is no server at https://o.example.org: Connection refused.")
    database = Database([away, Connection([AWAY]), Connection(["then"])])
    ask = database.interface("now", away)
    assert [ask(ReadSomething()), ask(ReadSomething())] == ["now", "then"]
    assert database.notes == [
        "there is no server at https://o.example.org: Connection refused. Waiting for it.",
        "The database is back.",  # which was away behind the server last
    ]
    ask = Database([Connection(["then"])], notes=database.notes).interface("now", away)
    assert [ask(ReadSomething()), ask(ReadSomething())] == ["now", "then"]
    assert database.notes[-1] == "The server is back."


def test_the_first_failure_is_raised() -> None:
    with pytest.raises(DatabaseUnavailable):
        Database().interface(AWAY)(ReadSomething())


def test_a_change_is_never_repeated() -> None:
    database = Database([Connection(["again"])])
    ask = database.interface("now", AWAY)
    ask(ReadSomething())
    with pytest.raises(DatabaseUnavailable):
        ask(ChangeSomething())
    assert ask(ReadSomething()) == "again"
    assert database.slept == []


def test_the_present_connection_is_closed() -> None:
    new = Connection(["then"])
    ask = Database([new]).interface("now", AWAY)
    ask(ReadSomething())
    ask(ReadSomething())
    ask.close()
    assert new.closed
