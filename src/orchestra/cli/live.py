"""The view that `maestro up` shows: slots and running tasks, redrawn in place on the terminal until Ctrl-C."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from orchestra.cli import table, task_list
from orchestra.cli.colour import can_draw, coloured
from orchestra.cli.reconnecting import reconnecting
from orchestra.cli.redraw import Redrawn, columns
from orchestra.domain import human
from orchestra.interface.nodes import ListNodes
from orchestra.interface.tasks import ListTasks

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.nodes import Node
    from orchestra.interface.operation import Interface

PAUSE = 1.0
_MOST_TASKS = 10


def watch(ctx: Context) -> None:
    """Show slots and live tasks once a second, until Ctrl-C; wait while the database is away."""
    try:
        with reconnecting(ctx) as ask:
            _redraw(ask)
    except KeyboardInterrupt:
        print(flush=True)


def _redraw(ask: Interface) -> None:
    block = Redrawn(sys.stdout)
    before: list[str] = []
    while True:
        lines = _lines(ask)
        if can_draw(sys.stdout):
            block.show(lines)
        elif lines != before:
            print("\n".join(lines), flush=True)
        before = lines
        time.sleep(PAUSE)


def _lines(ask: Interface) -> list[str]:
    width = columns(sys.stdout) - 1 if can_draw(sys.stdout) else None
    tasks = [line for line in ask(ListTasks()) if line.task.state.is_live]
    slots = _slots(ask(ListNodes()))
    shown = tasks[:_MOST_TASKS]
    if tasks:
        rows = table.lines(shown, task_list.layouts(shown), width, coloured=coloured(sys.stdout))
    else:
        rows = table.fold(_IDLE, width or len(_IDLE))
    lines = [*table.fold(slots, width or len(slots)), *rows]
    if more := len(tasks) - len(shown):
        lines.append(f"and {human.count(more, 'more task', 'more tasks')}")
    return lines


_IDLE = "No task is running; maestro run --help shows how to make one."


def _slots(found: tuple[Node, ...]) -> str:
    online = [node for node in found if node.online]
    cpu = f"{sum(n.cpu_in_use for n in online)} of {sum(n.cpu.enabled for n in online)} CPU slots"
    gpu = f"{sum(n.gpu_in_use for n in online)} of {sum(n.gpu.enabled for n in online)} GPU slots"
    on = "" if len(online) == 1 else f" on {human.count(len(online), 'node')}"
    return f"{cpu} and {gpu} in use{on}"
