"""How long GPUs computed for the attempts of this node: their `gpu_seconds`.

Of a device that is shared, an attempt gets the part that it asked for. What was measured is stored in a small file of
the pilot's folder, so that the next agent continues from there.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from orchestra.domain.gpu_usage import Activity, Period, busy_seconds
from orchestra.domain.gpus import Sample
from orchestra.domain.resources import WHOLE
from orchestra.pilot.state import LocalAttempt, PilotState

log = logging.getLogger(__name__)

Then = Callable[[float | None], None]

RECENT = 1.0
"""Seconds for which a look counts as recent: an attempt that ends then is taken to have gone on as it was seen."""


@dataclass(frozen=True, slots=True)
class _Ended:
    attempt: LocalAttempt
    since: float
    at: float
    then: Then


class GpuMeter:
    """Adds up what looks at GPUs have shown. Times are by CLOCK_BOOTTIME.

    `is_active` is set where there are GPUs to look at. `is_waiting`: an attempt that has ended waits for a look.
    """

    def __init__(self, path: Path, state: PilotState, boot_id: str) -> None:
        self._path, self._state, self._boot_id = path, state, boot_id
        self._seconds, self._activity = _read(path, boot_id)
        self._waiting: list[_Ended] = []
        self._looked_at = -inf
        self.is_active = False

    @property
    def is_waiting(self) -> bool:
        return bool(self._waiting)

    def end(self, attempt: LocalAttempt, seconds: float, at: float, then: Then) -> None:
        """Measure an attempt that has ended, after so many seconds. `then` gets its GPU seconds, None if unknown."""
        ended = _Ended(attempt, at - seconds, at, then)
        if not self.is_active:
            then(None)
        elif at < self._looked_at + RECENT:
            self._close(ended)
        else:
            self._waiting.append(ended)

    def note(self, looked_at: float, samples: Mapping[str, Sequence[Sample]]) -> None:
        """Note what a look, which began at that time, has shown of devices by their UUIDs."""
        self._looked_at = looked_at
        periods = {
            uuid: self._activity.setdefault(uuid, Activity()).note(new)
            for uuid, new in samples.items()
        }
        for attempt in self._state.with_slots():
            if attempt.started_at is not None and attempt.devices:
                self._add(attempt, periods, attempt.started_at, inf)
        over = [ended for ended in self._waiting if ended.at <= looked_at]
        self._waiting = [ended for ended in self._waiting if ended.at > looked_at]
        for ended in (*over, *self._waiting):
            self._add(ended.attempt, periods, ended.since, ended.at)
        for ended in over:
            self._close(ended)
        self._save()

    def give_up(self) -> None:
        """Do not wait for a look, since GPUs do not answer."""
        waiting, self._waiting = self._waiting, []
        for ended in waiting:
            self._close(ended)

    def _close(self, ended: _Ended) -> None:
        """Tell what an attempt took. It went on, since the last sample, as that says."""
        last = {uuid: activity.since_last() for uuid, activity in self._activity.items()}
        self._add(ended.attempt, last, ended.since, ended.at)
        ended.then(self._seconds.pop(str(ended.attempt.key.token), None))

    def _add(
        self,
        attempt: LocalAttempt,
        periods: Mapping[str, Sequence[Period]],
        since: float,
        until: float,
    ) -> None:
        part = (attempt.note.request.gpu_milli or WHOLE) / WHOLE
        for device in map(self._state.device_named, attempt.devices):
            if found := periods.get(device):
                token = str(attempt.key.token)
                seconds = part * busy_seconds(found, since, until)
                self._seconds[token] = self._seconds.get(token, 0.0) + seconds

    def _save(self) -> None:
        alive = {str(key.token) for key in self._state.attempts}
        gone = self._seconds.keys() - alive
        if not self._seconds:
            return
        for token in gone:
            del self._seconds[token]
        last = {uuid: known.at for uuid, known in self._activity.items() if known.at is not None}
        record = {"boot": self._boot_id, "seconds": self._seconds, "at": last}
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(json.dumps(record))
            os.replace(beside, self._path)
        except OSError as error:
            log.warning("%s could not be written: %s", self._path, error.strerror)


def _read(path: Path, boot_id: str) -> tuple[dict[str, float], dict[str, Activity]]:
    """Return what an earlier agent has measured since the machine was started."""
    try:
        record = json.loads(path.read_text())
        if record["boot"] == boot_id:
            seconds = {str(token): float(value) for token, value in record["seconds"].items()}
            return seconds, {str(uuid): Activity(float(at)) for uuid, at in record["at"].items()}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s cannot be read, so what GPUs did before is not known: %r", path, error)
    return {}, {}
