"""Spawning: waiting attempts get slots, are prepared, and are sent to their keeper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from time import monotonic

from orchestra.domain import troubles
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.resource_text import too_much
from orchestra.domain.states import Queue
from orchestra.pilot import allocator, claim_policy, run_ahead
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.image_pull import ImagePuller
from orchestra.pilot.outcomes import plain_text
from orchestra.pilot.prepare import Result, Unready, prepare_all
from orchestra.pilot.report import Reporter
from orchestra.pilot.state import LocalAttempt, Phase, Ready
from orchestra.pilot.volumes import silence_of, volume_of

UNFIT_PAUSE = 5.0
UNREACHABLE_PAUSE = 5.0
FAILED_PAUSE = 30.0
REVISE_EVERY = 0.05
"""Seconds between two checks for excess attempts: hundreds of quick jobs end in a second."""


class Spawner:
    """Gives slots to waiting attempts and sends them to their keeper."""

    def __init__(
        self, context: Context, reporter: Reporter, resume_claims: Callable[[], None]
    ) -> None:
        """`resume_claims` is called when jobs can be claimed again that could not be started."""
        self.context, self._reporter, self._resume_claims = context, reporter, resume_claims
        self._preparing: dict[AttemptKey, tuple[float, LocalAttempt]] = {}
        self._revised_at = 0.0
        self.image_puller = ImagePuller(context, reporter, self._prepare)

    def tick(self, now: float) -> float:
        """Start what fits; return the next wake-up."""
        context, state, policy = self.context, self.context.state, self.context.claim_policy
        if now >= self._stall_due(now):
            self._release_stalled(now)
        self._release_unfit()
        revise_at = self._release_excess(now)
        self.image_puller.tick(now)
        if context.readmit_tasks(now):
            self._resume_claims()
        for attempt, devices in allocator.startable(state):
            handle = context.keepers.handles.get(attempt.keeper)
            if handle and handle.link:
                self._start(attempt, devices)
        for attempt, last in run_ahead.to_queue(state, policy, boottime()):
            self._queue(attempt, last)
        for attempt in run_ahead.to_withdraw(state, boottime()):
            context.keepers.withdraw(attempt)
        ahead = claim_policy.to_prepare(state, policy, self._preparing)
        self._prepare([attempt for attempt in ahead if self.image_puller.is_ready(attempt)])
        readmit_at = min(context.avoided.values(), default=inf)
        slow_at = now + run_ahead.seconds_until_slow(state, boottime())
        return min(self._stall_due(now), readmit_at, slow_at, revise_at)

    # Slots, preparation, keeper

    def _start(self, attempt: LocalAttempt, devices: str | None) -> None:
        """Assign slots to an attempt, which is sent to its keeper as soon as it is prepared."""
        attempt.phase, attempt.slots_since = Phase.PREPARING, boottime()
        if ready := attempt.take_ready():
            self._finish(attempt, ready)
        elif attempt.key not in self._preparing:
            attempt.note = replace(attempt.note, devices=devices)
            if self.image_puller.is_ready(attempt):
                self._prepare([attempt])
            else:
                self.image_puller.add(attempt)

    def _prepare(self, batch: Sequence[LocalAttempt]) -> None:
        """Prepare attempts, those of one task in one I/O thread."""
        now = monotonic()
        by_task: dict[int, list[LocalAttempt]] = {}
        for attempt in batch:
            self.image_puller.note_image(attempt)
            self._preparing[attempt.key] = now, attempt
            by_task.setdefault(attempt.key.task_id, []).append(attempt)
        for task, attempts in by_task.items():
            self.context.workers.submit(
                partial(prepare_all, self.context.launch, attempts, nice=self.context.state.nice),
                partial(self._prepared, attempts),
                partial(self._failed, attempts),
                lane=task,
            )

    def _failed(self, batch: Sequence[LocalAttempt], error: Exception) -> None:
        self._prepared(batch, [error] * len(batch))

    def _prepared(self, batch: Sequence[LocalAttempt], results: Sequence[Result]) -> None:
        for attempt, result in zip(batch, results, strict=True):
            # It may have been released meanwhile, because it stalled or was to be ended.
            is_wanted = self._note_prepared(attempt) and attempt.phase is not Phase.REPORTING
            if is_wanted and isinstance(result, Ready):
                attempt.note = replace(attempt.note, scratch=result.scratch)
            if is_wanted and attempt.phase is Phase.WAITING and isinstance(result, Ready):
                attempt.ready = result
            elif is_wanted:
                self._finish(attempt, result)
            elif isinstance(result, Ready):
                result.close()
                self.context.launch.take_back(result.scratch)

    def _finish(self, attempt: LocalAttempt, result: Result) -> None:
        if isinstance(result, Exception):
            self._reporter.release(attempt, plain_text(f"not started: {result!r}") or "")
            self.context.pause_claims(FAILED_PAUSE, f"cannot start jobs: {result!r}")
        elif isinstance(result, Unready):
            reason = plain_text(result.reason)
            if result.avoid_task:
                task = attempt.key.task_id
                self.context.avoid_task(UNREACHABLE_PAUSE, task, result.avoid_task)
            self._reporter.add(attempt, Outcome(attempt.key, result.cause, reason=reason))
        elif trouble := self._too_late(attempt):
            result.close()
            self._reporter.release(attempt, trouble)
        else:
            self._send_spawn(attempt, result)

    def _too_late(self, attempt: LocalAttempt) -> str | None:
        handle = self.context.keepers.handles.get(attempt.keeper)
        if attempt.end_reason is not None:
            return f"not started: {attempt.end_reason}"
        return None if handle and handle.link else "not started: its keeper has gone"

    def _queue(self, attempt: LocalAttempt, last: LocalAttempt) -> None:
        """Queue a prepared attempt at its keeper, behind the last one of a lane."""
        ready = attempt.take_ready()
        handle = self.context.keepers.handles.get(attempt.keeper)
        assert ready
        if handle and handle.link:
            self._send_spawn(attempt, ready, last)
        else:
            attempt.ready = ready

    def _send_spawn(
        self, attempt: LocalAttempt, ready: Ready, last: LocalAttempt | None = None
    ) -> None:
        """Send an attempt to its keeper, which starts it at once, or after the last one of a lane."""
        handle = self.context.keepers.handles[attempt.keeper]
        assert handle.link is not None
        attempt.phase, attempt.log = Phase.RUNNING, ready.own_log
        if last:
            attempt.queue_behind(last)
        elif handle.spawn_sent_at is None:
            handle.spawn_sent_at = monotonic()
        runtime = self.context.launch.runtime(attempt.note.runtime)
        limits_memory = runtime is not None and runtime.limits_memory
        handle.link.send_spawn(
            attempt.key,
            ready.argv,
            ready.environment,
            ready.log,
            timeout=attempt.note.timeout,
            grace=attempt.note.grace,
            memory=None if limits_memory else attempt.note.memory,
            note=attempt.note.to_json(),
            after=last.key if last else None,
            folder=ready.folder,
            nice=self.context.state.nice,
        )

    # Releases

    def _stall_due(self, now: float) -> float:
        """When to check for stalled starts next. `_preparing` is in the order in which they began."""
        first = next(iter(self._preparing.values()), None)
        due = inf if first is None else first[0] + self.context.launch.stall_after
        if now < due:
            return due
        return min(self._stalls_at(*each) for each in self._preparing.values())

    def _stalls_at(self, began: float, attempt: LocalAttempt) -> float:
        """When a start counts as stalled. A checksum that makes progress does not stall it."""
        launch = self.context.launch
        progress = launch.io_activity.last_read(attempt.key.task_id)
        return max(began, progress) + launch.stall_after

    def _release_stalled(self, now: float) -> None:
        """Release attempts whose file system does not answer, so that others can use their slots."""
        context = self.context
        for key, (began, attempt) in list(self._preparing.items()):
            if now < self._stalls_at(began, attempt):
                continue
            del self._preparing[key]
            context.stalled[key] = key.task_id
            if attempt.phase is Phase.REPORTING:
                continue  # released already
            path = context.launch.io_activity.stuck(key.task_id) or volume_of(attempt)
            why = silence_of(path, attempt)
            context.troubles[f"stalled {key.task_id}"] = troubles.cannot_start(key.task_id, why)
            self._reporter.release(attempt, f"not started: {why}")
            for other in context.state.waiting():
                if other.key.task_id == key.task_id:
                    self._reporter.release(other, f"not started: {why}")

    def _note_prepared(self, attempt: LocalAttempt) -> bool:
        """Note that an attempt's I/O thread has finished; return whether the attempt had not stalled."""
        key = attempt.key
        if self._preparing.pop(key, None):
            return True
        self.context.stalled.pop(key, None)
        if key.task_id not in self.context.stalled.values():
            self.context.troubles.pop(f"stalled {key.task_id}", None)
            self._resume_claims()
        return False

    def _release_unfit(self) -> None:
        state = self.context.state
        for attempt in allocator.unfit(state):
            room, note = allocator.offered(state), attempt.note
            job = f"job {attempt.key.task_id}/{attempt.key.index}"
            why = f"{job} needs {too_much(note.request, room)}, more than this node has"
            self._reporter.release(attempt, why)
            if room.cpus if note.queue is Queue.CPU else room.devices:
                self.context.pause_claims(UNFIT_PAUSE, why)

    def _release_excess(self, now: float) -> float:
        """Release prefetched attempts that are not needed; return the next wake-up."""
        if now < self._revised_at + REVISE_EVERY:
            return self._revised_at + REVISE_EVERY
        self._revised_at = now
        state, policy = self.context.state, self.context.claim_policy
        released = claim_policy.excess(state, policy, boottime())
        for attempt in released:
            why = "claimed ahead, and it would wait here for longer than a moment"
            self._reporter.release(attempt, why)
        if released:
            policy.record_release(released, state.waiting())
        return inf
