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
from orchestra.pilot import link
from orchestra.pilot.link import Hello, KeeperLink
from orchestra.pilot.state import Held

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
SOON = 0.2
"""Seconds after which to look again at a keeper that hung up: it may be dying."""


@dataclass(slots=True, eq=False)
class Port:
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
    foreign: bool = False
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
        self.ports: dict[UUID, Port] = {}
        self._silent: dict[Path, tuple[float, OrchestraError]] = {}
        self._heir: link.Heir | None = None

    def name_heir(self, heir: link.Heir | None) -> None:
        """Say which agent keepers start when this one has died."""
        self._heir = heir
        for port in self.ports.values():
            if port.link:
                port.link.send_heir(heir)

    def leave_word(self) -> None:
        """Tell the keepers that nobody has adopted yet which agent to start."""
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if link.is_alive(folder):
                with suppress(OrchestraError), self._connect(folder) as connection:
                    connection.flush()

    def _connect(self, folder: Path) -> KeeperLink:
        connection = link.connect(folder, agent=self._agent)
        connection.send_heir(self._heir)
        return connection

    def withdraw(self, held: Held) -> None:
        """Ask for an attempt that waits in line; it is handed back when its keeper has let go of it."""
        port = self.ports.get(held.keeper)
        if port and port.link:
            held.recalled = True
            port.link.send_withdraw(held.key)

    @property
    def current(self) -> Port | None:
        """Give the keeper that new jobs are claimed for."""
        return next((port for port in self.ports.values() if port.takes_jobs), None)

    @property
    def all_heard(self) -> bool:
        """Whether every keeper has said what it runs; before that nobody knows which slots are free."""
        ports = self.ports.values()
        return not self._silent and all(port.link or port.dead or port.foreign for port in ports)

    def adopt(self) -> list[Port]:
        """Take over the keepers that an earlier agent left and read what dead ones left; gives the new ones."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = {port.folder for port in self.ports.values()}
        found = []
        for folder in sorted(self.folder.iterdir()):
            due, _ = self._silent.get(folder, (0.0, None))
            if folder not in known and time.monotonic() >= due and (port := self._open(folder)):
                found.append(port)
        return found

    def start(self) -> Port:
        """Start a keeper of this version.

        Raises:
            KeeperError: it could not be started.
        """
        keeper_id = uuid4()
        folder = self.folder / keeper_id.hex[:8]
        with self._lock(fcntl.LOCK_SH):
            connection = link.start_keeper(folder, keeper_id, agent=self._agent)
        connection.send_heir(self._heir)
        log.info("keeper %s started, pid %d", keeper_id, connection.hello.pid)
        return self._add(Port(connection.hello, folder, connection))

    @property
    def some_silent(self) -> OrchestraError | None:
        """Why a keeper that was found cannot be heard; None where all can."""
        return next((error for _, error in self._silent.values()), None)

    @property
    def needs_one(self) -> bool:
        """Whether no keeper lives that may take jobs."""
        return not self._silent and all(port.dead or port.retired for port in self.ports.values())

    @property
    def has_any(self) -> bool:
        """Whether a keeper of an earlier agent lives."""
        return self.folder.is_dir() and any(map(link.is_alive, self.folder.iterdir()))

    def lose(self, port: Port, *, reconnect: bool) -> None:
        """Note that a keeper's connection is gone; `reconnect` says to try at once."""
        port.close()
        port.asked_at = None
        port.again_at = time.monotonic() if reconnect else float("inf")

    def reconnect(self, port: Port) -> bool:
        """Try to speak with a keeper again, or read what it left; gives whether `hello` is new."""
        try:
            port.link = self._connect(port.folder)
            port.hello = port.link.hello
        except OrchestraError as error:
            silent = isinstance(error, link.KeeperSilent)
            port.again_at = time.monotonic() + (RETRY_SECONDS if silent else SOON)
            if link.is_alive(port.folder):
                log.info("keeper %s: %s", port.id, error)
                return False
            self._read_last_words(port)
        return True

    def look(self, port: Port) -> bool:
        """Read what a keeper that cannot be spoken with has written down; gives whether it could be read."""
        if not link.is_alive(port.folder):
            self._read_last_words(port)
            return True
        try:
            port.hello = link.read_spool(port.folder)
        except OrchestraError as error:
            log.warning("%s", error)
            return False
        return True

    @staticmethod
    def _read_last_words(port: Port) -> None:
        if port.retired:
            log.info("keeper %s has ended", port.id)
        else:
            log.error("keeper %s has died", port.id)
        port.dead, port.retired, port.reconciled = True, True, False
        try:
            port.hello = link.read_spool(port.folder)
        except link.KeeperError:
            # Without its folder: another agent of this node, which decided while we were stopped, has told its end.
            port.hello, port.closed_out = (
                replace(port.hello, running=(), outcomes=()),
                not port.folder.exists(),
            )
            log.info(
                "keeper %s left %s",
                port.id,
                "nothing" if port.closed_out else "an unreadable spool",
            )

    def close_out(self, port: Port) -> None:
        """Forget a keeper that has ended, of which nothing is left to report."""
        port.close()
        del self.ports[port.id]
        shutil.rmtree(port.folder, ignore_errors=True)

    def _open(self, folder: Path) -> Port | None:
        self._silent.pop(folder, None)
        try:
            connection = self._connect(folder)
        except OrchestraError as error:
            if link.is_alive(folder):
                log.warning("%s", error)
                if isinstance(error, link.KeeperForeign):
                    hello = link.read_spool(folder)
                    return self._add(
                        Port(hello, folder, None, registered=True, retired=True, foreign=True)
                    )
                self._silent[folder] = time.monotonic() + RETRY_SECONDS, error
                return None
            return self._open_dead(folder)
        return self._add(self._judged(Port(connection.hello, folder, connection)))

    def _open_dead(self, folder: Path) -> Port | None:
        try:
            hello = link.read_spool(folder)
        except link.SpoolDamaged as error:
            self._set_aside(folder, error)
            return None
        except OrchestraError:
            self._remove_stillborn(folder)
            return None
        # It was made known in its life, or nothing was ever granted to it.
        return self._add(Port(hello, folder, None, dead=True, retired=True, registered=True))

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
        error = link.KeeperSilent(f"The keeper of {folder} is just being made.")
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

    def _judged(self, port: Port) -> Port:
        if port.hello.version != orchestra.__version__:
            log.info("keeper %s is of version %s; it keeps its jobs", port.id, port.hello.version)
            port.retired = True
            if port.link:
                port.link.send_stop()
        return port

    def _add(self, port: Port) -> Port:
        self.ports[port.id] = port
        return port


def _has_lived(folder: Path) -> bool:
    """Whether a keeper of the folder lives, or has left something to read."""
    try:
        link.read_spool(folder)
    except link.SpoolDamaged:
        return True
    except OrchestraError:
        return link.is_alive(folder)
    return True
