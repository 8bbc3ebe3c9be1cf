"""What a pilot remembers of its database, to recognize a replaced one. Stored in a small file of the pilot's folder."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from orchestra.domain.models.cluster import DatabaseIdentity, KnownDatabase

GENERATION_STEP = 60
"""Generations of the conductor's term between two records of it."""
SAVE_EVERY = 1.0
"""Seconds between two writes. A report that is lost only makes the comparison less precise."""
MAX_CLOSED_OUT = 200
"""Keepers that are remembered as dead."""

log = logging.getLogger(__name__)


class DatabaseMemory:
    """The database as this pilot last knew it.

    `known` is the cluster, its epoch, the highest committed report of each keeper, and the generation of the
    conductor's term. It is replaced as a whole, because the database thread reads it. `closed_out` are the dead
    keepers, the latest last: an older copy of the database may believe that they live.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known, self.closed_out = _read(path)
        self._saved_at = 0.0
        self._is_dirty = False

    def identify(self, identity: DatabaseIdentity) -> bool:
        """Record which database this is; return whether its epoch differs from that of the known one."""
        before = self.known
        if before and (before.cluster, before.epoch) == (identity.cluster, identity.epoch):
            return False
        # What a replaced database had committed says nothing about this one.
        self.known = KnownDatabase(identity.cluster, identity.epoch)
        self._save()
        return before is not None

    def note_report(self, keeper: UUID, sequence: int) -> None:
        """Record that the database has committed a keeper's reports up to this one."""
        if self.known and sequence > self.known.acknowledged.get(keeper, 0):
            acknowledged = {**self.known.acknowledged, keeper: sequence}
            self.known = replace(self.known, acknowledged=acknowledged)
            self._is_dirty = True

    def note_generation(self, generation: int) -> None:
        """Record the generation of the conductor's term."""
        if self.known and generation >= self.known.generation + GENERATION_STEP:
            self.known = replace(self.known, generation=generation)
            self._is_dirty = True

    def close_out(self, keeper: UUID) -> None:
        """Record only that a keeper is dead. Written to disk when this returns."""
        others = (other for other in self.closed_out if other != keeper)
        self.closed_out = (*others, keeper)[-MAX_CLOSED_OUT:]
        if self.known:
            rest = {k: n for k, n in self.known.acknowledged.items() if k != keeper}
            self.known = replace(self.known, acknowledged=rest)
            self._save()

    def tick(self, now: float) -> float:
        """Write changes now and then; return the next wake-up."""
        if not self._is_dirty:
            return inf
        if now >= self._saved_at + SAVE_EVERY:
            self._save()
            return inf
        return self._saved_at + SAVE_EVERY

    def _save(self) -> None:
        assert self.known is not None
        self._is_dirty, self._saved_at = False, monotonic()
        record = {
            "cluster": str(self.known.cluster),
            "epoch": self.known.epoch,
            "acknowledged": {str(k): n for k, n in self.known.acknowledged.items()},
            "beat": self.known.generation,
            "buried": [str(keeper) for keeper in self.closed_out],
        }
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(json.dumps(record), encoding="ascii")
            os.replace(beside, self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error.strerror)


def _read(path: Path) -> tuple[KnownDatabase | None, tuple[UUID, ...]]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
        acknowledged = {UUID(keeper): int(n) for keeper, n in record["acknowledged"].items()}
        generation = int(record.get("beat", 0))
        known = KnownDatabase(
            UUID(record["cluster"]), int(record["epoch"]), acknowledged, generation
        )
        return known, tuple(UUID(keeper) for keeper in record.get("buried", ()))
    except FileNotFoundError:
        return None, ()
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        log.warning("%s cannot be read and is started over: %s", path, error)
        return None, ()
