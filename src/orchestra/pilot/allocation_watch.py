"""A pilot in an allocation: it ends its jobs before the engine does, and leaves when there is nothing to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from math import inf
from time import monotonic

from orchestra.domain.human import listed
from orchestra.domain.pools import ending
from orchestra.pilot import lent_files
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.lent import LentState
from orchestra.pilot.outcomes import ALLOCATION
from orchestra.pilot.state import Phase
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

log = logging.getLogger(__name__)

READ_EVERY, READ_AGAIN = 300.0, 30.0
"""Seconds between two questions when the allocation ends, which a user may change; and after one without an answer."""
LEAST_IDLE = 2.0
"""Seconds for which a pilot looks for jobs at least."""
USUAL_GRACE = 30.0
"""Seconds that a job gets to end, in which none starts any more."""
SAME_SIGNAL = 2.0
"""Seconds within which one signal reaches a pilot and its jobs."""
BEFORE_DEATH = 8 * SAME_SIGNAL
"""Seconds within which a pilot's successor starts, and looks at what has ended since."""


class AllocationWatch:
    """Ends what runs when the allocation ends, however that comes about."""

    def __init__(
        self, context: Context, lent: LentState, supervisor: Supervisor, drain: Callable[[], None]
    ) -> None:
        """`drain` claims no more, so that the pilot leaves when its jobs have ended."""
        self.context, self.lent, self._supervisor, self._drain = context, lent, supervisor, drain
        self._read_at, self._is_reading = 0.0, False
        self._busy_at, self._is_asking = monotonic(), False
        self._ending: tuple[str, float] | None = None
        context.workers.submit(
            partial(lent_files.remove_left, context.folder), self._removed, log.error, lane="left"
        )
        self.dies_at = inf
        """When everything in the allocation is killed, by the monotonic clock."""

    def tick(self, now: float) -> float:
        """Look at the end, and whether there is anything to do; return the next wake-up."""
        self._end_others()
        return min(self._read(now), self._end(now), self._leave_idle(now))

    def _removed(self, names: list[str]) -> None:
        if names:
            log.info("removed what killed pilots have left here: %s", listed(names))

    # The end

    def _read(self, now: float) -> float:
        if self._is_reading:
            return inf
        if now < self._read_at:
            return self._read_at
        self._read_at, self._is_reading = now + READ_EVERY, True
        read_end = self.lent.lent.read_end
        self.context.workers.submit(read_end, self._seen, self._unseen, lane="allocation")
        return inf

    def _seen(self, ends_at: datetime | None) -> None:
        self._is_reading = False
        if ends_at != self.lent.ends_at:
            log.info("the allocation ends at %s", ends_at and f"{ends_at.astimezone():%F %T}")
        self.lent.learn_end(ends_at)

    def _unseen(self, error: Exception) -> None:
        self._is_reading, self.lent.is_read = False, True
        self._read_at = monotonic() + READ_AGAIN
        log.warning("when the allocation ends is not known: %s", error)

    def _end(self, now: float) -> float:
        """End what runs while there is time for it to end, and for the outcomes to be reported."""
        lent, state = self.lent, self.context.state
        if lent.ends_at is None or state.draining:
            return inf
        running = [attempt.note.grace for attempt in state.with_slots()]
        left = lent.left - lent.margin - max(running, default=min(USUAL_GRACE, lent.margin))
        if left > 0:
            return now + left
        log.info("the allocation ends at %s", f"{lent.ends_at.astimezone():%T}")
        self._end_all(f"{ALLOCATION} ends at {lent.ends_at.astimezone():%H:%M}", inf)
        return inf

    def stop(self) -> None:
        """End everything now, and for good: the engine has sent TERM. Jobs that have got it, too, are not at fault."""
        lent = self.lent.lent
        seconds = ending.time_to_die(self.lent.left, ending=lent.ending, kill_wait=lent.kill_wait)
        self.dies_at = min(self.dies_at, monotonic() + seconds)
        log.info("the allocation ends; everything is killed in %.0f s", seconds)
        self._end_now(SAME_SIGNAL, ending.grace_within(seconds))

    def succeed(self) -> None:
        """End everything that an earlier pilot has left: it has died, mostly because the allocation has ended."""
        log.info("the pilot of this allocation has died; ending its jobs")
        self._end_now(BEFORE_DEATH, inf)

    def _end_now(self, before: float, grace: float) -> None:
        self._supervisor.reporter.excuse(
            boottime() - before, f"ended because {ALLOCATION} was ended"
        )
        self._end_all(f"{ALLOCATION} was ended", grace)

    def _end_all(self, reason: str, grace: float) -> None:
        self._drain()
        self._ending = reason, grace
        self._supervisor.end_all(reason, grace_at_most=grace)

    def _end_others(self) -> None:
        """End what has come to light since, such as the jobs of a keeper that did not answer before."""
        attempts = self.context.state.attempts.values()
        if self._ending and any(a.phase is Phase.RUNNING and not a.end_reason for a in attempts):
            reason, grace = self._ending
            self._supervisor.end_all(reason, grace_at_most=grace)

    # Nothing to do

    def _leave_idle(self, now: float) -> float:
        context, idle = self.context, self.lent.idle
        if context.state.attempts:
            self._busy_at = now
        if context.state.attempts or context.state.draining or self._is_asking or idle is None:
            return inf
        due = self._busy_at + max(idle, LEAST_IDLE)
        if now < due:
            return due
        self._is_asking = True
        node = context.node_id
        context.database.submit(
            lambda conn: work.ask_to_leave(conn, node), self._answered, self._not_answered
        )
        return inf

    def _answered(self, may_leave: bool) -> None:
        self._is_asking, self._busy_at = False, monotonic()
        if may_leave:
            log.info("there is nothing to do: leaving")
            self._drain()

    def _not_answered(self, error: Exception) -> None:
        self._is_asking, self._busy_at = False, monotonic()
        log.error("asking whether to leave failed: %s", error)
