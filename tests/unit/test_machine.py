"""The processors that a machine has for jobs, within quotas."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.cli.local.machine import cpu_count
from orchestra.domain import cpu_limits

# Processors

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/cpuset rw shared:9 - cgroup cgroup rw,cpuset\n"
)
SLICE = "/user.slice/user-1000.slice/session-2.scope"
ABOVE = [
    "user.slice/user-1000.slice/session-2.scope",
    "user.slice/user-1000.slice",
    "user.slice",
    "",
]


@pytest.mark.parametrize(
    ("own", "mounts", "folders"),
    [
        (f"0::{SLICE}", V2, [f"/sys/fs/cgroup/{each}" for each in ABOVE]),
        (
            f"4:cpu,cpuacct:{SLICE}\n3:cpuset:/other\n1:name=systemd:/x\n0::/",
            V1,
            [f"/sys/fs/cgroup/cpu,cpuacct/{each}" for each in ABOVE],
        ),
        # A container that sees its part of the hierarchy alone, by its full path, or by one from there
        (
            "2:cpu:/docker/0a/job",
            V1.replace("0:27 /", "0:27 /docker/0a"),
            ["/sys/fs/cgroup/cpu,cpuacct/job", "/sys/fs/cgroup/cpu,cpuacct"],
        ),
        ("0::/", V2, ["/sys/fs/cgroup"]),
        ("0::/../elsewhere", V2, ["/sys/fs/cgroup"]),
        ("2:cpu:/other", V1.replace("0:27 /", "0:27 /docker/0a"), ["/sys/fs/cgroup/cpu,cpuacct"]),
        # systemd's hybrid hierarchy: both
        (
            "2:cpu,cpuacct:/a\n0::/b",
            V2.replace("/cgroup rw", "/cgroup/unified rw") + V1,
            [
                *("/sys/fs/cgroup/unified/b", "/sys/fs/cgroup/unified"),
                *("/sys/fs/cgroup/cpu,cpuacct/a", "/sys/fs/cgroup/cpu,cpuacct"),
            ],
        ),
        (
            "0::/a b",
            r"30 23 0:26 / /my\040groups rw - cgroup2 none rw",
            ["/my groups/a b", "/my groups"],
        ),
        ("0::/a:b", "1 0 0:1 / / rw - ext4 /dev/sda rw", []),
        ("", "", []),
    ],
)
def test_the_control_groups_are_the_process_s_own_and_those_above(
    own: str, mounts: str, folders: list[str]
) -> None:
    assert cpu_limits.control_groups(own, mounts) == [PurePosixPath(each) for each in folders]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("max 100000", None),
        ("200000 100000", 2.0),
        ("-1 100000", None),
        ("50000 100000\n", 0.5),
        ("100000 0", None),
        ("", None),
        (" ", None),
    ],
)
def test_a_quota_is_read(text: str, allowed: float | None) -> None:
    assert cpu_limits.quota(text) == allowed


@given(st.integers(1, 512), st.lists(st.none() | st.floats(0.01, 1000)))
def test_the_narrowest_limit_counts_and_one_is_the_least(
    mine: int, quotas: list[float | None]
) -> None:
    found = cpu_limits.usable(mine, quotas)
    assert 1 <= found <= mine
    narrowest = min([mine, *(each for each in quotas if each is not None)])
    assert found <= max(1, narrowest) < found + 1


@pytest.mark.parametrize("version", [1, 2])
def test_a_quota_of_an_ancestor_counts(version: int, tmp_path: Path) -> None:
    group = tmp_path / "groups/users/ana"
    group.mkdir(parents=True)
    if version == 1:
        mounted, own = "cgroup none rw,cpu", "2:cpu:/users/ana"
        (group.parent / "cpu.cfs_quota_us").write_text("100000\n")
        (group.parent / "cpu.cfs_period_us").write_text("100000\n")
        (group / "cpu.cfs_quota_us").write_text("-1\n")
        (group / "cpu.cfs_period_us").write_text("100000\n")
    else:
        mounted, own = "cgroup2 none rw", "0::/users/ana"
        (group.parent / "cpu.max").write_text("100000 100000\n")
        (group / "cpu.max").write_text("max 100000\n")
    (tmp_path / "cgroup").write_text(own)
    (tmp_path / "mountinfo").write_text(f"3 1 0:2 / {tmp_path}/groups rw - {mounted}")
    assert cpu_count(tmp_path) == 1


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert cpu_count(tmp_path) == len(os.sched_getaffinity(0))
