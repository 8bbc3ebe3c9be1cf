"""A small view of what runs, drawn again in its place on the terminal until Ctrl-C."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from orchestra.cli.output import Column, Output, can_draw, coloured, cut, paint
from orchestra.cli.standing import standing
from orchestra.cli.terminal import ESC
from orchestra.domain import human
from orchestra.interface.nodes import ListNodes
from orchestra.interface.tasks import ListTasks

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.nodes import Node
    from orchestra.interface.answers.tasks import TaskLine
    from orchestra.interface.operation import Interface

PAUSE = 1.0
_MOST_TASKS = 10


def watch(ctx: Context) -> None:
    """Show slots and live tasks once a second, until Ctrl-C. A database that goes away meanwhile is waited for."""
    try:
        with standing(ctx) as ask:
            _draw_again_and_again(ask)
    except KeyboardInterrupt:
        print(flush=True)


def _draw_again_and_again(ask: Interface) -> None:
    drawn = 0
    before: list[str] = []
    while True:
        lines = _lines(ask)
        if can_draw(sys.stdout):
            up = f"{ESC}[{drawn}A" if drawn else ""
            print(f"{up}{ESC}[J" + "\n".join(lines), flush=True)
            drawn = len(lines)
        elif lines != before:
            print("\n".join(lines), flush=True)
        before = lines
        time.sleep(PAUSE)


def _lines(ask: Interface) -> list[str]:
    width = shutil.get_terminal_size().columns
    tasks = [line for line in ask(ListTasks()) if _is_live(line)]
    lines = [_slots(ask(ListNodes()))]
    if not tasks:
        lines.append("no task is at work; maestro task create --help shows how to make one")
        return [cut(line, width - 1) for line in lines]
    lines += _table(tasks[:_MOST_TASKS], width)
    if len(tasks) > _MOST_TASKS:
        lines.append(f"and {human.count(len(tasks) - _MOST_TASKS, 'more task', 'more tasks')}")
    return lines


def _is_live(line: TaskLine) -> bool:
    return line.task.state.is_live


def _slots(found: tuple[Node, ...]) -> str:
    online = [node for node in found if node.online]
    cpu = f"{sum(n.cpu_in_use for n in online)} of {sum(n.cpu.enabled for n in online)} CPU slots"
    gpu = f"{sum(n.gpu_in_use for n in online)} of {sum(n.gpu.enabled for n in online)} GPU slots"
    on = "" if len(online) == 1 else f" on {human.count(len(online), 'node')}"
    return f"{cpu} and {gpu} in use{on}"


def _ends(line: TaskLine) -> str:
    if line.ends.seconds is not None:
        return human.relative(line.ends.seconds)
    return line.ends.words or "-"


_COLUMNS: tuple[Column[TaskLine], ...] = (
    Column("ID", lambda line: line.task.id, right=True),
    Column("TASK", lambda line: line.task.name),
    Column(
        "WAITING", lambda line: line.task.counts.registered + line.task.counts.assigned, right=True
    ),
    Column("RUNNING", lambda line: line.task.counts.living, right=True),
    Column("FAILED", lambda line: line.task.counts.failed, right=True),
    Column("DONE", lambda line: line.task.counts.done, right=True),
    Column("STATE", lambda line: line.task.state.value, state=True),
    Column("ENDS", _ends),
)


def _table(tasks: list[TaskLine], width: int) -> list[str]:
    text = StringIO()
    with redirect_stdout(text):
        Output().table(tasks, _COLUMNS)
    lines = [cut(line, width - 1) for line in text.getvalue().splitlines()]
    if not coloured(sys.stdout):
        return lines
    states = {line.task.state.value for line in tasks}
    return [_with_colour(line, states) for line in lines]


def _with_colour(line: str, states: set[str]) -> str:
    for state in states:
        before, found, after = line.rpartition(f"  {state} ")
        if found:
            return f"{before}  {paint(state)} {after}"
    return line
