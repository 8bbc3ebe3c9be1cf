"""Reports starts and outcomes to the database, and lets keepers forget outcomes that are safe."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from time import monotonic
from uuid import UUID

from orchestra.domain import troubles
from orchestra.domain.errors import DatabaseBusy, KeeperFenced, PoisonousRequest
from orchestra.domain.human import listed
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.states import Cause, Queue
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.delivery import Delivery, Pending, deliver, set_aside
from orchestra.pilot.start_report import StartReporter, if_unexpected
from orchestra.pilot.state import LocalAttempt, Phase

log = logging.getLogger(__name__)

MAX_BATCH = 64
LINGER = 0.1
"""Seconds for which an outcome waits for others while jobs run."""
SETTLE = 2.0
"""Seconds for which a failure in an allocation waits, because that may just be ending."""
RETRY_SECONDS = 5.0
MAX_DELAY = 60.0
"""Seconds between two attempts to report the outcomes of a task that is locked."""


@dataclass(slots=True)
class _DelayedTask:
    """A task whose outcomes could not be reported because its row was locked.

    Args:
        until: when they are retried, by the monotonic clock.
    """

    until: float = 0.0
    times: int = 0

    def delay(self) -> None:
        self.times += 1
        self.until = monotonic() + min(RETRY_SECONDS * 2**self.times, MAX_DELAY)


class Reporter:
    """Reports how attempts ended, in batches, and acknowledges to the keeper what the database has committed."""

    def __init__(self, context: Context, end: Callable[[AttemptKey, str], None]) -> None:
        """`end` is called with attempts that the database has given to others, and a reason."""
        self.context = context
        self._starts = StartReporter(context, end)
        self._waiting: dict[UUID, deque[Pending]] = {}
        self._oldest = self._not_before = 0.0
        self._reporting = False
        self._max_batch = MAX_BATCH
        self._delayed_tasks: dict[int, _DelayedTask] = {}
        self._doubted: set[AttemptKey] = set()
        self._limited: dict[int, Queue] = {}
        self._failures: deque[tuple[float, UUID, Pending]] = deque()
        self._excuse: tuple[float, str] | None = None

    def add(self, attempt: LocalAttempt, outcome: Outcome, ended_at: float | None = None) -> None:
        """Queue the outcome of an attempt. `ended_at` is by CLOCK_BOOTTIME, now if it is None."""
        if attempt.note.scratch:
            self.context.launch.take_back(attempt.note.scratch)
        attempt.phase = Phase.REPORTING
        attempt.leave_queue()
        if ready := attempt.take_ready():
            ready.close()
        if own_log := attempt.take_log():
            own_log.close()
        pending = Pending(outcome, boottime() if ended_at is None else ended_at)
        if self.context.lent and self._excuse is None and _may_be_excused(pending):
            self._failures.append((monotonic() + SETTLE, attempt.keeper, pending))
        else:
            self._append(attempt.keeper, pending)

    def _append(self, keeper: UUID, pending: Pending) -> None:
        if not any(self._waiting.values()):
            self._oldest = monotonic()
        queue = self._waiting.setdefault(keeper, deque())
        queue.append(self._excused(pending))

    def excuse(self, since: float, reason: str) -> None:
        """Report commands that have failed since then (CLOCK_BOOTTIME) as ended for a reason, at no cost.

        What ends an allocation may reach its jobs as well as the pilot, sooner or later.
        """
        self._excuse = self._excuse or (since, reason)
        self._settle(inf)

    def give_up(self) -> None:
        """Let the keepers forget what no database will take."""
        pending = [(keeper, each) for keeper, queue in self._waiting.items() for each in queue]
        for keeper, each in (*pending, *[(k, p) for _, k, p in self._failures]):
            self._acknowledge(keeper, [each.outcome])

    def _excused(self, pending: Pending) -> Pending:
        if self._excuse is None or not _may_be_excused(pending):
            return pending
        since, reason = self._excuse
        if pending.ended_at < since:
            return pending
        return replace(pending, outcome=replace(pending.outcome, cause=Cause.CLOSED, reason=reason))

    def _settle(self, now: float) -> float:
        """Report the failures of which it is certain now that nothing excuses them; return the next wake-up."""
        while self._failures and self._failures[0][0] <= now:
            _, keeper, pending = self._failures.popleft()
            self._append(keeper, pending)
        return self._failures[0][0] if self._failures else inf

    def release(self, attempt: LocalAttempt, reason: str) -> None:
        """Return an attempt without a process to the database, which requeues its job."""
        self.add(attempt, Outcome(attempt.key, Cause.RETURNED, reason=reason))

    def tick(self, now: float) -> float:
        """Send what is due; return the next wake-up."""
        return min(self._starts.tick(), self._settle(now), self._report(now))

    def _report(self, now: float) -> float:
        count = sum(map(len, self._waiting.values()))
        if not count or self._reporting:
            return inf
        due = max(self._oldest + LINGER, self._not_before)
        hurry = count >= MAX_BATCH or self.context.state.at_rest or self._have_successors()
        if now < (self._not_before if hurry else due):
            return due
        keeper, batch = self._next_batch(now)
        if not batch:
            return min(task.until for task in self._delayed_tasks.values())
        self._oldest, self._reporting = now, True
        self.context.database.submit(
            partial(deliver, keeper, batch),
            partial(self._delivered, keeper, batch),
            partial(self._not_delivered, keeper, batch),
            busy_tries=1,  # other tasks must not wait for one that is locked
        )
        self._claim_successors(batch)
        return inf

    def _have_successors(self) -> bool:
        """Whether an outcome is of a task with max_running: its next job is not released before this is reported."""
        return bool(self._limited) and any(
            pending.outcome.key.task_id in self._limited
            for queue in self._waiting.values()
            for pending in queue
        )

    def _claim_successors(self, batch: Sequence[Pending]) -> None:
        """Let the next claim, which the database gets after this report, look for the jobs that the report releases."""
        tasks = {pending.outcome.key.task_id for pending in batch}
        if queues := {self._limited[task] for task in tasks & self._limited.keys()}:
            self.context.claim_policy.reset(*queues)

    def _next_batch(self, now: float) -> tuple[UUID, list[Pending]]:
        """Return the next batch of a keeper. Outcomes of delayed tasks come last, one task at a time."""
        for keeper, queue in self._waiting.items():
            if batch := _take(queue, self._max_batch, lambda t: t not in self._delayed_tasks):
                return keeper, batch
        for task, delayed in self._delayed_tasks.items():
            for keeper, queue in self._waiting.items() if delayed.until <= now else ():
                if batch := _take(queue, self._max_batch, task.__eq__):
                    return keeper, batch
        return keeper, []

    # Success

    def _delivered(self, keeper: UUID, batch: Sequence[Pending], delivery: Delivery) -> None:
        self._reporting = False
        for pending in batch:
            task = pending.outcome.key.task_id
            if self._delayed_tasks.pop(task, None):
                self.context.troubles.pop(_delay_name(task), None)
        if delivery.refused or self._doubted:
            batch, delivery = self._without_doubted(keeper, batch, delivery)
            for outcome, error in delivery.refused:
                self._set_aside(outcome, error)
        if delivery.unknown:
            batch = self._without_unknown(keeper, batch, set(delivery.unknown))
        self._acknowledge(keeper, [pending.outcome for pending in batch])
        refused = {outcome.key for outcome, _ in delivery.refused} | set(delivery.unknown)
        committed = [p.outcome.sequence or 0 for p in batch if p.outcome.key not in refused]
        self.context.database_memory.note_report(keeper, max(committed, default=0))
        self._learn_limits(batch, delivery)
        if any(not pending.outcome.succeeded for pending in batch):
            self.context.claim_policy.reset()  # a failed job may be retried

    def _learn_limits(self, batch: Sequence[Pending], delivery: Delivery) -> None:
        """Learn which tasks have max_running, and claim their next jobs."""
        tasks = {pending.outcome.key.task_id for pending in batch}
        if delivery.limited:
            self.context.claim_policy.reset(*delivery.limited.values())
        others = {t: queue for t, queue in self._limited.items() if t not in tasks}
        self._limited = {**others, **delivery.limited}

    def _without_doubted(
        self, keeper: UUID, batch: Sequence[Pending], delivery: Delivery
    ) -> tuple[Sequence[Pending], Delivery]:
        """Deliver refused outcomes again, over a new connection. Only one that is refused twice is set aside.

        What was sent may have been altered on its way.
        """
        refused = {outcome.key for outcome, _ in delivery.refused}
        doubted = [p for p in batch if p.outcome.key in refused - self._doubted]
        self._doubted -= {pending.outcome.key for pending in batch}
        if doubted:
            self._doubted |= {pending.outcome.key for pending in doubted}
            self._waiting[keeper].extendleft(reversed(doubted))
            self.context.database.reconnect()
        batch = [pending for pending in batch if pending not in doubted]
        left = {pending.outcome.key for pending in batch}
        kept = tuple(each for each in delivery.refused if each[0].key in left)
        return batch, replace(delivery, refused=kept)

    def _without_unknown(
        self, keeper: UUID, batch: Sequence[Pending], unknown: Collection[AttemptKey]
    ) -> Sequence[Pending]:
        """Deliver outcomes of unknown attempts again after the keeper is reconciled; later, set them aside."""
        handle = self.context.keepers.handles.get(keeper)
        outcomes = [pending for pending in batch if pending.outcome.key in unknown]
        if outcomes and handle and not handle.reconciled:
            self._waiting[keeper].extendleft(reversed(outcomes))
            self._not_before = monotonic() + LINGER
            return [pending for pending in batch if pending.outcome.key not in unknown]
        for pending in outcomes:
            if pending.outcome.cause is not Cause.RETURNED:
                self._set_aside(pending.outcome, "this copy of the database never granted it")
        return batch

    def _set_aside(self, outcome: Outcome, error: str) -> None:
        path = set_aside(self.context.folder / "set-aside", outcome, error)
        log.error("the database does not accept the outcome of job %s: %s", outcome.key, path)
        self.context.troubles["set aside"] = troubles.set_aside(str(path))

    def _acknowledge(self, keeper: UUID, outcomes: Iterable[Outcome]) -> None:
        handle = self.context.keepers.handles.get(keeper)
        sequences = [o.sequence for o in outcomes if o.sequence is not None]
        for outcome in outcomes:
            self.context.state.drop(outcome.key)
        if handle and handle.link and sequences:
            handle.link.send_ack(sequences)

    # Failure

    def _not_delivered(self, keeper: UUID, batch: Sequence[Pending], error: Exception) -> None:
        self._reporting = False
        if isinstance(error, PoisonousRequest):
            self._halve(keeper, batch, error)
        elif isinstance(error, DatabaseBusy):
            self._delay_tasks(keeper, batch, error)
        else:
            log.error("a report failed, retrying: %s", error, exc_info=if_unexpected(error))
            handle = self.context.keepers.handles.get(keeper)
            if handle and isinstance(error, KeeperFenced):  # a database that does not know it
                handle.registered, handle.register_at = False, 0.0
            self._waiting[keeper].extendleft(reversed(batch))
            self._not_before = monotonic() + RETRY_SECONDS

    def _halve(self, keeper: UUID, batch: Sequence[Pending], error: Exception) -> None:
        """Find the outcome that ends each connection: deliver smaller batches until it is alone."""
        if len(batch) == 1:
            self._max_batch = MAX_BATCH
            self._doubted.add(batch[0].outcome.key)  # set aside now: it has failed many times
            self._delivered(keeper, batch, Delivery(((batch[0].outcome, str(error)),)))
            return
        self._max_batch = len(batch) // 2
        self._waiting[keeper].extendleft(reversed(batch))

    def _delay_tasks(self, keeper: UUID, batch: Sequence[Pending], error: Exception) -> None:
        """Let the outcomes of other tasks go before those of a locked task, which are retried indefinitely."""
        self._waiting[keeper].extend(batch)
        tasks = {pending.outcome.key.task_id for pending in batch}
        for task in tasks:
            delayed = self._delayed_tasks.setdefault(task, _DelayedTask())
            if len(tasks) == 1:
                delayed.delay()
            if delayed.times > 1:
                trouble = troubles.reports_wait(task, str(error))
                self.context.troubles[_delay_name(task)] = trouble
        log.warning("outcomes of %s wait: %s", listed([f"task {t}" for t in sorted(tasks)]), error)


def _take(queue: deque[Pending], most: int, is_wanted: Callable[[int], bool]) -> list[Pending]:
    """Remove the first outcomes of wanted tasks from a queue and return them."""
    batch: list[Pending] = []
    left: list[Pending] = []
    while queue and len(batch) < most:
        pending = queue.popleft()
        (batch if is_wanted(pending.outcome.key.task_id) else left).append(pending)
    queue.extendleft(reversed(left))
    return batch


def _may_be_excused(pending: Pending) -> bool:
    """Whether a command has failed as it may by a signal that its allocation got, too."""
    outcome = pending.outcome
    return outcome.cause in (Cause.EXIT, Cause.SIGNAL) and not outcome.succeeded


def _delay_name(task: int) -> str:
    return f"reports of {task}"
