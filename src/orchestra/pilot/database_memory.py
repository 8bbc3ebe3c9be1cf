"""What a pilot remembers of its database, so that it recognises one that was replaced. A small file of its folder."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from orchestra.domain.models.cluster import DatabaseIdentity, KnownDatabase

GENERATIONS = 60
"""Generations of the conductor's term that are not worth writing down."""
SAVE_EVERY = 1.0
"""Seconds: a report that is forgotten only makes the memory less sharp."""
BURIED = 200
"""Keepers that are remembered as dead."""

log = logging.getLogger(__name__)


class DatabaseMemory:
    """The cluster, its epoch, the highest report of each keeper that the database has committed, and how often the
    conductor had renewed its term; and which keepers are dead, the latest last: an older edition of the database may
    believe that they live.

    `known` is replaced as a whole: the courier's thread reads it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known, self.closed_out = _read(path)
        self._saved_at = 0.0
        self._dirty = False

    def meet(self, identity: DatabaseIdentity) -> bool:
        """Take in which database this is; True where it is of another epoch than before."""
        before = self.known
        if before and (before.cluster, before.epoch) == (identity.cluster, identity.epoch):
            return False
        # What an edition that is gone had committed says nothing about this one.
        self.known = KnownDatabase(identity.cluster, identity.epoch)
        self._save()
        return before is not None

    def note(self, keeper: UUID, sequence: int) -> None:
        """Take in that the database has committed a keeper's reports up to this one."""
        if self.known and sequence > self.known.acknowledged.get(keeper, 0):
            self._acknowledged({**self.known.acknowledged, keeper: sequence})

    def hear(self, generation: int) -> None:
        """Take in how often the conductor has renewed its term."""
        if self.known and generation >= self.known.generation + GENERATIONS:
            self.known = replace(self.known, generation=generation)
            self._dirty = True

    def close_out(self, keeper: UUID) -> None:
        """Remember of a keeper only that it is dead; written down when this returns."""
        self.closed_out = (*(other for other in self.closed_out if other != keeper), keeper)[
            -BURIED:
        ]
        if self.known:
            rest = {k: n for k, n in self.known.acknowledged.items() if k != keeper}
            self.known = replace(self.known, acknowledged=rest)
            self._save()

    def tick(self, now: float) -> float:
        """Write down what is new, now and then; gives when to be called again."""
        if not self._dirty:
            return float("inf")
        if now >= self._saved_at + SAVE_EVERY:
            self._save()
            return float("inf")
        return self._saved_at + SAVE_EVERY

    def _acknowledged(self, acknowledged: Mapping[UUID, int]) -> None:
        assert self.known is not None
        self.known = replace(self.known, acknowledged=acknowledged)
        self._dirty = True

    def _save(self) -> None:
        assert self.known is not None
        self._dirty, self._saved_at = False, monotonic()
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
        log.warning("%s cannot be read, and is begun anew: %s", path, error)
        return None, ()
