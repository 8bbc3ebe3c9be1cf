"""A pilot's conductor is restarted when it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestra.domain.troubles import Trouble
from orchestra.pilot.conductor_thread import run_conductor


def test_a_conductor_that_fails_or_ends_is_restarted_until_it_is_stopped() -> None:
    stop, reports, starts = threading.Event(), list[Trouble | None](), list[int]()

    def conductor(event: threading.Event, report: Callable[[Trouble | None], None]) -> None:
        assert event is stop
        starts.append(1)
        match len(starts):
            case 1:
                raise RuntimeError("a bug")
            case 2:
                raise SystemExit
            case 3:
                return
        report(None)
        stop.set()

    run_conductor(conductor, stop, reports.append, pause=0.001)
    assert len(starts) == 4
    assert [trouble and trouble.text for trouble in reports] == [
        "its conductor failed and is restarting: a bug",
        "its conductor failed and is restarting: SystemExit",
        "its conductor failed and is restarting: it ended by itself",
        None,
    ]
