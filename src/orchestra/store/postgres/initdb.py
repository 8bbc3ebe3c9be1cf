"""Creating an embedded database: its folders, its files, its password."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path

from orchestra.domain.errors import DatabaseUnavailable, Refused
from orchestra.store.postgres import initdb_user
from orchestra.store.postgres import programs as pginstall
from orchestra.store.postgres.postmaster import NAME, Place
from orchestra.store.postgres.programs import Programs

_NOTE = ".note"
_EARLIER = ".of"  # written by earlier versions, which mistake files for orphans when their data folder is not mounted
_SOCKET_PATH_LIMIT = 107  # the kernel's limit for <folder>/.s.PGSQL.<port>


def make_server_folder(place: Place, programs: Programs) -> None:
    """Create the part of the folder that belongs to the server.

    If root's server account cannot enter the data folder (root's home, a private folder in /tmp), it contains a
    symlink, and the files are next to the account's programs.
    """
    account = programs.account
    if place.server.exists():
        if account and place.link.is_symlink():
            _note(place.server, place.data)  # it may be a copy, or from an earlier version
        return
    if account is None:
        place.link.mkdir(mode=0o700)
        return
    place.link.unlink(missing_ok=True)  # a symlink to files that are gone
    folder, home = place.link, place.data.resolve()
    if not all(parent.stat().st_mode & 0o001 for parent in [home, *home.parents]):
        _remove_orphans()
        folder = pginstall.SHARED / "databases" / secrets.token_hex(6)
        folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    os.chown(folder, account.uid, account.gid)
    if folder != place.link:
        place.link.symlink_to(folder)
        _note(
            folder, place.data
        )  # last, because files with a note and no symlink to them are orphans


def _note(folder: Path, data: Path) -> None:
    """Record which data folder files belong to, in a file with a hard link in that folder.

    The kernel counts the links: the second one exists as long as the folder does, wherever it was moved, mounted or
    not. On another file system there can be none; then there is no note, and the files are never removed.
    """
    note, second_link = folder.with_suffix(_NOTE), data / f"server{_NOTE}"
    folder.with_suffix(_EARLIER).unlink(missing_ok=True)
    if note.exists() and second_link.exists() and note.samefile(second_link):
        return
    for name in (note, second_link):
        name.unlink(missing_ok=True)
    note.write_bytes(os.fsencode(data.resolve()))
    try:
        os.link(note, second_link)
    except OSError:
        note.unlink()


def _remove_orphans() -> None:
    """Remove databases whose data folder was removed."""
    for note in (pginstall.SHARED / "databases").glob(f"*{_NOTE}"):
        folder = note.with_suffix("")
        if _was_removed(note, folder) and not any(folder.glob("pg*/postmaster.pid")):
            shutil.rmtree(folder, ignore_errors=True)
            forget(folder)


def _was_removed(note: Path, folder: Path) -> bool:
    try:
        if note.stat().st_nlink > 1:
            return False
        link = Path(
            os.fsdecode(note.read_bytes()), "server"
        )  # of a folder that was restored from a backup
    except FileNotFoundError:
        return False  # another command was faster
    return not link.is_symlink() or link.readlink() != folder


def forget(folder: Path) -> None:
    """Remove the notes about files that are gone."""
    for suffix in (_NOTE, _EARLIER):
        folder.with_suffix(suffix).unlink(missing_ok=True)


def socket_folder(place: Place, programs: Programs) -> Path:
    """Create the private folder of the server's socket: in the data folder or, if its path is too long, in /tmp.

    Not in XDG_RUNTIME_DIR, which is emptied when its user logs out, while the server runs on.
    """
    server = place.server.resolve()
    folder = server / "socket"
    # Commas separate hosts and folders in lists, and an @ has another meaning.
    plain = re.fullmatch(r"[\w/.+-]+", str(folder), re.ASCII)
    if not plain or len(os.fsencode(folder / ".s.PGSQL.65535")) > _SOCKET_PATH_LIMIT:
        token = hashlib.sha256(os.fsencode(server)).hexdigest()[:12]
        folder = Path(f"/tmp/orchestra-{os.geteuid()}-{token}")  # noqa: S108 - private, and checked below
    owner = programs.account.uid if programs.account else os.geteuid()
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid not in {owner, os.geteuid()}:
        raise Refused(
            f"{folder}, where the database's socket belongs, belongs to another user.",
            hint="Have it removed, or give a data_dir with a shorter name.",
        )
    folder.chmod(0o700)
    if facts.st_uid != owner:
        os.chown(folder, owner, -1)
    return folder


def initialise(place: Place, programs: Programs) -> None:
    """Create the database's files next to their final place, and rename them when they are complete."""
    cluster = place.cluster_of(programs.major)
    for leftover in place.server.glob(f"{cluster.name}.new*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if not place.password.exists():
        write_private(place.password, secrets.token_urlsafe(24))
    beside = cluster.with_suffix(".new")
    password_file = place.server / "password.new"
    write_private(password_file, place.password.read_text(encoding="ascii"), programs)
    try:
        done = initdb_user.run(
            programs,
            [
                *("-D", str(beside), "-U", NAME, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                # The same setting as in startup.py, for the server that initdb runs; PostgreSQL 15 has no such
                # option.
                *(["--set=dynamic_shared_memory_type=mmap"] if programs.major >= 16 else []),
            ],
        )
    finally:
        password_file.unlink(missing_ok=True)
    if done.returncode:
        shutil.rmtree(beside, ignore_errors=True)
        raise DatabaseUnavailable(
            f"no database can be created in {place.data}: {complaint(done.stderr)}",
            hint='Another folder can be named: "data_dir" in the configuration.',
        )
    beside.rename(cluster)


def write_private(path: Path, text: str, programs: Programs | None = None) -> None:
    """Write a file atomically that only its owner can read: the server's account, if programs are given."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if programs and programs.account:
                os.fchown(descriptor, programs.account.uid, programs.account.gid)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def complaint(text: str) -> str:
    """Find the line with the error in the output of one of PostgreSQL's programs."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    informative = [
        line
        for line in lines
        if re.search(r"FATAL|PANIC|error:|could not|invalid value|unrecognized", line)
    ]
    chosen = (informative or lines or ["it printed nothing"])[0]
    return re.sub(r"^.*?(LOG|FATAL|PANIC|error):\s*", "", chosen)
