"""The Slurm that tests run on is like one of several machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.slurm import Slurm
from support.waiting import wait_until

TRACKED = [{"proctrack": "cgroup"}, {"proctrack": "linuxproc"}]


@pytest.mark.parametrize("slurm", TRACKED, indirect=True, ids=["cgroup", "linuxproc"])
def test_each_node_is_a_machine(
    slurm: Slurm, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "out-$SLURMD_NODENAME"
    look = "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; ls /tmp/mine; echo done; touch /tmp/mine"
    job = slurm.sbatch(
        f"(setsid sleep 4321 &); srun sh -c '({look}) > {out}'; sleep 600", "--nodes=2", "--time=5"
    )
    written = [tmp_path / "out-n1", tmp_path / "out-n2"]
    wait_until(
        lambda: all(path.exists() and len(path.read_text().split()) == 4 for path in written), 20
    )
    first, second = (path.read_text().split() for path in written)
    assert [first[0], second[0]] == ["n1", "n2"]
    assert all(a != b for a, b in zip(first[:3], second[:3], strict=True))
    assert not Path("/tmp/mine").exists()
    assert "sleep 4321" in str(slurm.processes("n1"))
    slurm("scancel", job)
    slurm.wait_for(job, "CANCELLED")
    goes_on = "linuxproc" in request.node.callspec.id  # it has left the batch script's process tree
    wait_until(lambda: ("4321" in str(slurm.processes("n1"))) == goes_on, 20)
