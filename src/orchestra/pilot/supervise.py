"""What keepers report, and what follows: attempts have started, have ended, or are to be ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from math import inf

from orchestra.domain import troubles
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.states import Cause
from orchestra.pilot import logs, open_log, orphan_reaper
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.finalize import Finalizer, finalize, sweep
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_messages import (
    Ended,
    Event,
    Hello,
    KeeperError,
    KeeperSuperseded,
    Refused,
    Started,
)
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.open_log import OpenLog
from orchestra.pilot.outcomes import outcome_of, outcome_of_refusal
from orchestra.pilot.prefetch import QUICK_SECONDS
from orchestra.pilot.report import Reporter
from orchestra.pilot.state import LocalAttempt, Note, Phase

log = logging.getLogger(__name__)

REFUSED_PAUSE = 5.0
SILENT_AFTER = 15.0
"""Seconds after which a keeper that has not answered a spawn is reported as silent."""


class Supervisor:
    """Handles the events of keepers."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.reporter = Reporter(context, self.end)
        self._finalizer = Finalizer(context, self.reporter)
        self.must_renew = False
        self._grace_at_most = inf

    def tick(self, now: float) -> float:
        """Receive the events of every keeper; return the next wake-up."""
        keepers = self.context.keepers
        for handle in list(keepers.handles.values()):
            if handle.link:
                self._receive(handle)
            elif (
                handle.is_disconnected and now >= handle.reconnect_at and keepers.reconnect(handle)
            ):
                self.take_inventory(handle)
        self._remove_closed_out()
        lost = (h.reconnect_at for h in keepers.handles.values() if h.is_disconnected)
        return min([self._finalizer.tick(now), self._report_silent(now), *lost])

    def _report_silent(self, now: float) -> float:
        """Show in `node list` a keeper that does not answer, for example a stopped one; return the next wake-up."""
        due = inf
        for handle in self.context.keepers.handles.values():
            if handle.spawn_sent_at is not None and now >= handle.spawn_sent_at + SILENT_AFTER:
                self.context.troubles["silent"] = troubles.keeper_silent(handle.hello.pid)
                return due
            if handle.spawn_sent_at is not None:
                due = min(due, handle.spawn_sent_at + SILENT_AFTER)
        self.context.troubles.pop("silent", None)
        return due

    def take_inventory(self, handle: KeeperHandle) -> None:
        """Compare a keeper's hello with the attempts that this agent holds."""
        hello, state = handle.hello, self.context.state
        for ended in hello.outcomes:
            self._on_ended(handle, ended)
        self._finalizer.flush()
        if handle.dead:
            self._on_death(handle)
            return
        for started in hello.running:
            self._on_started(handle, started)
        present = {started.key for started in hello.running} | {e.key for e in hello.outcomes}
        lost = [
            attempt
            for attempt in state.of_keeper(handle.id)
            if attempt.phase in (Phase.QUEUED, Phase.RUNNING) and attempt.key not in present
        ]
        if handle.incompatible:
            self._forget_missing(handle, {attempt.key for attempt in lost})
            return
        for attempt in lost:
            self.reporter.release(attempt, "its start was lost on the way to its keeper")

    def _forget_missing(self, handle: KeeperHandle, missing: set[AttemptKey]) -> None:
        """Forget attempts that left the spool of a living keeper: the agent that it talks to has reported their end.

        Not the first time that they are missing: the spool may have been read in the middle of a write.
        """
        for key in missing & handle.missing:
            self.context.state.drop(key)
        handle.missing = missing

    # Ending attempts

    def end(self, key: AttemptKey, reason: str) -> None:
        """End an attempt, whatever its phase. May be repeated."""
        attempt = self.context.state.attempts.get(key)
        if attempt is None or attempt.phase is Phase.REPORTING:
            return
        again = attempt.end_reason is not None
        attempt.end_reason = attempt.end_reason or reason
        if attempt.phase is Phase.WAITING:
            self.reporter.release(attempt, f"not started: {reason}")
        elif attempt.phase in (Phase.QUEUED, Phase.RUNNING) and not again:
            self._send_end(attempt, reason)

    def end_all(self, reason: str, *, grace_at_most: float = inf) -> None:
        """End all attempts, and those that are being ended within that grace. May be repeated.

        Commands get TERM again only where that makes a difference.
        """
        self._grace_at_most = min(self._grace_at_most, grace_at_most)
        for key, attempt in list(self.context.state.attempts.items()):
            grace = min(attempt.note.grace, self._grace_at_most)
            is_ending = attempt.end_reason is not None and attempt.phase is Phase.RUNNING
            if is_ending and boottime() + grace < attempt.killed_at:
                self._send_end(attempt, attempt.end_reason or reason)
            self.end(key, reason)

    def recall(self, key: AttemptKey, reason: str) -> None:
        """Release an attempt that has not started. One that has started runs on. May be repeated."""
        attempt = self.context.state.attempts.get(key)
        if attempt is None:
            return
        if attempt.phase in (Phase.WAITING, Phase.PREPARING):
            self.end(key, reason)
        elif attempt.phase is Phase.QUEUED and not attempt.withdrawing:
            self.context.keepers.withdraw(attempt)

    def _send_end(self, attempt: LocalAttempt, reason: str) -> None:
        handle = self.context.keepers.handles.get(attempt.keeper)
        if handle and handle.link:
            grace = min(attempt.note.grace, self._grace_at_most)
            attempt.killed_at = boottime() + grace
            handle.link.send_end(attempt.key, grace=grace, reason=reason)
        elif handle and handle.incompatible and not handle.dead:
            self._end_from_outside(handle, attempt)

    def _end_from_outside(self, handle: KeeperHandle, attempt: LocalAttempt) -> None:
        """End an attempt whose keeper cannot be asked to; the keeper notices how it ends."""
        for started in handle.hello.running:
            if started.key == attempt.key:
                path = logs.path_of(attempt.key, attempt.note)
                self.context.workers.submit(
                    partial(orphan_reaper.end, started, grace=attempt.note.grace, log=path),
                    lambda _: None,
                    partial(log.error, "job %s could not be ended: %s", attempt.key),
                    lane=attempt.key.task_id,
                )

    # Events

    def _receive(self, handle: KeeperHandle) -> None:
        assert handle.link is not None
        try:
            for event in handle.link.receive():
                handle.spawn_sent_at = None
                self._on_event(handle, event)
        except KeeperSuperseded:
            # By another agent; the database knows which of the two decides.
            self.context.keepers.disconnect(handle, reconnect=False)
            self.must_renew = True
        except KeeperError as error:
            log.warning("keeper %s: %s", handle.id, error)
            self.context.keepers.disconnect(handle, reconnect=True)

    def _on_event(self, handle: KeeperHandle, event: Event) -> None:
        match event:
            case Hello():
                handle.hello = event
                self.take_inventory(handle)
            case Started():
                self._on_started(handle, event)
            case Refused():
                self._on_refused(event)
            case Ended():
                self._on_ended(handle, event)

    def _on_started(self, handle: KeeperHandle, started: Started) -> None:
        attempt = self._attempt_of(handle, started)
        attempt.started_at = started.boottime
        if self.context.lent:
            self.context.lent.has_run = True
        must_end = attempt.end_reason is not None and attempt.phase is Phase.RUNNING
        if must_end and not handle.incompatible:
            self._send_end(attempt, attempt.end_reason or "")

    def _on_refused(self, refused: Refused) -> None:
        attempt = self.context.state.attempts.get(refused.key)
        if attempt is None or attempt.phase not in (Phase.QUEUED, Phase.RUNNING):
            return
        outcome = outcome_of_refusal(refused)
        self.reporter.add(attempt, outcome)
        if refused.reason == "spool":
            self.context.check_disk = True
        if outcome.cause is Cause.RETURNED and refused.reason != "withdrawn":
            self.context.pause_claims(REFUSED_PAUSE, f"cannot start jobs: {refused.message}")

    def _on_ended(self, handle: KeeperHandle, ended: Ended) -> None:
        if ended.key in handle.seen_outcomes:
            return
        attempt = self._attempt_of(handle, ended)
        if handle.incompatible:
            handle.seen_outcomes.add(ended.key)
            ended = _as_requested(ended, attempt)
        if attempt.phase in (Phase.FINALIZING, Phase.REPORTING):
            return
        succeeded = ended.cause is Cause.EXIT and ended.exit_status == 0
        if succeeded or ended.seconds >= QUICK_SECONDS:  # an early failure says nothing of the pace
            self.context.claim_policy.record_duration(ended.key.task_id, ended.seconds)
        same_boot = handle.hello.boot_id == self.context.boot_id
        ended_at = ended.boottime if same_boot else None
        self._finalizer.add(attempt, outcome_of(ended, attempt), ended_at)

    def _attempt_of(self, handle: KeeperHandle, event: Started | Ended) -> LocalAttempt:
        """Return the attempt of an event; it is added if an earlier agent has started it."""
        attempt = self.context.state.attempts.get(event.key)
        if attempt is None:
            attempt = LocalAttempt(event.key, handle.id, Note.from_json(event.note), Phase.RUNNING)
            self.context.state.add(attempt)
            if isinstance(event, Started) and not handle.dead:
                self._open_log(attempt, event)
        return attempt

    def _open_log(self, attempt: LocalAttempt, started: Started) -> None:
        """Open the log of an earlier agent's attempt, in case its job removes the file."""

        def then(found: OpenLog | None) -> None:
            if attempt.phase is Phase.RUNNING:
                attempt.log = found

        self.context.workers.submit(
            partial(open_log.of_process, started), then, lambda _: None, lane=attempt.key.task_id
        )

    # Dead keepers

    def _on_death(self, handle: KeeperHandle) -> None:
        """End the attempts of a dead keeper. How they would have ended is unknown, so they are lost."""
        same_boot = handle.hello.boot_id == self.context.boot_id
        ended = {outcome.key for outcome in handle.hello.outcomes}
        running = [started for started in handle.hello.running if started.key not in ended]
        for started in running:
            attempt = self._attempt_of(handle, started)
            attempt.phase = Phase.FINALIZING
            attempt.leave_queue()
            reason = "its keeper has died" if same_boot else "its node was restarted"
            outcome = Outcome(started.key, Cause.LOST, reason=reason, devices=attempt.note.devices)
            self.context.workers.submit(
                partial(
                    _end_orphan,
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
        self._release_unstarted(handle, {started.key for started in running} | ended)

    def _release_unstarted(self, handle: KeeperHandle, started: set[AttemptKey]) -> None:
        for attempt in list(self.context.state.of_keeper(handle.id)):
            unstarted = attempt.phase in (Phase.WAITING, Phase.QUEUED, Phase.RUNNING)
            if attempt.key in started or not unstarted:
                continue
            if handle.closed_out:  # by another agent, which has reported the attempt
                if ready := attempt.take_ready():
                    ready.close()
                    self.context.launch.take_back(ready.scratch)
                self.context.state.drop(attempt.key)
            else:
                self.reporter.release(attempt, "its keeper has died")

    def _not_finalized(self, attempt: LocalAttempt, outcome: Outcome, _: Exception) -> None:
        self.reporter.add(attempt, outcome)

    def _remove_closed_out(self) -> None:
        """Forget dead keepers once everything is reported and the database has requeued the rest."""
        for handle in list(self.context.keepers.handles.values()):
            nothing_left = not any(self.context.state.of_keeper(handle.id))
            if handle.dead and handle.closed_out and nothing_left:
                # In this order: without the keeper's folder, only this memory knows of it.
                self.context.database_memory.close_out(handle.id)
                self.context.keepers.remove(handle)


def _end_orphan(
    launch: LaunchConfig,
    started: Started | None,
    outcome: Outcome,
    note: Note,
    own_log: OpenLog | None,
) -> Outcome:
    """End what a dead keeper left running (None: nothing can be left), then finalize it. Runs in an I/O thread."""
    if started:
        own_log = own_log or open_log.of_process(started)
        orphan_reaper.end(started, grace=note.grace, log=logs.path_of(started.key, note))
    sweep(outcome, note, launch)
    try:
        return finalize(outcome, note, launch, own_log)
    finally:
        if own_log:
            own_log.close()


def _as_requested(ended: Ended, attempt: LocalAttempt) -> Ended:
    """Return the end of an attempt that was ended from outside as its keeper would report it if it had been asked."""
    if attempt.end_reason is None or ended.cause not in (Cause.EXIT, Cause.SIGNAL):
        return ended
    return replace(ended, cause=Cause.ENDED, reason=attempt.end_reason)
