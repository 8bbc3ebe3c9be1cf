"""A pilot's conductor that fails begins again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestra.domain.troubles import Trouble
from orchestra.pilot.conductor_thread import run_conductor


def test_a_conductor_that_fails_or_ends_begins_again_until_it_is_to_stop() -> None:
    stop, said, begun = threading.Event(), list[Trouble | None](), list[int]()

    def conductor(event: threading.Event, say: Callable[[Trouble | None], None]) -> None:
        assert event is stop
        begun.append(1)
        match len(begun):
            case 1:
                raise RuntimeError("a mistake")
            case 2:
                raise SystemExit
            case 3:
                return
        say(None)
        stop.set()

    run_conductor(conductor, stop, said.append, pause=0.001)
    assert len(begun) == 4
    assert [trouble and trouble.text for trouble in said] == [
        "its conductor failed and is restarting: a mistake",
        "its conductor failed and is restarting: SystemExit",
        "its conductor failed and is restarting: it ended by itself",
        None,
    ]
