"""The stand-ins for Slurm's commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.fake_slurm import SILENT, UNREACHABLE, Answer, FakeSlurm, installed, refused


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return installed(tmp_path / "slurm")


def _run(slurm: FakeSlurm, *words: str, script: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={"PATH": slurm.path},
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_a_job_is_submitted_listed_cancelled_and_forgotten(slurm: FakeSlurm) -> None:
    script = "#!/bin/sh\n#SBATCH --job-name=orchestra-7\nexec true\n"
    assert _run(slurm, "sbatch", "--parsable", script=script).stdout == "101\n"
    slurm.change(7, state="RUNNING", nodes="n2", end="2026-11-26T18:00:00")
    listed = _run(slurm, "squeue", "-h", "-t", "all", "-o", "%i|%T|%r|%N|%e|%j")
    assert listed.stdout.splitlines() == [
        "101|PENDING|Priority||N/A|orchestra-7",
        "7|RUNNING|None|n2|2026-11-26T18:00:00|",
    ]
    _run(slurm, "scancel", "--state=PENDING", "101", "7", "999")
    assert {job: known["state"] for job, known in slurm.jobs().items()} == {
        "101": "CANCELLED",
        "7": "RUNNING",
    }
    slurm.forget(101)
    unknown = _run(slurm, "squeue", "-h", "-j", "101")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "slurm_load_jobs error: Invalid job id specified\n",
    )
    assert _run(slurm, "squeue", "-h", "-j", "101,7", "-o", "%i").stdout == "7\n"
    commands = [call.command for call in slurm.calls()]
    assert commands == ["sbatch", "squeue", "scancel", "squeue", "squeue"]
    assert slurm.calls("sbatch")[0].stdin == script


def test_answers_are_given_in_order_and_then_the_usual_ones(slurm: FakeSlurm) -> None:
    slurm.say("sbatch", refused("sbatch: error: busy"), Answer(err="oops\n", status=1))
    first, second, third = (_run(slurm, "sbatch", "--parsable", script="x") for _ in range(3))
    assert (first.returncode, first.stdout, first.stderr) == (1, "", "sbatch: error: busy\n")
    assert (second.returncode, second.stdout, second.stderr) == (1, "101\n", "oops\n")
    assert (third.returncode, third.stdout) == (0, "102\n")
    slurm.always("squeue", UNREACHABLE)
    assert {_run(slurm, "squeue").returncode for _ in range(2)} == {1}


def test_a_command_hangs_with_or_without_having_done_its_work(slurm: FakeSlurm) -> None:
    slurm.say("sbatch", Answer(hangs=True), SILENT)
    for _ in range(2):
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(
                [slurm.folder / "bin" / "sbatch"],
                stdin=subprocess.DEVNULL,
                timeout=0.5,
                check=False,
            )
    assert list(slurm.jobs()) == ["101"]


def test_a_real_command_is_called_unless_the_test_says_otherwise(tmp_path: Path) -> None:
    slurm = installed(tmp_path / "slurm", real={"sbatch": "/bin/cat"})
    slurm.say("sbatch", refused(), Answer(), cycle=True)
    done = [_run(slurm, "sbatch", script="a script") for _ in range(4)]
    assert [(each.returncode, each.stdout) for each in done] == [(1, ""), (0, "a script")] * 2


def test_the_configuration_says_how_processes_are_tracked(slurm: FakeSlurm) -> None:
    slurm.configure(ProctrackType="proctrack/linuxproc")
    shown = _run(slurm, "scontrol", "show", "config").stdout
    assert "ProctrackType           = proctrack/linuxproc\n" in shown
