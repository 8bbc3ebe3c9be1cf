"""A pilot on a machine with three GPUs, of which a stand-in for NVIDIA's library tells."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from pathlib import Path

from orchestra.domain.models.tasks import Resources
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.interface.jobs import ShowJob
from orchestra.interface.nodes import GetNode
from support import nvml
from support.cluster import Cluster
from support.waiting import wait_until

FIRST = nvml.Gpu("GPU-11111111-1111", util=100)
SECOND = nvml.Gpu("GPU-22222222-2222", "NVIDIA H100", util=50)
BUSY = nvml.Gpu("GPU-33333333-3333", processes=[os.getpid()])
"""With a process that is no job: this one."""


def test_gpus_are_shared_and_never_overcommitted(
    cluster: Cluster, run_folder: Path, tmp_path: Path
) -> None:
    library = nvml.made(run_folder, tmp_path / "gpus")
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    library.describe(FIRST, BUSY, SECOND)
    cluster.node(cpu=0, gpu=3)
    note = f"$(date +%s%N) $CUDA_VISIBLE_DEVICES >> {shlex.quote(str(trace))}"
    begin, end = (f"echo {sign}$ORCHESTRA_TASK {note}; " for sign in "+-")
    wait = f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done; "
    command = f": %DATA %IN %OUT; {begin}{wait}{end}"
    data, half = cluster.data(), Resources(gpu_milli=500)
    halves = cluster.task(4, command, data=data, queue=Queue.GPU, resources=half)
    whole = cluster.task(
        1, command, name="whole", data=data, queue=Queue.GPU, resources=Resources(gpus=1)
    )
    cluster.pilot(env=dict(library.environment))

    def begun() -> list[str]:
        lines = trace.read_text().splitlines() if trace.exists() else []
        return [line for line in lines if line.startswith("+")]

    wait_until(lambda: len(begun()) == 4, describe=cluster.log)
    assert Counter(line.split()[2] for line in begun()) == {FIRST.uuid: 2, SECOND.uuid: 2}
    assert cluster.jobs(whole) == [JobState.ASSIGNED]
    gate.touch()
    cluster.wait_for(halves, TaskState.DONE)
    cluster.wait_for(whole, TaskState.DONE)

    taken = Counter[str]()
    for sign, _, device in sorted(map(str.split, trace.read_text().splitlines()), key=_moment):
        milli = 1000 if sign[1:] == str(whole.id) else 500
        taken[device] += milli if sign[0] == "+" else -milli
        assert 0 <= taken[device] <= 1000
    assert set(taken) == {FIRST.uuid, SECOND.uuid}

    ask = cluster.interface()
    for job in range(4):
        (attempt,) = ask(ShowJob(f"{halves.id}/{job}")).attempts
        models = {FIRST.uuid: FIRST.name, SECOND.uuid: SECOND.name}
        assert attempt.device_models == (models[attempt.devices or ""],)
        assert attempt.usage.gpu_seconds is not None
        assert 0 < attempt.usage.gpu_seconds <= (attempt.seconds or 0) / 2 + 0.001
    wait_until(lambda: "GPU 1 is used by" in (ask(GetNode("gauss")).message or ""))


def _moment(line: list[str]) -> int:
    return int(line[1])
