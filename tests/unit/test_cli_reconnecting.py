"""What commands that go on for long ask: a question is asked again after the database was away, a change never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from orchestra.cli.reconnecting import PAUSE, ReconnectingInterface
from orchestra.domain.errors import DatabaseUnavailable
from orchestra.interface.operation import Change, Question


class Look(Question[str]):
    """A question."""


class Act(Change[str]):
    """A change."""


@dataclass
class Connection:
    """Answers with what it was told to; an error is a connection that was lost."""

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
class Site:
    """A database that is away and comes back: what the tries to connect anew give."""

    tries: list[Connection | Exception] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def standing(self, *answers: str | Exception) -> ReconnectingInterface:
        first = Connection(list(answers))
        return ReconnectingInterface(
            first, cast(Callable[[], Any], self.connect), self.said.append, sleep=self.slept.append
        )

    def connect(self) -> Connection:
        found = self.tries.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


AWAY = DatabaseUnavailable("the database does not answer.")


def test_a_question_is_asked_again_over_a_new_connection() -> None:
    site = Site([AWAY, AWAY, Connection(["then", "later"])])
    ask = site.standing("now", AWAY)
    assert [ask(Look()), ask(Look()), ask(Look())] == ["now", "then", "later"]
    assert site.said == ["the database does not answer. Waiting for it.", "The database is back."]
    assert site.slept == [PAUSE] * 3


def test_who_begins_is_told_at_once() -> None:
    with pytest.raises(DatabaseUnavailable):
        Site().standing(AWAY)(Look())


def test_a_change_is_never_made_twice() -> None:
    site = Site([Connection(["again"])])
    ask = site.standing("now", AWAY)
    ask(Look())
    with pytest.raises(DatabaseUnavailable):
        ask(Act())
    assert ask(Look()) == "again"
    assert site.slept == []


def test_the_connection_that_stands_is_closed() -> None:
    new = Connection(["then"])
    ask = Site([new]).standing("now", AWAY)
    ask(Look())
    ask(Look())
    ask.close()
    assert new.closed
