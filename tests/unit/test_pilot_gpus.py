"""Which GPUs a pilot may use now, and whose processes compute on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from orchestra.domain.gpus import Gpu
from orchestra.domain.models.nodes import Device, FoundResources, Node, Slots
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.node_room import capacity, offered
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue
from orchestra.pilot import allocator, gpus
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.gpu_meter import GpuMeter
from orchestra.pilot.gpu_processes import Ours, foreign, foreign_by_memory
from orchestra.pilot.gpus import LOOK_EVERY, LOOK_SELDOM, GpuWatch, at_start, named
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState
from support import nvml
from support.nvml import Nvml

MINE = f"process {os.getpid()}"
NOBODY = Ours()


# Whose a process is


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A process that a job could have started, with the token `t` in its environment."""
    words = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    environment = {"PATH": os.environ["PATH"], "ORCHESTRA_TOKEN": "t"}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, text=True) as started:
        assert started.stdout
        started.stdout.readline()  # its environment is its own now
        yield started


def test_a_process_is_ours_below_a_keeper_or_with_a_token(process: subprocess.Popen[str]) -> None:
    gpu = Gpu("GPU-1", processes=(process.pid,))
    said = foreign(gpu, NOBODY)
    assert said
    assert said.startswith(f"process {process.pid} (python")
    assert foreign(gpu, Ours(tokens=frozenset({"other"}))) == said
    assert foreign(gpu, Ours(tokens=frozenset({"other", "t"}))) is None
    assert foreign(gpu, Ours(keepers=frozenset({os.getpid()}))) is None
    assert foreign(gpu, Ours(keepers=frozenset({process.pid}))) is None
    assert foreign(replace(gpu, processes=(process.pid, os.getpid())), Ours(tokens=frozenset("t")))


def test_a_process_that_has_ended_is_nobody_s(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    assert foreign(Gpu("GPU-1", processes=(process.pid,)), NOBODY) is None
    assert foreign(Gpu("GPU-1"), NOBODY) is None


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (Gpu("1"), None),
        (Gpu("1", used_bytes=600 << 20, processes=()), None),  # a desktop's, or the driver's
        (Gpu("1", used_bytes=0, processes=(5,)), "a process outside this container"),
        (
            Gpu("1", used_bytes=3 << 30),
            "a process outside this container (3.2 GB)",
        ),
    ],
)
def test_in_a_container_the_memory_tells(gpu: Gpu, said: str | None) -> None:
    assert foreign_by_memory(gpu) == said


def test_without_a_driver_devices_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert named() is None
    for value, devices in (("", ()), ("1,GPU-a", (Device("1"), Device("GPU-a")))):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert named() == devices


def test_a_node_offers_no_gpu_that_others_use() -> None:
    devices = (Device("A", memory_bytes=40), Device("B", memory_bytes=80, is_busy=True))
    found = FoundResources(devices=(*devices, Device("C", memory_bytes=20)))
    node = Node(1, "gauss", Slots(4, 4), Slots(2, 2), datetime.now(UTC), found=found)
    assert [room.vram_bytes for room in capacity(node).devices] == [40, 80]
    assert [room.vram_bytes for room in offered(node).devices] == [40, 20]
    assert offered(replace(node, found=FoundResources())) == Room(4, (DeviceRoom(),) * 2)


# The watch

FORTY, EIGHTY = nvml.Gpu("GPU-40"), nvml.Gpu("GPU-80", "NVIDIA H100")


@pytest.fixture
def library(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nvml:
    """The stand-in, as this machine's library, and a PID namespace in which its ids are those of /proc."""
    monkeypatch.setattr(gpus, "sees_all_processes", lambda: True)
    return nvml.installed(run_folder, tmp_path / "gpus", monkeypatch)


class FakeAgent:
    """An agent whose I/O threads work at once."""

    def __init__(self, *, gpu_slots: int = 2, avoid_busy: bool = True) -> None:
        self.state = PilotState(enabled={Queue.CPU: 0, Queue.GPU: gpu_slots})
        self.state.found = replace(self.state.found, devices=at_start())
        self.meter = GpuMeter(Path("/nowhere/gpus.json"), self.state, "boot")
        self.context = cast(
            Context,
            SimpleNamespace(
                state=self.state,
                workers=self,
                troubles={},
                unseen={"gpus"},
                adopted=True,
                gpu_meter=self.meter,
                keepers=SimpleNamespace(handles={}),
            ),
        )
        self.resumed = 0
        self.watch = GpuWatch(self.context, self._resume, avoid_busy=avoid_busy)
        self.now = monotonic()

    def _resume(self) -> None:
        self.resumed += 1

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None], _: object, **_lane: str
    ) -> None:
        then(work())

    def look(self) -> list[str]:
        """Look again; return the devices that are offered."""
        self.now += LOOK_EVERY
        self.watch.tick(self.now)
        return [device.uuid for device in allocator.devices(self.state)]

    def run_job(self, devices: str) -> LocalAttempt:
        key = AttemptKey(3, len(self.state.attempts), 1, uuid4())
        note = Note(Queue.GPU, Request(gpus=1), "/v/t", 1, None, None, None, 30.0, devices)
        self.state.add(LocalAttempt(key, uuid4(), note, Phase.RUNNING))
        return self.state.attempts[key]

    @property
    def said(self) -> list[str]:
        return [trouble.text for trouble in self.context.troubles.values()]


@pytest.fixture
def agent(library: Nvml) -> Iterator[FakeAgent]:
    found = FakeAgent()
    yield found
    found.watch.close()


def test_gpus_are_offered_once_they_were_seen(library: Nvml, agent: FakeAgent) -> None:
    library.describe(FORTY, EIGHTY)
    agent.context.adopted = False
    assert agent.look() == [], "the jobs of an earlier agent would be taken for others'"
    agent.context.adopted = True
    assert agent.context.unseen == {"gpus"}
    assert agent.look() == ["GPU-40", "GPU-80"]
    assert agent.context.unseen == set()
    assert agent.state.device_named("1") == "GPU-80"
    assert agent.look() == ["GPU-40", "GPU-80"]
    assert agent.resumed == 1
    agent.state.enabled[Queue.GPU] = 1
    assert agent.look() == ["GPU-40"]


def test_a_gpu_with_another_s_process_is_not_offered(library: Nvml, agent: FakeAgent) -> None:
    library.describe(replace(FORTY, processes=[os.getpid()]), EIGHTY)
    assert agent.look() == ["GPU-80"]
    assert [device.is_busy for device in agent.state.found.devices or ()] == [True, False]
    (said,) = agent.said
    assert said.startswith(f"GPU 0 is used by {MINE} (")
    assert said.endswith("), which is no job of this node, so no job starts on it")
    library.describe(FORTY, EIGHTY)
    resumed = agent.resumed
    assert agent.look() == ["GPU-40", "GPU-80"]
    assert (agent.said, agent.resumed) == ([], resumed + 1)


def test_the_operator_may_share_gpus_with_others(library: Nvml) -> None:
    agent = FakeAgent(avoid_busy=False)
    library.describe(replace(FORTY, processes=[os.getpid()]))
    assert agent.look() == ["GPU-40"]
    assert agent.said == []
    agent.watch.close()


def test_in_a_container_only_idle_gpus_are_judged(
    library: Nvml, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "sees_all_processes", lambda: False)
    library.describe(replace(FORTY, used=5000, processes=[4]), replace(EIGHTY, used=5000))
    attempt = agent.run_job("GPU-40")
    assert agent.look() == ["GPU-40"]
    assert agent.said == [
        "GPU 1 is used by a process outside this container (5.2 GB), so no job starts on it"
    ]
    agent.state.drop(attempt.key)
    assert agent.look() == []


def test_gpus_that_fail_or_do_not_answer_are_not_offered(
    library: Nvml, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe(replace(FORTY, lost=nvml.GPU_IS_LOST), EIGHTY)
    assert agent.look() == ["GPU-80"]
    assert agent.said == ["GPU 0 cannot be used: GPU is lost"]
    library.describe(FORTY, EIGHTY, fail={"nvmlDeviceGetCount_v2": nvml.UNKNOWN_ERROR})
    assert agent.look() == []
    assert agent.said == ["NVIDIA's driver does not work: Unknown Error"]
    library.describe(FORTY, EIGHTY)
    assert agent.look() == ["GPU-40", "GPU-80"]
    assert agent.said == []
    library.describe(FORTY, fail={"nvmlDeviceGetCount_v2": nvml.DRIVER_NOT_LOADED})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    assert agent.look() == ["3", "5"]  # as without the library
    assert agent.watch.tick(agent.now) == agent.now + LOOK_SELDOM


def test_gpus_are_looked_at_seldom_where_no_job_may_use_them(library: Nvml) -> None:
    library.describe(replace(FORTY, lost=nvml.GPU_IS_LOST))
    agent = FakeAgent(gpu_slots=0)
    begin = agent.now
    assert agent.watch.tick(begin) == float("inf")  # its end wakes the agent
    assert agent.watch.tick(begin) == begin + LOOK_SELDOM
    assert agent.said == []
    agent.state.enabled[Queue.GPU] = 1
    assert agent.watch.tick(begin) == begin + LOOK_EVERY
    agent.state.enabled[Queue.GPU] = 0
    agent.run_job("GPU-40")
    assert agent.watch.tick(begin) == begin + LOOK_EVERY
    agent.watch.close()


def test_a_job_that_has_ended_is_looked_at_once_more(
    library: Nvml, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe(replace(FORTY, util=100))
    agent.look()
    attempt = agent.run_job("GPU-40")
    measured: list[float | None] = []
    agent.meter.end(attempt, 9.0, boottime() + 60, measured.append)
    assert agent.watch.tick(agent.now + 1) == float("inf")
    assert measured == [], "that look began before its end"
    library.describe(FORTY, hang=["nvmlDeviceGetCount_v2"])
    monkeypatch.setattr(agent.watch._reader, "look", partial(agent.watch._reader.look, 0.2))
    assert agent.watch.tick(agent.now + 2) == float("inf")
    assert len(measured) == 1
