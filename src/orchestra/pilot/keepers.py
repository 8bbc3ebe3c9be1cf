"""The keepers of a node on this machine: found, started, lost and read after their death."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import orchestra
from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.keeper_link import KeeperLink, connect
from orchestra.pilot.keeper_messages import (
    Hello,
    KeeperError,
    KeeperIncompatible,
    KeeperSilent,
    SpoolDamaged,
    Successor,
)
from orchestra.pilot.keeper_process import start_keeper
from orchestra.pilot.keeper_spool import is_alive, read_spool
from orchestra.pilot.state import LocalAttempt

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
SOON = 0.2
"""Seconds after which to look again at a keeper that hung up: it may be dying."""


@dataclass(slots=True, eq=False)
class KeeperHandle:
    """One keeper, as its agent sees it.

    Args:
        link: None while it cannot be spoken with.
        dead: it lives no more; `hello` is what its spool says.
        registered: the database knows it; as long as it does not, it is told again at `register_at`.
        reconciled: what it holds has been compared with what the database granted to it, at least once.
        buried: the database knows that it is dead; as long as it does not, it is told at `close_out_at`.
        retired: it is given no new jobs (it was fenced, or is of another version).
        fenced: its jobs were given away, so its lease is not prolonged.
        foreign: it speaks another protocol: it has no link, and `hello` is what its spool says. `taken` are the
            outcomes that were read there, `missing` what ran and was not there at the last look.
        again_at: when to try to connect again, by the monotonic clock.
        asked_at: when it was asked to start something, and has said nothing since; None where it has.
    """

    hello: Hello
    folder: Path
    link: KeeperLink | None
    dead: bool = False
    registered: bool = False
    register_at: float = 0.0
    reconciled: bool = False
    closed_out: bool = False
    close_out_at: float = 0.0
    retired: bool = False
    fenced: bool = False
    again_at: float = 0.0
    asked_at: float | None = None
    incompatible: bool = False
    taken: set[AttemptKey] = field(default_factory=set)
    missing: set[AttemptKey] = field(default_factory=set)

    @property
    def id(self) -> UUID:
        return self.hello.keeper

    @property
    def takes_jobs(self) -> bool:
        return self.link is not None and self.registered and not self.retired

    def introduction(self, machine_id: str) -> KeeperHello:
        """Give the keeper as the database wants to know it."""
        hello = self.hello
        return KeeperHello(
            hello.keeper, machine_id, hello.boot_id, hello.pid, hello.version, hello.protocol
        )

    def close(self) -> None:
        if self.link:
            self.link.close()
            self.link = None


class Keepers:
    """All keepers below one folder, each in a folder of its own."""

    def __init__(self, folder: Path, agent: UUID) -> None:
        self.folder, self._agent = folder, str(agent)
        self.handles: dict[UUID, KeeperHandle] = {}
        self._silent: dict[Path, tuple[float, OrchestraError]] = {}
        self._successor: Successor | None = None

    def name_successor(self, successor: Successor | None) -> None:
        """Say which agent keepers start when this one has died."""
        self._successor = successor
        for handle in self.handles.values():
            if handle.link:
                handle.link.send_successor(successor)

    def leave_word(self) -> None:
        """Tell the keepers that nobody has adopted yet which agent to start."""
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if is_alive(folder):
                with suppress(OrchestraError), self._connect(folder) as connection:
                    connection.flush()

    def _connect(self, folder: Path) -> KeeperLink:
        connection = connect(folder, agent=self._agent)
        connection.send_successor(self._successor)
        return connection

    def withdraw(self, attempt: LocalAttempt) -> None:
        """Ask for an attempt that waits in line; it is handed back when its keeper has let go of it."""
        handle = self.handles.get(attempt.keeper)
        if handle and handle.link:
            attempt.withdrawing = True
            handle.link.send_withdraw(attempt.key)

    @property
    def current(self) -> KeeperHandle | None:
        """Give the keeper that new jobs are claimed for."""
        return next((handle for handle in self.handles.values() if handle.takes_jobs), None)

    @property
    def all_heard(self) -> bool:
        """Whether every keeper has said what it runs; before that nobody knows which slots are free."""
        handles = self.handles.values()
        return not self._silent and all(
            handle.link or handle.dead or handle.incompatible for handle in handles
        )

    def adopt(self) -> list[KeeperHandle]:
        """Take over the keepers that an earlier agent left and read what dead ones left; gives the new ones."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = {handle.folder for handle in self.handles.values()}
        found = []
        for folder in sorted(self.folder.iterdir()):
            due, _ = self._silent.get(folder, (0.0, None))
            if folder not in known and time.monotonic() >= due and (handle := self._open(folder)):
                found.append(handle)
        return found

    def start(self) -> KeeperHandle:
        """Start a keeper of this version.

        Raises:
            KeeperError: it could not be started.
        """
        keeper_id = uuid4()
        folder = self.folder / keeper_id.hex[:8]
        with self._lock(fcntl.LOCK_SH):
            connection = start_keeper(folder, keeper_id, agent=self._agent)
        connection.send_successor(self._successor)
        log.info("keeper %s started, pid %d", keeper_id, connection.hello.pid)
        return self._add(KeeperHandle(connection.hello, folder, connection))

    @property
    def some_silent(self) -> OrchestraError | None:
        """Why a keeper that was found cannot be heard; None where all can."""
        return next((error for _, error in self._silent.values()), None)

    @property
    def needs_one(self) -> bool:
        """Whether no keeper lives that may take jobs."""
        return not self._silent and all(
            handle.dead or handle.retired for handle in self.handles.values()
        )

    @property
    def has_any(self) -> bool:
        """Whether a keeper of an earlier agent lives."""
        return self.folder.is_dir() and any(map(is_alive, self.folder.iterdir()))

    def lose(self, handle: KeeperHandle, *, reconnect: bool) -> None:
        """Note that a keeper's connection is gone; `reconnect` says to try at once."""
        handle.close()
        handle.asked_at = None
        handle.again_at = time.monotonic() if reconnect else float("inf")

    def reconnect(self, handle: KeeperHandle) -> bool:
        """Try to speak with a keeper again, or read what it left; gives whether `hello` is new."""
        try:
            handle.link = self._connect(handle.folder)
            handle.hello = handle.link.hello
        except OrchestraError as error:
            silent = isinstance(error, KeeperSilent)
            handle.again_at = time.monotonic() + (RETRY_SECONDS if silent else SOON)
            if is_alive(handle.folder):
                log.info("keeper %s: %s", handle.id, error)
                return False
            self._read_last_words(handle)
        return True

    def look(self, handle: KeeperHandle) -> bool:
        """Read what a keeper that cannot be spoken with has written down; gives whether it could be read."""
        if not is_alive(handle.folder):
            self._read_last_words(handle)
            return True
        try:
            handle.hello = read_spool(handle.folder)
        except OrchestraError as error:
            log.warning("%s", error)
            return False
        return True

    @staticmethod
    def _read_last_words(handle: KeeperHandle) -> None:
        if handle.retired:
            log.info("keeper %s has ended", handle.id)
        else:
            log.error("keeper %s has died", handle.id)
        handle.dead, handle.retired, handle.reconciled = True, True, False
        try:
            handle.hello = read_spool(handle.folder)
        except KeeperError:
            # Without its folder: another agent of this node, which decided while we were stopped, has told its end.
            handle.hello, handle.closed_out = (
                replace(handle.hello, running=(), outcomes=()),
                not handle.folder.exists(),
            )
            log.info(
                "keeper %s left %s",
                handle.id,
                "nothing" if handle.closed_out else "an unreadable spool",
            )

    def close_out(self, handle: KeeperHandle) -> None:
        """Forget a keeper that has ended, of which nothing is left to report."""
        handle.close()
        del self.handles[handle.id]
        shutil.rmtree(handle.folder, ignore_errors=True)

    def _open(self, folder: Path) -> KeeperHandle | None:
        self._silent.pop(folder, None)
        try:
            connection = self._connect(folder)
        except OrchestraError as error:
            if is_alive(folder):
                log.warning("%s", error)
                if isinstance(error, KeeperIncompatible):
                    hello = read_spool(folder)
                    return self._add(
                        KeeperHandle(
                            hello, folder, None, registered=True, retired=True, incompatible=True
                        )
                    )
                self._silent[folder] = time.monotonic() + RETRY_SECONDS, error
                return None
            return self._open_dead(folder)
        return self._add(self._judged(KeeperHandle(connection.hello, folder, connection)))

    def _open_dead(self, folder: Path) -> KeeperHandle | None:
        try:
            hello = read_spool(folder)
        except SpoolDamaged as error:
            self._set_aside(folder, error)
            return None
        except OrchestraError:
            self._remove_stillborn(folder)
            return None
        # It was made known in its life, or nothing was ever granted to it.
        return self._add(
            KeeperHandle(hello, folder, None, dead=True, retired=True, registered=True)
        )

    def _remove_stillborn(self, folder: Path) -> None:
        """Remove a keeper that never came to life, unless another agent is just making it."""
        try:
            with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not _has_lived(folder):  # nor come to life since we looked
                    with suppress(OSError):
                        shutil.rmtree(folder)
                    return
        except BlockingIOError:
            pass
        error = KeeperSilent(f"The keeper of {folder} is just being made.")
        self._silent[folder] = time.monotonic() + SOON, error

    @contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        """Hold the lock on the keepers' folder: shared while one is made, alone while one is removed."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _set_aside(self, folder: Path, error: OrchestraError) -> None:
        """Keep what somebody may still read by hand; its attempts are lost, as the database will find."""
        kept = self.folder.parent / "set-aside" / f"keeper-{folder.name}"
        log.error("%s It is kept in %s", error, kept)
        try:
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            folder.rename(kept)
        except OSError as trouble:
            log.error("%s cannot be moved: %s", folder, trouble.strerror)

    def _judged(self, handle: KeeperHandle) -> KeeperHandle:
        if handle.hello.version != orchestra.__version__:
            log.info(
                "keeper %s is of version %s; it keeps its jobs", handle.id, handle.hello.version
            )
            handle.retired = True
            if handle.link:
                handle.link.send_stop()
        return handle

    def _add(self, handle: KeeperHandle) -> KeeperHandle:
        self.handles[handle.id] = handle
        return handle


def _has_lived(folder: Path) -> bool:
    """Whether a keeper of the folder lives, or has left something to read."""
    try:
        read_spool(folder)
    except SpoolDamaged:
        return True
    except OrchestraError:
        return is_alive(folder)
    return True
