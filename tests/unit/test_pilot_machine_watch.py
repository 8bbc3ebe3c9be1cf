"""What an agent does when its machine changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any

from orchestra.domain.models.nodes import FoundResources
from orchestra.pilot import machine_watch
from orchestra.pilot.machine_watch import LOOK_EVERY, MachineWatch
from orchestra.pilot.state import PilotState


def test_a_change_is_noted_once_and_work_is_looked_for() -> None:
    looks: list[tuple[Callable[[FoundResources], None], Callable[[Exception], None]]] = []
    resumed: list[int] = []
    context: Any = SimpleNamespace(
        unseen={"machine"},
        state=PilotState(),
        lent=None,
        workers=SimpleNamespace(submit=lambda _, then, failed, **__: looks.append((then, failed))),
    )
    watch = MachineWatch(context, lambda: resumed.append(1))
    here = FoundResources(cpus=8, memory_bytes=2**36)
    assert watch.tick(100.0) == watch.tick(200.0) == inf, "one look at a time"
    [(then, _)] = looks
    then(here)
    assert context.state.found == here
    assert context.unseen == set()
    known = context.state.found
    assert watch.tick(100.0 + LOOK_EVERY - 1) == 100.0 + LOOK_EVERY
    watch.tick(100.0 + LOOK_EVERY)
    then(replace(here))
    assert context.state.found is known, "the database knows this one"
    watch.tick(100.0 + 2 * LOOK_EVERY)
    looks[-1][1](OSError("no"))
    watch.tick(100.0 + 3 * LOOK_EVERY)
    then(replace(here, memory_bytes=2**35))
    assert context.state.found.memory_bytes == 2**35
    assert len(resumed) == 2


def test_this_machine_has_processors_and_memory() -> None:
    found = machine_watch.look()
    assert found.cpus
    assert found.memory_bytes
    assert found.architecture
