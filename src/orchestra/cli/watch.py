"""Refresh a view: in place on a terminal, otherwise whenever it has changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, TypeVar

from orchestra.cli.colour import can_draw
from orchestra.cli.reconnecting import reconnecting
from orchestra.cli.terminal import ESC

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.interface.operation import Interface

T = TypeVar("T")

PAUSE = 2.0
_CLEAR = f"{ESC}[H{ESC}[2J{ESC}[3J"


def watch(
    ctx: Context,
    read: Callable[[Interface], T],
    show: Callable[[T], None],
    *,
    over: Callable[[T], bool] = lambda _: False,
) -> None:
    """Call `read` every two seconds and `show` the result, until it is `over` or Ctrl-C.

    Waits while the database is away.
    """
    try:
        with reconnecting(ctx) as ask:
            _watch(ask, read, show, over)
    except KeyboardInterrupt:
        print(file=sys.stderr)


def _watch(
    ask: Interface,
    read: Callable[[Interface], T],
    show: Callable[[T], None],
    over: Callable[[T], bool],
) -> None:
    live = can_draw(sys.stdout)
    last = ""
    while True:
        found = read(ask)
        if live:
            print(_CLEAR, end="")
            show(found)
            sys.stdout.flush()
        else:
            last = _show_changed(lambda found=found: show(found), last)  # type: ignore[misc]
        if over(found):
            return
        time.sleep(PAUSE)


def _show_changed(show: Callable[[], None], last: str) -> str:
    text = StringIO()
    with redirect_stdout(text):
        show()
    now = text.getvalue()
    if now != last:
        print(now, flush=True)
    return now
