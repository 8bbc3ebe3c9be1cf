"""What keepers say, and what is done about it: attempts have begun, have ended, are to be ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from orchestra.domain import troubles
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.states import Cause
from orchestra.pilot import logs, open_log, orphan_reaper
from orchestra.pilot.context import Context, LaunchConfig
from orchestra.pilot.finalize import Finalizer, finalize, sweep
from orchestra.pilot.keeper_messages import (
    Ended,
    Event,
    Hello,
    KeeperError,
    KeeperSuperseded,
    Refused,
    Started,
)
from orchestra.pilot.keepers import KeeperHandle
from orchestra.pilot.open_log import OpenLog
from orchestra.pilot.prefetch import QUICK_SECONDS
from orchestra.pilot.report import Reporter, outcome_of, outcome_of_refusal
from orchestra.pilot.state import LocalAttempt, Note, Phase

log = logging.getLogger(__name__)

REFUSED_PAUSE = 5.0
SILENT_AFTER = 15.0
"""Seconds after which a keeper that has not answered a start is said to be silent."""


def _lay_to_rest(
    launch: LaunchConfig,
    started: Started | None,
    outcome: Outcome,
    note: Note,
    own_log: OpenLog | None,
) -> Outcome:
    """End what a dead keeper left running (None: nothing can be left), then look at it. An I/O thread's."""
    if started:
        own_log = own_log or open_log.of_process(started)
        orphan_reaper.end(started, grace=note.grace, log=logs.path_of(started.key, note))
    sweep(outcome, note, launch)
    try:
        return finalize(outcome, note, launch, own_log)
    finally:
        if own_log:
            own_log.close()


def _is_lost(handle: KeeperHandle) -> bool:
    """Whether a keeper is to be connected to again."""
    return not (handle.link or handle.dead or handle.incompatible)


def _as_asked(ended: Ended, attempt: LocalAttempt) -> Ended:
    """Give the end of an attempt that was ended from outside as its keeper would have told it, had it been asked."""
    if attempt.end_reason is None or ended.cause not in (Cause.EXIT, Cause.SIGNAL):
        return ended
    return replace(ended, cause=Cause.ENDED, reason=attempt.end_reason)


class Supervisor:
    """Takes in what keepers say."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.reporter = Reporter(context, self.end)
        self._finalizer = Finalizer(context, self.reporter)
        self.renew_wanted = False

    def tick(self, now: float) -> float:
        """Hear every keeper; gives when to be called again."""
        for handle in list(self.context.keepers.handles.values()):
            if handle.link:
                self._hear(handle)
            elif (
                _is_lost(handle)
                and now >= handle.again_at
                and self.context.keepers.reconnect(handle)
            ):
                self.meet(handle)
        self._close_out()
        lost = (
            handle.again_at for handle in self.context.keepers.handles.values() if _is_lost(handle)
        )
        return min([self._finalizer.tick(now), self._say_silent(now), *lost])

    def _say_silent(self, now: float) -> float:
        """Have `node list` name keepers that do not answer, stopped ones say; gives when to look again."""
        due = float("inf")
        for handle in self.context.keepers.handles.values():
            if handle.asked_at is not None and now >= handle.asked_at + SILENT_AFTER:
                self.context.troubles["silent"] = troubles.keeper_silent(handle.hello.pid)
                return due
            if handle.asked_at is not None:
                due = min(due, handle.asked_at + SILENT_AFTER)
        self.context.troubles.pop("silent", None)
        return due

    def meet(self, handle: KeeperHandle) -> None:
        """Compare what a keeper says in its hello with what this agent holds."""
        hello, state = handle.hello, self.context.state
        for ended in hello.outcomes:
            self._on_ended(handle, ended)
        self._finalizer.flush()
        if handle.dead:
            self._on_death(handle)
            return
        for started in hello.running:
            self._on_started(handle, started)
        there = {started.key for started in hello.running} | {e.key for e in hello.outcomes}
        lost = [
            attempt
            for attempt in state.of_keeper(handle.id)
            if attempt.phase in (Phase.QUEUED, Phase.RUNNING) and attempt.key not in there
        ]
        if handle.incompatible:
            self._forget(handle, {attempt.key for attempt in lost})
            return
        for attempt in lost:
            self.reporter.release(attempt, "its start got lost on the way to its keeper")

    def _forget(self, handle: KeeperHandle, missing: set[AttemptKey]) -> None:
        """Forget what is not in a living keeper's spool any more: the agent that it speaks with has reported its end.

        Not at the first look, which may have met the keeper in the middle of writing.
        """
        for key in missing & handle.missing:
            self.context.state.drop(key)
        handle.missing = missing

    def end(self, key: AttemptKey, reason: str) -> None:
        """Have an attempt ended, wherever it is on its way. May be repeated."""
        attempt = self.context.state.attempts.get(key)
        if attempt is None or attempt.phase is Phase.REPORTING:
            return
        again = attempt.end_reason is not None
        attempt.end_reason = attempt.end_reason or reason
        if attempt.phase is Phase.WAITING:
            self.reporter.release(attempt, f"not started: {reason}")
        elif attempt.phase in (Phase.QUEUED, Phase.RUNNING) and not again:
            self._send_end(attempt, reason)

    def recall(self, key: AttemptKey) -> None:
        """Have an attempt handed back whose task is held; one that has begun runs on. May be repeated."""
        attempt = self.context.state.attempts.get(key)
        if attempt is None:
            return
        if attempt.phase in (Phase.WAITING, Phase.PREPARING):
            self.end(key, "its task is held")
        elif attempt.phase is Phase.QUEUED and not attempt.withdrawing:
            self.context.keepers.withdraw(attempt)

    def _send_end(self, attempt: LocalAttempt, reason: str) -> None:
        handle = self.context.keepers.handles.get(attempt.keeper)
        if handle and handle.link:
            handle.link.send_end(attempt.key, grace=attempt.note.grace, reason=reason)
        elif handle and handle.incompatible and not handle.dead:
            self._end_from_outside(handle, attempt)

    def _end_from_outside(self, handle: KeeperHandle, attempt: LocalAttempt) -> None:
        """End an attempt whose keeper cannot be told to; it will see how the attempt ends."""
        for started in handle.hello.running:
            if started.key == attempt.key:
                where = logs.path_of(attempt.key, attempt.note)
                self.context.workers.submit(
                    partial(orphan_reaper.end, started, grace=attempt.note.grace, log=where),
                    lambda _: None,
                    partial(log.error, "job %s could not be ended: %s", attempt.key),
                    lane=attempt.key.task_id,
                )

    # What keepers say

    def _hear(self, handle: KeeperHandle) -> None:
        assert handle.link is not None
        try:
            for event in handle.link.receive():
                handle.asked_at = None
                self._on_event(handle, event)
        except KeeperSuperseded:
            # Another agent: the database knows which of us decides.
            self.context.keepers.lose(handle, reconnect=False)
            self.renew_wanted = True
        except KeeperError as error:
            log.warning("keeper %s: %s", handle.id, error)
            self.context.keepers.lose(handle, reconnect=True)

    def _on_event(self, handle: KeeperHandle, event: Event) -> None:
        match event:
            case Hello():
                handle.hello = event
                self.meet(handle)
            case Started():
                self._on_started(handle, event)
            case Refused():
                self._on_refused(event)
            case Ended():
                self._on_ended(handle, event)

    def _on_started(self, handle: KeeperHandle, started: Started) -> None:
        attempt = self._held(handle, started)
        attempt.began = started.boottime
        if (
            attempt.end_reason is not None
            and attempt.phase is Phase.RUNNING
            and not handle.incompatible
        ):
            self._send_end(attempt, attempt.end_reason)

    def _on_refused(self, refused: Refused) -> None:
        attempt = self.context.state.attempts.get(refused.key)
        if attempt is None or attempt.phase not in (Phase.QUEUED, Phase.RUNNING):
            return
        outcome = outcome_of_refusal(refused)
        self.reporter.add(attempt, outcome)
        if refused.reason == "spool":
            self.context.disk_suspected = True
        if outcome.cause is Cause.RETURNED and refused.reason != "withdrawn":
            self.context.pause_claims(REFUSED_PAUSE, f"cannot start jobs: {refused.message}")

    def _on_ended(self, handle: KeeperHandle, ended: Ended) -> None:
        if ended.key in handle.taken:
            return
        attempt = self._held(handle, ended)
        if handle.incompatible:
            handle.taken.add(ended.key)
            ended = _as_asked(ended, attempt)
        if attempt.phase in (Phase.FINALIZING, Phase.REPORTING):
            return
        succeeded = ended.cause is Cause.EXIT and ended.exit_status == 0
        if succeeded or ended.seconds >= QUICK_SECONDS:  # what fails at once proves nothing
            self.context.appetite.measure(ended.key.task_id, ended.seconds)
        same_boot = handle.hello.boot_id == self.context.boot_id
        ended_at = ended.boottime if same_boot else None
        self._finalizer.add(attempt, outcome_of(ended, attempt), ended_at)

    def _held(self, handle: KeeperHandle, event: Started | Ended) -> LocalAttempt:
        attempt = self.context.state.attempts.get(event.key)
        if attempt is None:  # an earlier agent started it
            attempt = LocalAttempt(event.key, handle.id, Note.from_json(event.note), Phase.RUNNING)
            self.context.state.add(attempt)
            if isinstance(event, Started) and not handle.dead:
                self._adopt_log(attempt, event)
        return attempt

    def _adopt_log(self, attempt: LocalAttempt, started: Started) -> None:
        """Have the log of an earlier agent's attempt open, too, before its job removes it."""

        def then(found: OpenLog | None) -> None:
            if attempt.phase is Phase.RUNNING:
                attempt.log = found

        self.context.workers.submit(
            partial(open_log.of_process, started), then, lambda _: None, lane=attempt.key.task_id
        )

    # Keepers that died

    def _on_death(self, handle: KeeperHandle) -> None:
        """Nobody can know how the attempts of a dead keeper end: they are ended, and are lost."""
        same_boot = handle.hello.boot_id == self.context.boot_id
        ended = {outcome.key for outcome in handle.hello.outcomes}
        running = [started for started in handle.hello.running if started.key not in ended]
        for started in running:
            attempt = self._held(handle, started)
            attempt.phase = Phase.FINALIZING
            attempt.leave_line()
            reason = "its keeper has died" if same_boot else "its node was started anew"
            outcome = Outcome(started.key, Cause.LOST, reason=reason, devices=attempt.note.devices)
            self.context.workers.submit(
                partial(
                    _lay_to_rest,
                    self.context.launch,
                    started if same_boot else None,
                    outcome,
                    attempt.note,
                    attempt.take_log(),
                ),
                partial(self.reporter.add, attempt),
                partial(self._not_finalized, attempt, outcome),
                lane=attempt.key.task_id,
            )
        there = {started.key for started in running} | ended
        for attempt in list(self.context.state.of_keeper(handle.id)):
            if attempt.key not in there and attempt.phase in (
                Phase.WAITING,
                Phase.QUEUED,
                Phase.RUNNING,
            ):
                if handle.closed_out:  # by another agent, which has told what became of it
                    if ready := attempt.take_ready():
                        ready.close()
                    self.context.state.drop(attempt.key)
                else:
                    self.reporter.release(attempt, "its keeper has died")

    def _not_finalized(self, attempt: LocalAttempt, outcome: Outcome, _: Exception) -> None:
        self.reporter.add(attempt, outcome)

    def _close_out(self) -> None:
        """Forget the dead of which all is reported, once the database has taken back what else they were granted."""
        for handle in list(self.context.keepers.handles.values()):
            nothing_left = not any(self.context.state.of_keeper(handle.id))
            if handle.dead and handle.closed_out and nothing_left:
                self.context.database_memory.close_out(
                    handle.id
                )  # first: without its folder nobody else knows
                self.context.keepers.close_out(handle)
