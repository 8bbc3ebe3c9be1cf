"""What Slurm is asked for an allocation."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from orchestra.domain.models.pools import PoolSpec, Submission
from orchestra.pools.engines import slurm_script

ID = UUID("7fc6d3d5-f601-4473-bd12-074781420910")
HOSTILE = "a'; echo $(touch x) \"`é\\ %j\n#SBATCH --array=1-9"
ASKED = Submission(ID, PoolSpec(), None, ("/opt/python", "-m", "orchestra"), "/data/log", 45.0)


def options(asked: Submission) -> dict[str, str]:
    pairs = (word.removeprefix("--").partition("=") for word in slurm_script.arguments(asked)[1:])
    return {name: value for name, _, value in pairs}


def test_a_pool_without_words_asks_for_one_processor() -> None:
    assert slurm_script.arguments(ASKED) == (
        "sbatch",
        "--parsable",
        f"--job-name=orchestra-{ID}",
        "--no-requeue",
        "--export=ALL",
        "--output=/data/log",
        "--open-mode=append",
        "--signal=B:TERM@45",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--cpus-per-task=1",
    )


def test_what_a_pool_asks_for() -> None:
    spec = PoolSpec(
        partition="gpu,main",
        account="lab",
        qos="high",
        constraint="a100&nvme",
        gres="gpu:a100:2,tmp:10G",
        cpus=8,
        memory_bytes=10**9 + 1,
        gpus=2,
        sbatch=("--exclude=n1", "--nice=10"),
    )
    asked = replace(ASKED, spec=spec, walltime=90061.2)
    found = options(asked)
    assert found["partition"] == "gpu,main"
    assert (found["account"], found["qos"], found["constraint"]) == ("lab", "high", "a100&nvme")
    assert found["gres"] == "gpu:a100:2,tmp:10G", "the GPUs are named there"
    assert (found["cpus-per-task"], found["mem"]) == ("8", "954M")
    assert found["time"] == "25:01:02"
    assert slurm_script.arguments(asked)[-2:] == ("--exclude=n1", "--nice=10")


def test_gpus_are_added_to_other_resources() -> None:
    assert options(replace(ASKED, spec=PoolSpec(gpus=2)))["gres"] == "gpu:2"
    assert options(replace(ASKED, spec=PoolSpec(gpus=2, gres="tmp:10G")))["gres"] == "tmp:10G,gpu:2"


def test_no_signal_is_asked_for_where_pilots_need_no_time() -> None:
    assert "signal" not in options(replace(ASKED, ending=0))
    assert options(replace(ASKED, ending=10**9))["signal"] == "B:TERM@65535"


def test_several_nodes_have_a_pilot_each() -> None:
    asked = replace(ASKED, spec=PoolSpec(nodes=3))
    assert options(asked)["nodes"] == "3"
    assert options(asked)["signal"] == "TERM@45", "to the steps, not to srun"
    assert "srun --nodes=3 --ntasks=3" in slurm_script.script(asked)


@pytest.mark.parametrize("nodes", [1, 2])
def test_the_command_comes_through_as_it_is(tmp_path: Path, nodes: int) -> None:
    command = ("printf", r"<%s>\n", HOSTILE, "$HOME", "")
    (tmp_path / "srun").write_text(
        '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
    )
    (tmp_path / "srun").chmod(0o755)
    ran = subprocess.run(
        ["bash", "-s"],
        input=slurm_script.script(replace(ASKED, command=command, spec=PoolSpec(nodes=nodes))),
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "HOME": "/home",
            "SRUN_CPUS_PER_TASK": "9",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == (f"<{HOSTILE}>\n<$HOME>\n<>\n", "")
    assert not (tmp_path / "x").exists()


def test_the_output_goes_to_the_file_whatever_its_name(tmp_path: Path) -> None:
    assert options(replace(ASKED, log="/data/100%j"))["output"] == "/data/100%%j"
    log = tmp_path / "a'; \\b %j"
    asked = replace(ASKED, command=("echo", "hello"), log=str(log))
    assert options(asked)["output"] == "/dev/null", "a backslash cannot be in a pattern"
    subprocess.run(["bash", "-s"], input=slurm_script.script(asked), text=True, check=True)
    assert log.read_text() == "hello\n"


def test_people_see_the_command_in_a_comment() -> None:
    asked = replace(ASKED, spec=PoolSpec(sbatch=("--comment=a\nrm -rf x",)), command=("true",))
    lines = slurm_script.shown(asked).splitlines()
    assert lines[0] == "#!/bin/bash"
    words = shlex.split(lines[1].removeprefix("# "))
    assert words == [*slurm_script.arguments(asked)[:-1], "--comment=a?rm -rf x"]
    assert lines[2:] == slurm_script.script(asked).splitlines()[1:]
