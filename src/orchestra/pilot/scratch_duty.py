"""The agent's care for scratch folders: what attempts leave is removed, and a disk without room stops the claims."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from threading import Thread
from typing import TypeVar

from orchestra.domain import troubles
from orchestra.pilot.context import Context
from orchestra.pilot.scratch import Scratch, words_of

T = TypeVar("T")

log = logging.getLogger(__name__)

CHECK_EVERY, CHECK_BROKEN_EVERY = 10.0, 1.0
"""Seconds between two checks of the disk while it can be used, and while it cannot."""
PAUSE_PER_CHECK = 20.0
"""How much longer than a check the pause after it is at least: counting what a million files use takes seconds."""
NOTICED = 0.01
"""The part by which the room must change to be reported."""
FINISH_SECONDS = 10.0
"""Seconds that an agent which ends waits until what is left is removed; the next one continues."""
_LANE = "scratch"


@dataclass(frozen=True, slots=True)
class _Check:
    """Why jobs cannot use scratch folders, if so; the bytes that they may use; how long it took to find out."""

    error: OSError | None
    room: int | None
    seconds: float


def _check(scratch: Scratch, promised: Mapping[str, int], *, at_rest: bool) -> _Check:
    began = time.monotonic()
    if at_rest:
        scratch.trim()
    error, room = scratch.error(), None
    try:
        room = scratch.room(promised)
    except OSError as trouble:
        error = error or trouble
    return _Check(error, room, time.monotonic() - began)


class ScratchDuty:
    """Removes scratch folders, and watches their disk. Both happens in I/O threads."""

    def __init__(self, context: Context, resume_claims: Callable[[], None]) -> None:
        """`resume_claims` is called when scratch folders can be used again."""
        self.context, self._resume_claims = context, resume_claims
        self._check_at = 0.0
        self._removing = self._swept = False

    def tick(self, now: float) -> float:
        """Remove and check what is due; return the next wake-up."""
        scratch = self.context.launch.scratch
        if scratch is None:
            return inf
        if failure := scratch.failure:
            scratch.failure = None
            self._note_error(scratch, failure)
            self._check_at = min(self._check_at, now + CHECK_BROKEN_EVERY)
        if not self._swept and self.context.adopted and self.context.keepers.all_connected:
            self._swept = True
            self._do(scratch.foreign, partial(self._sweep, scratch))
        if scratch.left and not self._removing:
            self._removing = True
            self._do(scratch.remove_left, self._removed)
        if now >= self._check_at:
            self._check_at = inf
            at_rest = self.context.state.at_rest
            check = partial(_check, scratch, self._promised(), at_rest=at_rest)
            self._do(check, partial(self._checked, scratch))
        return self._check_at

    def finish(self) -> None:
        """Remove what can be removed before the agent ends."""
        scratch = self.context.launch.scratch
        if scratch is None:
            return
        scratch.trim()
        if scratch.left or self._removing:
            removal = Thread(target=scratch.remove_left, name="pilot-scratch", daemon=True)
            removal.start()
            removal.join(FINISH_SECONDS)
            if removal.is_alive():
                log.info("the next pilot removes what is left in %s", scratch.root)

    def _do(self, work: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        self.context.workers.submit(work, then, then, lane=_LANE)

    def _promised(self) -> dict[str, int]:
        """Return the bytes that running attempts were promised in their scratch folders."""
        return {
            attempt.note.scratch: attempt.note.request.scratch_bytes
            for attempt in self.context.state.with_slots()
            if attempt.note.scratch and attempt.note.request.scratch_bytes
        }

    def _sweep(self, scratch: Scratch, found: Sequence[str] | Exception) -> None:
        """Remove the folders of earlier agents, except those of attempts that a keeper still has."""
        if isinstance(found, Exception):
            return
        living = {attempt.note.scratch for attempt in self.context.state.attempts.values()}
        scratch.left.extend(path for path in found if path not in living)

    def _removed(self, failed: Sequence[str] | Exception) -> None:
        self._removing = False
        for trouble in [] if isinstance(failed, Exception) else failed:
            log.warning("a scratch folder cannot be removed: %s", trouble)

    def _checked(self, scratch: Scratch, found: _Check | Exception) -> None:
        now = time.monotonic()
        self.context.unseen.discard("scratch")
        if isinstance(found, Exception):
            self._check_at = now + CHECK_EVERY
            return
        if found.error:
            self._note_error(scratch, found.error)
        elif self.context.troubles.pop("scratch", None):
            log.info("%s: scratch folders can be used again", scratch.root)
            self._resume_claims()
        pause = CHECK_BROKEN_EVERY if found.error else CHECK_EVERY
        self._check_at = now + max(pause, PAUSE_PER_CHECK * found.seconds)
        self._note_room(found.room)

    def _note_room(self, room: int | None) -> None:
        state = self.context.state
        known = state.found.scratch_bytes
        if room is None or (known is not None and abs(room - known) <= NOTICED * known):
            return
        state.found = replace(state.found, scratch_bytes=room)
        if known is not None and room > known:
            self._resume_claims()

    def _note_error(self, scratch: Scratch, error: OSError) -> None:
        if self.context.is_disk_full and scratch.root.parent == self.context.folder:
            return  # that trouble says it
        trouble = troubles.no_scratch(str(scratch.root), words_of(error))
        if self.context.troubles.get("scratch") != trouble:
            log.error("%s", trouble.text)
            self.context.troubles["scratch"] = trouble
