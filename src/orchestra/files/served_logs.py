"""Logs that a server reads for people elsewhere: below folders that its operator named, and never for long.

A volume that hangs would keep every thread of the server, so each folder has a few threads of its own, and no request
waits long for one.
"""

from __future__ import annotations

import pwd
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from orchestra.domain.models.logs import FoundPart, WantedPart
from orchestra.files import job_files, job_logs

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that a read may take."""
RETRY_PATIENCE = 0.2
"""The same while another read of that folder hangs."""
THREADS = 4
"""Reads of one folder at a time."""


class Hangs(Exception):
    """A folder's file system does not answer."""


class PatientReader(Generic[T]):
    """Carries out reads of one file system, and abandons those that hang; their threads end when it answers."""

    def __init__(self, *, patience: float = PATIENCE, threads: int = THREADS) -> None:
        self._patience = patience
        self._free = threading.Semaphore(threads)
        self._hanging = 0
        self._lock = threading.Lock()

    def read(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, which must free what it opens.

        Raises:
            Hangs: it took too long, or all threads hang.
        """
        patience = RETRY_PATIENCE if self._hanging else self._patience
        if not self._free.acquire(timeout=patience):
            raise Hangs
        answer: Future[T] = Future()
        threading.Thread(target=self._run, args=(work, answer), name="logs", daemon=True).start()
        try:
            return answer.result(patience)
        except TimeoutError:
            with self._lock:
                self._hanging += 1
            answer.add_done_callback(self._recover)
            raise Hangs from None

    def _run(self, work: Callable[[], T], answer: Future[T]) -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            answer.set_exception(error)
        finally:
            self._free.release()

    def _recover(self, _: Future[T]) -> None:
        with self._lock:
            self._hanging -= 1


class ServedLogs:
    """Reads parts of logs below some folders.

    A log is read if no symlink is below that folder on its path, and it is a regular file of one name that belongs to
    the account that ran the job.
    """

    def __init__(self, roots: Sequence[Path], *, patience: float = PATIENCE) -> None:
        # The deepest one that fits is the right one: the path to it may have symlinks.
        self._readers = {
            str(root): PatientReader[FoundPart | None](patience=patience)
            for root in sorted(roots, key=lambda root: -len(root.parts))
        }

    def read(self, account: str, wanted: WantedPart) -> FoundPart | None:
        """Return a part of a log; None if it may not or cannot be read here, or its volume hangs."""
        for root, reader in self._readers.items():
            if job_files.is_below(wanted.folder, root):
                return self._read(reader, root, account, wanted)
        return None

    def _read(
        self,
        reader: PatientReader[FoundPart | None],
        root: str,
        account: str,
        wanted: WantedPart,
    ) -> FoundPart | None:
        owner = _id_of(account)
        if owner is None:
            return None
        try:
            return reader.read(lambda: job_logs.read_own_part(wanted, root=root, owner=owner))
        except Hangs:
            return None


def _id_of(account: str) -> int | None:
    """Return the id of an account on this machine; an account without a name is called by its id."""
    try:
        return pwd.getpwnam(account).pw_uid
    except KeyError:
        return int(account) if account.isdecimal() else None
