"""The pilot's own folder: its log and its keepers' sockets and spools. On a local disk only."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from urllib.parse import quote

from orchestra.domain.errors import VolumeError
from orchestra.homefolder import home_folder, make_own
from orchestra.store.postgres.datafolder import network_file_system

LOG_BYTES = 4 << 20
IMAGES = "%images"
"""A folder beside those of the pilots, which no node's can be called (`as_name`): images that pilots of pools share."""


def pilot_folder(
    cluster: str, node: str, *, env: Mapping[str, str] = os.environ, uid: int | None = None
) -> Path:
    """Return the folder of the pilot of a node of a cluster, for this account. Creates nothing."""
    uid = os.geteuid() if uid is None else uid
    return _base(env, uid) / as_name(cluster[:8]) / as_name(node)


def _base(env: Mapping[str, str], uid: int) -> Path:
    usual = Path("/var/lib/orchestra-pilots") if uid == 0 else _user_folder(env)
    if usual is None or network_file_system(usual):
        return Path(f"/var/tmp/orchestra-pilots-{uid}")  # noqa: S108 - made private, or rejected
    return usual


def _user_folder(env: Mapping[str, str]) -> Path | None:
    if state := env.get("XDG_STATE_HOME"):
        return Path(state, "orchestra/pilots")
    home = home_folder(env)
    return home / ".local/state/orchestra/pilots" if home else None


def as_name(text: str) -> str:
    """Return a file name for any text, a different one for each."""
    name = quote(text, safe="") or "%"
    return name.replace(".", "%2E") if name.strip(".") == "" else name


def make_private(folder: Path) -> None:
    """Create a folder, with its parents, that only this account can access.

    Raises:
        VolumeError: it cannot be created, or another account can write to it.
    """
    try:
        make_own(folder, 0o700)
        for place in (folder, folder.parent, folder.parent.parent):
            facts = place.stat(follow_symlinks=False)
            if facts.st_uid not in (os.geteuid(), 0) or not stat.S_ISDIR(facts.st_mode):
                raise VolumeError(f"{place} belongs to another account; a pilot does not use it")
            if (
                facts.st_uid == os.geteuid()
                and facts.st_mode & 0o022
                and not facts.st_mode & stat.S_ISVTX
            ):
                place.chmod(stat.S_IMODE(facts.st_mode) & ~0o022)  # made under a umask of 000
        folder.chmod(0o700)
    except OSError as error:
        raise VolumeError(
            f"the pilot's folder {folder} cannot be made or used: {error.strerror}"
        ) from error


def lock_path(folder: Path) -> Path:
    """Return the file that every agent of a folder locks as long as it lives."""
    return folder / "agent.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a living agent; any number of agents can."""
    descriptor = os.open(lock_path(folder), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A keeper that checks for a living agent holds it for a moment.
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def logging_to(folder: Path, *, terminal: bool) -> Iterator[None]:
    """Write this process's log messages to the pilot's log, and to a terminal if there is one, as plain lines."""
    file = RotatingFileHandler(folder / "agent.log", maxBytes=LOG_BYTES, backupCount=1)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers: list[logging.Handler] = [file]
    if terminal:
        handlers.append(logging.StreamHandler())
        handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("orchestra")
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


@contextmanager
def signals_handled(
    signals: Sequence[signal.Signals], handle: Callable[[], None], wakeup: int
) -> Iterator[None]:
    """Call `handle` at each of the signals, and write a byte to the descriptor `wakeup`.

    Does nothing outside the main thread, where signals cannot be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: handle()) for number in signals}
    wakeup_before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
