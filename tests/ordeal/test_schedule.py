"""A schedule is a function of its seed, and contains every kind of fault."""

from __future__ import annotations

from ordeal.faults import Faults
from ordeal.schedule import plan


def test_schedule_is_determined_by_its_seed() -> None:
    assert plan(7, 40.0) == plan(7, 40.0)
    assert plan(7, 40.0) != plan(8, 40.0)


def test_every_fault_occurs_and_can_be_injected() -> None:
    steps = [step for seed in range(40) for step in plan(seed, 40.0, restore=True).steps]
    steps += plan(7, 40.0, mishaps=6.0).steps
    kinds = {step.what for step in steps}
    assert kinds == {name[1:] for name in vars(Faults) if name[1:] in kinds}
    assert kinds >= {
        "submit", "wish", "kill", "stop", "net", "kill_database", "kill_backend", "stop_database", "fight", "full",
        "kill_job", "kill_conductor", "leave", "keep_database", "restore_database",
        "mishap",
    }  # fmt: skip


def test_unreliable_network_has_every_fault() -> None:
    steps = [step.args for step in plan(7, 40.0, mishaps=6.0).steps if step.what == "mishap"]
    assert {(step["what"], step["way"]) for step in steps} == {
        (what, way)
        for what in ("cut", "silence", "delay", "truncate", "repeat", "garble")
        for way in ("up", "down")
    }


def test_calm_schedule_only_submits() -> None:
    assert {step.what for step in plan(3, 40.0, calm=True).steps} == {"submit"}
