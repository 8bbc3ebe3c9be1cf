"""Which variables an engine's commands, pilots in allocations, and their jobs get; what pilots read there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestra.domain.errors import Refused
from orchestra.pools.engines import EngineSilent, environments, inside
from support import fake_slurm

SESSION = {
    "PATH": "/usr/bin",
    "HOME": "/home/ana",
    "LOADEDMODULES": "gcc/13",
    "BASH_FUNC_module%%": "() { :; }",
    "LANG": "de_DE.UTF-8",
    "SLURM_CONF": "/etc/slurm.conf",
    "SLURM_CLUSTERS": "alpha",
    "SLURM_JOB_ID": "5",
    "SLURM_MEM_PER_CPU": "100",
    "SLURM_TIME_FORMAT": "relative",
    "SBATCH_ACCOUNT": "lab",
    "SBATCH_ARRAY_INX": "1-9",
    "SBATCH_WAIT": "1",
    "SQUEUE_FORMAT": "%i",
    "SCANCEL_INTERACTIVE": "1",
    "CUDA_VISIBLE_DEVICES": "0",
    "GPU_DEVICE_ORDINAL": "0",
    "TMPDIR": "/scratch/5",
    "SSH_CONNECTION": "x",
    "MAESTRO_DATABASE_URL": "secret",
    "PGPASSWORD": "secret",
}


def test_commands_answer_the_same_everywhere() -> None:
    found = environments.for_commands(SESSION)
    assert (found["LC_ALL"], found["TZ"], found["SLURM_TIME_FORMAT"]) == ("C", "UTC0", "standard")
    kept = {name for name in found if name.startswith(("S", "MAESTRO", "PG"))}
    assert kept == {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT", "SSH_CONNECTION"}


def test_pilots_have_the_environment_of_their_submission_without_its_session() -> None:
    assert environments.for_pilots(SESSION) == {
        name: SESSION[name]
        for name in (
            "PATH",
            "HOME",
            "LOADEDMODULES",
            "BASH_FUNC_module%%",
            "LANG",
            "SLURM_CONF",
            "SLURM_CLUSTERS",
            "SBATCH_ACCOUNT",
        )
    }


def test_all_commands_ask_the_cluster_to_which_sbatch_submits() -> None:
    environ = SESSION | {"SBATCH_CLUSTERS": "beta"}
    assert environments.for_commands(environ)["SLURM_CLUSTERS"] == "beta"
    assert environments.for_pilots(environ)["SLURM_CLUSTERS"] == "beta"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        *(
            (name, True)
            for name in ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURMD_NODENAME", "SRUN_DEBUG")
        ),
        *(
            (name, True)
            for name in ("SBATCH_ACCOUNT", "PMI_RANK", "PMIX_NAMESPACE", "GPU_DEVICE_ORDINAL")
        ),
        *((name, True) for name in ("ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")),
        *(
            (name, False)
            for name in ("CUDA_VISIBLE_DEVICES", "PATH", "MY_SLURM", "OMP_NUM_THREADS")
        ),
    ],
)
def test_which_variables_are_the_allocations(name: str, answer: bool) -> None:
    assert environments.is_allocations("slurm", name) is answer


def test_a_pilot_reads_its_share() -> None:
    env = {
        "SLURM_JOB_ID": "216",
        "SLURM_RESTART_COUNT": "2",
        "SLURMD_NODENAME": "n1",
        "SLURM_CPUS_ON_NODE": "4",
        "SLURM_MEM_PER_CPU": "100",
    }
    assert inside.inside("slurm", env) == inside.Inside("216", 2, "n1", 4, 400 * 1024**2)
    of_node = env | {"SLURM_MEM_PER_NODE": "200"}
    assert inside.inside("slurm", of_node).memory_bytes == 200 * 1024**2
    whole = env | {"SLURM_MEM_PER_NODE": "0", "SLURM_MEM_PER_CPU": "0"}
    assert inside.inside("slurm", whole).memory_bytes is None


@pytest.mark.parametrize("env", [{}, {"SLURM_JOB_ID": ""}, {"SLURM_JOB_ID": "x"}])
def test_outside_of_an_allocation(env: dict[str, str]) -> None:
    for engine in ("slurm", "local"):
        with pytest.raises(Refused, match="not in an allocation"):
            inside.inside(engine, env)


def test_the_end_is_asked_for_again(tmp_path: Path) -> None:
    slurm = fake_slurm.installed(tmp_path / "slurm")
    env = {"PATH": slurm.path, "SLURM_JOB_ID": "216", "TZ": "America/New_York"}
    here = inside.inside("slurm", env)
    slurm.always("squeue", fake_slurm.Answer(out="2026-11-26T17:51:15\n"))
    assert inside.ends_at("slurm", here, env) == datetime(2026, 11, 26, 17, 51, 15, tzinfo=UTC)
    assert slurm.calls("squeue")[0].environment["TZ"] == "UTC0"
    slurm.always("squeue", fake_slurm.UNREACHABLE)
    with pytest.raises(EngineSilent, match="Unable to contact slurm controller"):
        inside.ends_at("slurm", here, env)


def test_the_end_where_no_squeue_is() -> None:
    env = {"PATH": "/nowhere", "SLURM_JOB_ID": "216", "SLURM_JOB_END_TIME": "1795715475"}
    here = inside.inside("slurm", env)
    assert inside.ends_at("slurm", here, env) == datetime(2026, 11, 26, 17, 51, 15, tzinfo=UTC)
    assert inside.ends_at("slurm", here, {"PATH": "/nowhere"}) is None
