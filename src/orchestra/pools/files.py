"""The files of allocations: what a pilot needs to know, for its account alone, and what it printed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from errno import EPERM
from pathlib import Path
from uuid import UUID

KEPT = 7 * 86_400.0
"""Seconds for which the output of pilots is kept, and what could not be written whole."""
LAST_BYTES, LONGEST_LINE = 4096, 300


class AllocationFiles:
    """A folder that the machines of the allocations see under the same path.

    A configuration contains the address of the database with its password, so only its account can read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def configuration(self, allocation: UUID) -> Path:
        """Return where the configuration of an allocation's pilots is."""
        return self._folder / f"{allocation}.json"

    def log(self, allocation: UUID) -> Path:
        """Return where the output of an allocation goes."""
        return self._folder / f"{allocation}.log"

    def last_line(self, allocation: UUID) -> str:
        """Return the last line of an allocation's output, shortened; "" if there is none."""
        try:
            with self.log(allocation).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_BYTES))
                lines = file.read().decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[:LONGEST_LINE]

    def write(self, allocation: UUID, configuration: Mapping[str, object]) -> None:
        """Write the configuration of an allocation's pilots; a reader finds all of it, or no file.

        Raises:
            OSError: it cannot be written, or the folder is another account's.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.geteuid():
            raise PermissionError(EPERM, "it belongs to another account", str(self._folder))
        self._folder.chmod(0o700)
        path = self.configuration(allocation)
        beside = path.with_suffix(".part")
        with suppress(FileNotFoundError):
            beside.unlink()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(configuration, file)
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)

    def sweep(self, live: Collection[UUID], cluster: str) -> None:
        """Delete the configurations of allocations of a cluster that have ended, and old logs.

        What cannot be deleted stays, and so does what belongs to another cluster with a pool of this name.
        """
        for path, allocation in self._found():
            is_over = _is_of(path, cluster) if path.suffix == ".json" else _age(path) > KEPT
            if allocation not in live and is_over:
                with suppress(OSError):
                    path.unlink()
        with suppress(OSError):
            self._folder.rmdir()  # if nothing is in it

    def _found(self) -> Iterator[tuple[Path, UUID]]:
        try:
            paths = list(self._folder.iterdir())
        except OSError:
            return
        for path in paths:
            with suppress(ValueError):
                if path.suffix in (".json", ".log", ".part"):
                    yield path, UUID(path.stem)


def _is_of(path: Path, cluster: str) -> bool:
    """Whether a configuration is that of a pilot of a cluster."""
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["cluster"] == cluster)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
