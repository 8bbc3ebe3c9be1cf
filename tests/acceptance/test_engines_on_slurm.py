"""The engine Slurm on a real Slurm."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from orchestra.domain.models.pools import EngineReport, Phase, PoolSpec, Refusal, Submission
from orchestra.pools.engines import EngineSilent, inside
from orchestra.pools.engines.slurm import SlurmEngine
from support.slurm import Slurm
from support.waiting import wait_until

# A pilot that takes a moment to end its jobs.
PILOT = """#!/bin/bash
env -0 > "$1/$SLURMD_NODENAME"
trap 'sleep 1.5; touch "$1/$SLURMD_NODENAME.told"; exit' TERM
mv "$1/$SLURMD_NODENAME" "$1/$SLURMD_NODENAME.env"
sleep 60 & while :; do wait; done
"""


@pytest.fixture
def engine(slurm: Slurm) -> SlurmEngine:
    confusing = {
        "SLURM_JOB_ID": "77",
        "SLURM_TIME_FORMAT": "relative",
        "SBATCH_TIMELIMIT": "5",
        "SBATCH_WAIT": "1",
    }
    return SlurmEngine(
        {**os.environ, **slurm.env, **confusing, "PGPASSWORD": "secret", "TZ": "Asia/Tokyo"}
    )


@pytest.fixture
def asked(hostile_dir: Path) -> Submission:
    pilot = hostile_dir / "pilot"
    pilot.write_text(PILOT)
    pilot.chmod(0o755)
    spec = PoolSpec(cpus=2, memory_bytes=200 * 1024**2, gpus=1)
    return Submission(
        uuid4(), spec, 600, (str(pilot), str(hostile_dir)), f"{hostile_dir}/log %j", 30
    )


def report(engine: SlurmEngine, number: str) -> EngineReport:
    return engine.status([number])[number]


def submitted(engine: SlurmEngine, asked: Submission) -> str:
    assert engine.check(asked) is None
    number = engine.submit(asked)
    assert isinstance(number, str), number
    return number


def pilots(folder: Path, ending: str) -> set[str]:
    return {each.name for each in folder.glob(f"*.{ending}")}


def test_an_allocation_lives_and_ends(
    slurm: Slurm, engine: SlurmEngine, asked: Submission, hostile_dir: Path
) -> None:
    number = submitted(engine, asked)
    wait_until(lambda: pilots(hostile_dir, "env"), describe=slurm.report)
    found = report(engine, number)
    assert (found.phase, found.name) == (Phase.RUNNING, asked.name)
    (host,) = found.hosts
    lines = (hostile_dir / f"{host}.env").read_text().rstrip("\0").split("\0")
    env = {**slurm.env, **dict(line.partition("=")[::2] for line in lines)}
    here = inside.inside("slurm", env)
    assert here == inside.Inside(number, 0, host, 2, 200 * 1024**2)
    assert inside.ends_at("slurm", here, env) == found.ends_at is not None
    assert env["CUDA_VISIBLE_DEVICES"] == "0"
    assert "PGPASSWORD" not in env
    assert "SBATCH_WAIT" not in env
    engine.cancel([number], pending_only=True)
    assert report(engine, number).phase is Phase.RUNNING
    engine.cancel([number, "99999"], pending_only=False)
    wait_until(lambda: report(engine, number).phase is Phase.OVER)
    assert pilots(hostile_dir, "told") == {f"{host}.told"}
    assert "CANCELLED" in Path(asked.log).read_text()


def test_the_pilots_of_several_nodes_have_time_to_end(
    slurm: Slurm, engine: SlurmEngine, asked: Submission, hostile_dir: Path
) -> None:
    for end in (["scancel", "--batch", "--signal=TERM"], ["scancel"]):
        several = replace(asked, id=uuid4(), spec=replace(asked.spec, nodes=2))
        number = submitted(engine, several)
        wait_until(lambda: len(pilots(hostile_dir, "env")) == 2, describe=slurm.report)
        slurm(*end, number)
        wait_until(lambda number=number: report(engine, number).phase is Phase.OVER)  # type: ignore[misc]
        assert len(pilots(hostile_dir, "told")) == 2
        for each in (*hostile_dir.glob("*.env"), *hostile_dir.glob("*.told")):
            each.unlink()


def test_what_can_never_start_and_what_waits(
    slurm: Slurm, engine: SlurmEngine, asked: Submission
) -> None:
    wanted = replace(asked, spec=replace(asked.spec, constraint="nope"))
    assert engine.submit(wanted) == Refusal("Invalid feature specification", is_fatal=True)
    assert engine.check(wanted) == Refusal("Invalid feature specification", is_fatal=True)
    for node in ("n1", "n2", "n3", "n4"):
        slurm.drain(node)
    assert engine.check(asked) == Refusal("Requested node configuration is not available"), (
        "not now"
    )
    waits, never = str(engine.submit(asked)), str(engine.submit(replace(asked, walltime=10**7)))
    wait_until(lambda: report(engine, never).is_hopeless, describe=slurm.report)
    assert report(engine, never).reason in ("PartitionTimeLimit", "PartitionConfig")
    found = report(engine, waits)
    assert (found.phase, found.is_hopeless) == (Phase.WAITING, False)
    engine.cancel([waits, never, "99999"], pending_only=True)
    assert {report(engine, each).phase for each in (waits, never)} == {Phase.OVER}


@pytest.mark.parametrize("slurm", [{"settings": ["MessageTimeout=2"]}], indirect=True)
def test_a_submission_to_a_controller_that_hangs_is_found_later(
    slurm: Slurm, engine: SlurmEngine, asked: Submission
) -> None:
    assert engine.kills_all is (
        "cgroup" in slurm("scontrol", "show", "config").split("ProctrackType")[1][:30]
    )
    with slurm.frozen(), pytest.raises(EngineSilent, match="Socket timed out"):
        engine.submit(asked)
    found = wait_until(lambda: engine.status([], [asked.name]), describe=slurm.report)
    engine.cancel(list(found), pending_only=False)


@pytest.mark.parametrize(
    "slurm", [{"settings": ["KillWait=2"], "proctrack": "cgroup"}], indirect=True
)
def test_what_is_cancelled_on_a_machine_that_does_not_answer_is_not_known_to_have_ended(
    slurm: Slurm, engine: SlurmEngine, asked: Submission, hostile_dir: Path
) -> None:
    number = submitted(engine, asked)
    (host,) = wait_until(lambda: report(engine, number).hosts, describe=slurm.report)
    wait_until(lambda: pilots(hostile_dir, "env"), describe=slurm.report)
    slurm.kill_slurmd(host)
    engine.cancel([number], pending_only=False)
    # As Slurm does by itself after SlurmdTimeout.
    slurm("scontrol", "update", f"NodeName={host}", "State=DOWN", "Reason=test")
    wait_until(lambda: report(engine, number).phase is Phase.OVER, 60, slurm.report, pause=0.2)
    assert report(engine, number).is_lost
    assert pilots(hostile_dir, "told") == set()
    slurm.start_slurmd(host)
    wait_until(lambda: not [line for line in slurm.processes(host).values() if "sleep" in line], 60)
    assert report(engine, number).is_lost, "for a while longer, since that takes time"
