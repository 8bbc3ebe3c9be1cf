"""What a machine has for jobs: processors and memory within quotas."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import cpu_limits, memory_limits
from orchestra.files.machine_resources import cpu_count, memory_bytes

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


def write_groups(proc: Path, own: str, mounts: str) -> None:
    (proc / "self").mkdir()
    (proc / "self/cgroup").write_text(own)
    (proc / "self/mountinfo").write_text(mounts)


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
    write_groups(tmp_path, own, f"3 1 0:2 / {tmp_path}/groups rw - {mounted}")
    assert cpu_count(tmp_path) == 1


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert cpu_count(tmp_path) == len(os.sched_getaffinity(0))


# Memory

MEMINFO = "MemTotal:       65807164 kB\nMemFree:         1234568 kB\nMemAvailable:   50331648 kB\n"
MACHINE = 65807164 * 1024
NO_LIMIT = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max\n", None),
        ("34359738368\n", 34359738368),
        (NO_LIMIT, 9223372036854771712),
        ("", None),
        ("-1\n", None),
        ("²", None),
    ],
)
def test_a_limit_of_memory_is_read(text: str, limit: int | None) -> None:
    assert memory_limits.limit(text) == limit


@pytest.mark.parametrize(
    ("meminfo", "limits", "found"),
    [
        (MEMINFO, [], MACHINE),
        (MEMINFO, [None, 2**34, 2**35], 2**34),
        (MEMINFO, [9223372036854771712], MACHINE),
        (MEMINFO, [0], MACHINE),
        ("", [2**34], None),
        ("MemTotal: lots\n", [], None),
    ],
)
def test_the_least_memory_counts(meminfo: str, limits: list[int | None], found: int | None) -> None:
    assert memory_limits.usable(memory_limits.of_machine(meminfo), limits) == found


GROUPS = {
    # A user's session: the slice above it is limited.
    "v2": (
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        "30 23 0:26 / {groups} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
        {
            "user.slice/user-1000.slice/session-2.scope/memory.max": "max\n",
            "user.slice/user-1000.slice/memory.max": "34359738368\n",
            "user.slice/user-1000.slice/memory.high": "max\n",
        },
        34359738368,
    ),
    "v2, slowed down above a limit": (
        "0::/a\n",
        "30 23 0:26 / {groups} rw - cgroup2 cgroup2 rw\n",
        {"a/memory.max": "34359738368\n", "a/memory.high": "17179869184\n"},
        17179869184,
    ),
    # An allocation of Slurm.
    "v1": (
        "9:memory:/slurm/uid_1000/job_7/step_0\n2:cpu,cpuacct:/slurm\n1:name=systemd:/x\n",
        "32 31 0:29 / /nowhere rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / {groups} rw - cgroup cgroup rw,memory\n",
        {
            "slurm/uid_1000/job_7/step_0/memory.limit_in_bytes": NO_LIMIT,
            "slurm/uid_1000/job_7/memory.limit_in_bytes": "8589934592\n",
            "slurm/memory.limit_in_bytes": NO_LIMIT,
        },
        8589934592,
    ),
    # A container that sees its own group alone.
    "v1, above the mount": (
        "9:memory:/docker/0a\n",
        "35 31 0:32 /docker/0a {groups} ro - cgroup cgroup rw,memory\n",
        {
            "memory.limit_in_bytes": NO_LIMIT,
            "memory.stat": "cache 0\nhierarchical_memory_limit 4294967296\ntotal_cache 0\n",
        },
        4294967296,
    ),
    # systemd's hybrid hierarchy: the unified one has no controllers.
    "hybrid": (
        "9:memory:/a\n0::/b\n",
        "41 31 0:38 / /nowhere rw - cgroup2 cgroup2 rw\n35 31 0:32 / {groups} rw - cgroup cgroup rw,memory\n",
        {"a/memory.limit_in_bytes": "2147483648\n"},
        2147483648,
    ),
    "none": ("0::/\n", "30 23 0:26 / {groups} rw - cgroup2 cgroup2 rw\n", {}, MACHINE),
}


@pytest.mark.parametrize("name", GROUPS)
def test_memory_is_what_every_group_above_allows(name: str, tmp_path: Path) -> None:
    own, mounts, files, found = GROUPS[name]
    groups = tmp_path / "groups"
    for path, text in files.items():
        (groups / path).parent.mkdir(parents=True, exist_ok=True)
        (groups / path).write_text(text)
    (tmp_path / "meminfo").write_text(MEMINFO)
    write_groups(tmp_path, own, mounts.format(groups=groups))
    assert memory_bytes(tmp_path) == found
