"""The keepers of a node on this machine: finding, starting and connecting to them, and reading dead ones."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import orchestra
from orchestra.domain.errors import OrchestraError
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_link import KeeperLink, connect
from orchestra.pilot.keeper_messages import (
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
"""Seconds after which to check a keeper again that closed its connection: it may be dying."""


class Keepers:
    """All keepers below one folder, each in a folder of its own."""

    def __init__(self, folder: Path, agent: UUID) -> None:
        self.folder, self._agent = folder, str(agent)
        self.handles: dict[UUID, KeeperHandle] = {}
        self._silent: dict[Path, tuple[float, OrchestraError]] = {}
        self._successor: Successor | None = None

    def set_successor(self, successor: Successor | None) -> None:
        """Set the agent that keepers start when this one has died."""
        self._successor = successor
        for handle in self.handles.values():
            if handle.link:
                handle.link.send_successor(successor)

    def send_successor_to_unadopted(self) -> None:
        """Send the successor to keepers that no agent has adopted yet."""
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if is_alive(folder):
                with suppress(OrchestraError), self._connect(folder) as connection:
                    connection.flush()

    def _connect(self, folder: Path) -> KeeperLink:
        connection = connect(folder, agent=self._agent)
        connection.send_successor(self._successor)
        return connection

    def withdraw(self, attempt: LocalAttempt) -> None:
        """Withdraw a queued attempt from its keeper. It is released when the keeper has refused it."""
        handle = self.handles.get(attempt.keeper)
        if handle and handle.link:
            attempt.withdrawing = True
            handle.link.send_withdraw(attempt.key)

    @property
    def current(self) -> KeeperHandle | None:
        """The keeper for which jobs are claimed."""
        return next((handle for handle in self.handles.values() if handle.takes_jobs), None)

    @property
    def all_connected(self) -> bool:
        """Whether every keeper has said what it runs. Until then, which slots are free is unknown."""
        return not self._silent and not any(
            handle.is_disconnected for handle in self.handles.values()
        )

    @property
    def silent_error(self) -> OrchestraError | None:
        """Why a keeper that was found cannot be reached; None where all can."""
        return next((error for _, error in self._silent.values()), None)

    @property
    def needs_one(self) -> bool:
        """Whether no living keeper may take jobs."""
        return not self._silent and all(
            handle.dead or handle.retired for handle in self.handles.values()
        )

    @property
    def has_any(self) -> bool:
        """Whether a keeper of an earlier agent is alive."""
        return self.folder.is_dir() and any(map(is_alive, self.folder.iterdir()))

    def adopt(self) -> list[KeeperHandle]:
        """Take over the keepers of earlier agents and read the spools of dead ones; return the new handles."""
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

    def disconnect(self, handle: KeeperHandle, *, reconnect: bool) -> None:
        """Note that the connection to a keeper is lost; `reconnect` means to connect again at once."""
        handle.close()
        handle.spawn_sent_at = None
        handle.reconnect_at = time.monotonic() if reconnect else float("inf")

    def reconnect(self, handle: KeeperHandle) -> bool:
        """Connect to a keeper again, or read the spool of a dead one; return whether `hello` is new."""
        try:
            handle.link = self._connect(handle.folder)
            handle.hello = handle.link.hello
        except OrchestraError as error:
            silent = isinstance(error, KeeperSilent)
            handle.reconnect_at = time.monotonic() + (RETRY_SECONDS if silent else SOON)
            if is_alive(handle.folder):
                log.info("keeper %s: %s", handle.id, error)
                return False
            self._read_dead(handle)
        return True

    def refresh(self, handle: KeeperHandle) -> bool:
        """Read the spool of an incompatible keeper; return whether it could be read."""
        if not is_alive(handle.folder):
            self._read_dead(handle)
            return True
        try:
            handle.hello = read_spool(handle.folder)
        except OrchestraError as error:
            log.warning("%s", error)
            return False
        return True

    @staticmethod
    def _read_dead(handle: KeeperHandle) -> None:
        if handle.retired:
            log.info("keeper %s has ended", handle.id)
        else:
            log.error("keeper %s has died", handle.id)
        handle.dead, handle.retired, handle.reconciled = True, True, False
        try:
            handle.hello = read_spool(handle.folder)
        except KeeperError:
            # Without its folder, another agent of this node has closed the keeper out while this one was stopped.
            handle.hello = replace(handle.hello, running=(), outcomes=())
            handle.closed_out = not handle.folder.exists()
            left = "nothing" if handle.closed_out else "an unreadable spool"
            log.info("keeper %s left %s", handle.id, left)

    def remove(self, handle: KeeperHandle) -> None:
        """Forget a dead keeper of which everything is reported, and remove its folder."""
        handle.close()
        del self.handles[handle.id]
        shutil.rmtree(handle.folder, ignore_errors=True)

    def _open(self, folder: Path) -> KeeperHandle | None:
        self._silent.pop(folder, None)
        try:
            connection = self._connect(folder)
        except OrchestraError as error:
            if not is_alive(folder):
                return self._open_dead(folder)
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
        handle = self._add(KeeperHandle(connection.hello, folder, connection))
        self._retire_other_version(handle)
        return handle

    def _open_dead(self, folder: Path) -> KeeperHandle | None:
        try:
            hello = read_spool(folder)
        except SpoolDamaged as error:
            self._set_aside(folder, error)
            return None
        except OrchestraError:
            self._remove_never_started(folder)
            return None
        # It was registered while it was alive, or nothing was ever granted to it.
        return self._add(
            KeeperHandle(hello, folder, None, dead=True, retired=True, registered=True)
        )

    def _remove_never_started(self, folder: Path) -> None:
        """Remove the folder of a keeper that never started, unless another agent is just starting it."""
        try:
            with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not _has_lived(folder):  # nor started since the last check
                    with suppress(OSError):
                        shutil.rmtree(folder)
                    return
        except BlockingIOError:
            pass
        error = KeeperSilent(f"The keeper of {folder} is just being started.")
        self._silent[folder] = time.monotonic() + SOON, error

    @contextmanager
    def _lock(self, how: int) -> Iterator[None]:
        """Lock the keepers' folder: shared while a keeper is started, exclusively while one is removed."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)

    def _set_aside(self, folder: Path, error: OrchestraError) -> None:
        """Keep a damaged spool for a person to read. Its attempts are lost, as the database will find."""
        kept = self.folder.parent / "set-aside" / f"keeper-{folder.name}"
        log.error("%s It is kept in %s", error, kept)
        try:
            kept.parent.mkdir(mode=0o700, exist_ok=True)
            folder.rename(kept)
        except OSError as trouble:
            log.error("%s cannot be moved: %s", folder, trouble.strerror)

    @staticmethod
    def _retire_other_version(handle: KeeperHandle) -> None:
        if handle.hello.version != orchestra.__version__:
            log.info("keeper %s has version %s; it keeps its jobs", handle.id, handle.hello.version)
            handle.retired = True
            if handle.link:
                handle.link.send_stop()

    def _add(self, handle: KeeperHandle) -> KeeperHandle:
        self.handles[handle.id] = handle
        return handle


def _has_lived(folder: Path) -> bool:
    """Whether a keeper of the folder is alive, or has left a spool."""
    try:
        read_spool(folder)
    except SpoolDamaged:
        return True
    except OrchestraError:
        return is_alive(folder)
    return True
