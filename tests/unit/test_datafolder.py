"""Where a database may be, and whose it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.config import load
from orchestra.domain.errors import BadInput, ConfigurationError, Refused, VolumeError
from orchestra.homefolder import expanded
from orchestra.store.postgres.datafolder import (
    Host,
    claim_for,
    default_folder,
    make_private,
    network_file_system,
)

LOCAL = "/dev/vda / ext4 rw 0 0\n"
GAUSS = Host("machine-1", "boot-1", "gauss")


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *[
            (kind, True)
            for kind in ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "afs")
        ],
        *[(kind, True) for kind in ("fuse.sshfs", "fuse.glusterfs", "fuse.something-new")],
        *[(kind, False) for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk")],
        ("fuse.gocryptfs", False),
    ],
)
def test_network_file_systems_are_recognised(tmp_path: Path, kind: str, network: bool) -> None:
    mounts = f"{LOCAL}server:/home {tmp_path} {kind} rw 0 0\n"
    wanted = kind if network else ""
    assert network_file_system(tmp_path / "not" / "yet", mounts=mounts) == wanted


def test_the_innermost_and_topmost_mount_counts(tmp_path: Path) -> None:
    (tmp_path / "local disk").mkdir()
    escaped = str(tmp_path / "local disk").replace(" ", "\\040")
    mounts = f"{LOCAL}server:/ {tmp_path} nfs4 rw 0 0\n/dev/sdb {escaped} xfs rw 0 0\n"
    assert network_file_system(tmp_path / "local disk", mounts=mounts) == ""
    assert network_file_system(tmp_path / "local", mounts=mounts) == "nfs4"
    assert network_file_system(tmp_path, mounts=f"{mounts}/dev/sdc {tmp_path} ext4 rw 0 0\n") == ""


def test_a_home_on_nfs_gives_a_folder_on_local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1004)
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_folder(mounts=LOCAL) == (Path("/home/ana/.local/share/orchestra"), "")
    monkeypatch.setenv("XDG_DATA_HOME", "/data/ana")
    assert default_folder(mounts=LOCAL) == (Path("/data/ana/orchestra"), "")
    folder, why = default_folder(mounts=f"{LOCAL}server:/ / nfs4 rw 0 0\n")
    assert folder == Path("/var/tmp/orchestra-1004")
    assert why == "/data/ana/orchestra is on nfs4, which no database may use"


@pytest.mark.parametrize("home", [None, "", "/"])
def test_without_a_home_there_is_a_folder_all_the_same(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2_000_000_001)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    folder, why = default_folder(mounts=LOCAL)
    assert folder == Path("/var/tmp/orchestra-2000000001")
    assert "no entry for uid 2000000001 in passwd" in why


def test_a_path_below_a_home_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("geteuid", "getuid"):
        monkeypatch.setattr(os, name, lambda: 2_000_000_001)
    monkeypatch.delenv("HOME", raising=False)
    assert load(environ={}).path is None
    with pytest.raises(BadInput, match="no home folder is known for ~"):
        expanded("~/x")
    with pytest.raises(ConfigurationError, match="begins with ~, but no home folder is known"):
        load(environ={"MAESTRO_VOLUME": "~/x"})


def test_root_has_a_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_folder(mounts=LOCAL) == (Path("/var/lib/orchestra"), "")


def test_the_stamp_follows_the_machine(tmp_path: Path) -> None:
    claim_for(tmp_path, GAUSS, left_running=False)
    claim_for(tmp_path, GAUSS, left_running=True)
    rebooted = Host("machine-1", "boot-2", "gauss")
    claim_for(tmp_path, rebooted, left_running=True)
    renamed = Host("machine-1", "boot-3", "gauss2")
    claim_for(tmp_path, renamed, left_running=False)


@pytest.mark.parametrize(
    ("other", "left_running"),
    [
        (Host("machine-2", "boot-2", "euler"), False),
        (Host("machine-2", "boot-1", "gauss"), False),
        # a diskless node of the same image, while the first one's server may be alive
        (Host("machine-1", "boot-2", "euler"), True),
    ],
)
def test_another_machine_is_refused(tmp_path: Path, other: Host, left_running: bool) -> None:
    claim_for(tmp_path, GAUSS, left_running=False)
    before = (tmp_path / "host.json").read_bytes()
    with pytest.raises(Refused, match="belongs to the machine gauss"):
        claim_for(tmp_path, other, left_running=left_running)
    assert (tmp_path / "host.json").read_bytes() == before


def test_a_stamp_cut_short_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"machine_id": "mach')
    claim_for(tmp_path, GAUSS, left_running=False)
    with pytest.raises(Refused):
        claim_for(tmp_path, Host("machine-2", "boot-1", "euler"), left_running=False)


def test_a_folder_that_stands_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o755)
    make_private(tmp_path / "mine", mode=0o700)
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
    make_private(tmp_path / "new" / "er", mode=0o700)
    assert (tmp_path / "new" / "er").stat().st_mode & 0o777 == 0o700
    with pytest.raises(VolumeError):
        make_private(Path("/tmp"), mode=0o700)
