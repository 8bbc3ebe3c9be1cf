"""The folders in which a pilot makes the scratch folders of its attempts, each with a mark.

Only a marked folder of this account is used, and nothing is removed from any other. The mark is also the file by which
backups leave a folder out (https://bford.info/cachedir).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from orchestra.pilot.state_folder import as_name

MARK = "CACHEDIR.TAG"
MARK_TEXT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# Orchestra's pilot makes a folder for each running job here, and removes it afterwards.\n"
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotOurs(OSError):
    """A folder is not one of a pilot's; the argument says why."""

    def __str__(self) -> str:
        return str(self.args[0])


def root_of(pilot: Path, node: str, chosen: Path | None) -> Path:
    """Return where a pilot makes scratch folders: in its own folder, or in a folder that it shares with others.

    Args:
        pilot: the pilot's own folder, by which pilots are told apart.
        chosen: the setting, which may be used by several pilots and accounts.
    """
    if chosen is None:
        return pilot / "scratch"
    mine = hashlib.sha256(os.fsencode(os.path.realpath(pilot))).hexdigest()[:8]
    return Path(os.path.realpath(chosen), f"orchestra-{as_name(node)}-{mine}")


def make(root: Path) -> None:
    """Create a root with its mark, if there is none. Its parent must exist, as a disk that is not mounted does not.

    Raises:
        OSError: it cannot be created, or what is there is not a pilot's.
    """
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    folder = os.open(root, _FOLDER)
    try:
        facts = os.fstat(folder)
        if facts.st_uid != os.geteuid():
            raise NotOurs("it belongs to another account")
        if stat.S_IMODE(facts.st_mode) != stat.S_IRWXU:
            os.fchmod(folder, stat.S_IRWXU)
        if not is_marked(folder):
            if set(os.listdir(folder)) - {MARK}:
                raise NotOurs("it holds files that no pilot has made")
            mark = os.open(
                MARK,
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
                dir_fd=folder,
            )
            try:
                os.write(mark, MARK_TEXT)
            finally:
                os.close(mark)
    finally:
        os.close(folder)


def open_marked(root: str | Path) -> int:
    """Return a descriptor of a root.

    Raises:
        OSError: there is none, or it is not a pilot's.
    """
    folder = os.open(root, _FOLDER)
    if os.fstat(folder).st_uid == os.geteuid() and is_marked(folder):
        return folder
    os.close(folder)
    raise NotOurs("it has no mark of a pilot")


def is_marked(folder: int) -> bool:
    """Whether an open folder contains the mark."""
    try:
        mark = os.open(
            MARK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder
        )
    except OSError:
        return False
    try:
        return os.read(mark, len(MARK_TEXT)) == MARK_TEXT
    finally:
        os.close(mark)


def former(record: Path, root: Path) -> tuple[str, ...]:
    """Return the other roots that the pilot has had; adds this one to the record, a file in the pilot's folder."""
    try:
        known = [str(path) for path in json.loads(record.read_bytes())]
    except (OSError, ValueError, TypeError):
        known = []
    if str(root) not in known:
        with suppress(OSError):  # the next agent tries again
            beside = record.with_suffix(".new")
            beside.write_text(json.dumps([*known, str(root)]), encoding="ascii")
            os.replace(beside, record)
    return tuple(path for path in known if path != str(root))
