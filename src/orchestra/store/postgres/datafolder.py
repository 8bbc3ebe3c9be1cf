"""The data folder of the embedded database: on a local disk, and used by one machine."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.domain.errors import Refused, VolumeError
from orchestra.homefolder import home_folder, make_own, why_none

_NAME_ANOTHER = 'Name another folder: "data_dir" in the configuration.'
# fmt: off
_NETWORK = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "daos", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "vboxsf", "wekafs",
})
# fmt: on
# Every other file system in user space may use a network (sshfs, s3fs, gluster, JuiceFS, ...).
_LOCAL_FUSE = frozenset({"fuse.encfs", "fuse.fuse-overlayfs", "fuse.gocryptfs", "fuse.ntfs-3g"})


@dataclass(frozen=True, slots=True)
class Host:
    """The identity of this machine and of its current boot."""

    machine_id: str
    boot_id: str
    name: str


def default_folder(*, mounts: str | None = None) -> tuple[Path, str]:
    """Return the default data folder, and why it is not the usual one ("" if it is)."""
    uid = os.geteuid()
    without_home = Path(f"/var/tmp/orchestra-{uid}")  # noqa: S108 - made private, or refused
    if uid == 0:
        usual = Path("/var/lib/orchestra")
    else:
        home = home_folder()
        share = os.environ.get("XDG_DATA_HOME") or (home and home / ".local" / "share")
        if share is None:
            return without_home, why_none()
        usual = Path(share) / "orchestra"
    if kind := network_file_system(usual, mounts=mounts):
        return without_home, f"{usual} is on {kind}, which no database may use"
    return usual, ""


def network_file_system(folder: Path, *, mounts: str | None = None) -> str:
    """Return the type of network file system that a folder is or would be on, such as "nfs4"; "" for a local disk."""
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    kind = _mounted_as(nearest.resolve(), _read_mounts() if mounts is None else mounts)
    if kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        return kind
    return ""


def make_private(folder: Path, *, mode: int) -> None:
    """Create a folder that only this user can write to, or check an existing one.

    Raises:
        VolumeError: it cannot be created, is a symlink in a shared folder, or others can write to it.
    """
    try:
        make_own(folder.parent, 0o755)
        try:
            folder.mkdir()
            folder.chmod(mode)  # whatever the umask is
        except FileExistsError:
            facts = folder.stat()
            # In /tmp and /var/tmp, another user could have created it first.
            if (
                not stat.S_ISDIR(facts.st_mode)
                or facts.st_uid != os.geteuid()
                or facts.st_mode & 0o022
            ):
                raise VolumeError(
                    f"{folder} is not a folder that only you can write to, so no database is put there.",
                    hint=_NAME_ANOTHER,
                ) from None
    except OSError as error:
        raise VolumeError(
            f"{folder} cannot be created or used for the database: {error.strerror}.",
            hint=_NAME_ANOTHER,
        ) from error


def this_host() -> Host:
    """Read the identity of this machine. A machine without an id is identified by its name."""
    return Host(
        machine_id=_read("/etc/machine-id")
        or _read("/var/lib/dbus/machine-id")
        or os.uname().nodename,
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        name=os.uname().nodename,
    )


def claim_for(folder: Path, host: Host, *, left_running: bool) -> None:
    """Stamp a data folder with the machine that uses it; renew the stamp after a reboot.

    `left_running` says that the database there was never stopped. Diskless nodes can share one machine id: one with
    another name and another boot may be reading a folder whose database runs on the first.

    Raises:
        Refused: it belongs to another machine. A second server on the same files would destroy them.
    """
    path = folder / "host.json"
    owner = _stamped(path)
    if owner is not None and _is_another(owner, host, left_running):
        raise Refused(
            f"the database in {folder} belongs to the machine {owner.name}; {host.name} does not touch it.",
            hint='Work there, give this machine its own "data_dir", or share one PostgreSQL ("postgres"). '
            f"If {owner.name} is this machine under an earlier name, remove {path}.",
        )
    if owner != host:
        beside = path.with_suffix(".new")
        beside.touch(mode=0o644)
        beside.write_text(json.dumps(asdict(host)) + "\n", encoding="utf-8")
        os.replace(beside, path)


def another_owner(folder: Path) -> str | None:
    """Return the name of the machine that a data folder belongs to; None if this one may use it. Changes nothing."""
    owner, host = _stamped(folder / "host.json"), this_host()
    # Whether its database was stopped does not matter here: after a reboot of this machine the boot id
    # differs.
    return owner.name if owner and _is_another(owner, host, left_running=False) else None


def _is_another(owner: Host, host: Host, left_running: bool) -> bool:
    if owner.machine_id != host.machine_id:
        return True
    return left_running and owner.boot_id != host.boot_id and owner.name != host.name


def _stamped(path: Path) -> Host | None:
    try:
        return Host(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return None  # truncated by a full disk, which does not rule this machine out


def _mounted_as(path: Path, mounts: str) -> str:
    kind, depth = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        # /proc/mounts escapes spaces and the like as octal; the last line of a mount point is the topmost
        # mount
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1])
        inside = f"{path}/".startswith(point.rstrip("/") + "/")
        if inside and len(point) >= depth:
            kind, depth = fields[2], len(point)
    return kind


def _read_mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # no /proc: not Linux


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""
