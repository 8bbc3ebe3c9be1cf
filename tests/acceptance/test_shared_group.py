"""A group's folder hands its group and its set-group-ID bit down to all that is made in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestra.domain.states import TaskState
from orchestra.files import sweeps
from orchestra.services import datasets
from support.cluster import Cluster
from support.ordinary import Ordinary
from support.people import caller

GROUP = 47110
pytestmark = pytest.mark.needs("root")


def shared(folder: Path, mode: int = 0o2770) -> Path:
    folder.mkdir()
    os.chown(folder, -1, GROUP)
    folder.chmod(mode)
    return folder


def check(top: Path) -> list[str]:
    """Make sure of all that lies below a folder; gives the names."""
    found = sorted(top.rglob("*"))
    for path in (top, *found):
        facts = path.lstat()
        assert facts.st_gid == GROUP, path
        assert not stat.S_ISDIR(facts.st_mode) or facts.st_mode & stat.S_ISGID, path
    return [str(path.relative_to(top)) for path in found]


def sweep(cluster: Cluster, folder: Path) -> None:
    ana = caller(cluster.conn)
    planned = sweeps.plan_of({"grid": {"n": [1, 2]}}, Path("the sweep"))
    sweeps.create(
        *("user.ana.grid", planned, folder),
        lambda manifest: datasets.register(cluster.conn, ana, "user.ana.grid", manifest),
    )


def test_what_jobs_and_sweeps_write_is_the_group_s(cluster: Cluster) -> None:
    volume = shared(cluster.folder / "volume")
    sweep(cluster, volume / "configs")
    cluster.node(cpu=2)
    command = ": %DATA %IN %OUT; mkdir -p a/b; echo x > a/b/c; [ $ORCHESTRA_ATTEMPT = 2 ]"
    task = cluster.task(2, command, config="user.ana.grid", retries=1, volume=volume)
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE, 60)
    names = check(volume)
    assert f"{task.name}/.attempts/job_configId_1/2/a/b/c" in names
    assert {"configs/0_n=1.json", f"{task.name}/job_configId_0"} <= set(names)


def test_a_folder_that_was_given_for_a_sweep_keeps_its_group(
    cluster: Cluster, ordinary: Ordinary
) -> None:
    given = shared(cluster.folder / "given", 0o2750)
    sweep(cluster, given)
    assert len(check(given)) == 2
    assert stat.S_IMODE(given.stat().st_mode) == 0o2750
    assert datasets.find(cluster.conn, "user.ana.grid").files == 2
    # Somebody who is not in the group, in a folder that everybody may write into.
    everybody = shared(ordinary.home / "shared", 0o2777)
    done = ordinary.python(
        "from pathlib import Path\n"
        "from orchestra.files.sweeps import _new_folder, _put_into_place\n"
        f"folder = Path({str(everybody)!r}, 'configs')\n"
        "with _new_folder(folder) as beside:\n"
        "    (beside / 'sub').mkdir()\n"
        "    _put_into_place(beside, folder)\n"
    )
    assert done.returncode == 0, done.stderr
    assert check(everybody) == ["configs", "configs/sub"]
