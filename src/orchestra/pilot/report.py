"""How attempts ended, and which have begun: in words, in batches, to the database."""

from __future__ import annotations

import errno
import json
import logging
import signal
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from uuid import UUID

import psycopg

from orchestra.domain import troubles
from orchestra.domain.errors import DatabaseBusy, KeeperFenced, OrchestraError, PoisonousRequest
from orchestra.domain.human import duration, listed, size
from orchestra.domain.models.work import AttemptKey, Outcome, Started
from orchestra.domain.states import Cause
from orchestra.domain.storable import storable
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.keeper_messages import Ended, Refused
from orchestra.pilot.state import LocalAttempt, Note, Phase
from orchestra.services import work

log = logging.getLogger(__name__)

STOPPED = "its pilot was stopped"
"""The reason with which `pilot stop --now` ends attempts; their jobs run again elsewhere."""
BATCH = 64
LINGER = 0.1
"""Seconds for which an outcome waits for others while jobs run."""
ANNOUNCE_AFTER = 0.05
"""Seconds after which a start is reported; jobs that are over sooner are reported once."""
AGAIN_AFTER = 5.0
HELD_UP_AT_MOST = 60.0
"""Seconds between two tries to report the outcomes of a task that a lock keeps from being reported."""

# Trouble of the node, not of the command.
_PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE}
_SHELL = {126: "the command could not be run", 127: "command not found"}


# In words


def in_words(ended: Ended, note: Note, end_reason: str | None = None) -> str | None:
    """Give the reason of an end, for people; None for a success."""
    match ended.cause:
        case Cause.EXIT:
            return _exit_words(ended.exit_status)
        case Cause.SIGNAL:
            return f"killed by signal {_signal_words(ended.signal)}, not by Orchestra"
        case Cause.TIMEOUT:
            limit = f" of {duration(note.timeout)}" if note.timeout else ""
            return f"ran longer than its time limit{limit}"
        case Cause.OUT_OF_MEMORY:
            return _memory_words(ended, note)
        case Cause.LEASE:
            return "ended because its node had not reached the database for as long as the lease"
        case _:
            why = end_reason or ended.reason
            return f"ended because {why}" if why else "ended on request"


def without_container(ended: Ended) -> Ended:
    """Give the end of a command as it would be known without its container: that adds 128 to a signal's number."""
    status = ended.exit_status
    number = status - 128 if status is not None else 0
    if number not in signal.valid_signals():
        return ended
    cause = Cause.SIGNAL if ended.cause is Cause.EXIT else ended.cause
    return replace(ended, cause=cause, exit_status=None, signal=int(number))


def _memory_words(ended: Ended, note: Note) -> str:
    if note.memory is not None and note.runtime in ("podman", "docker"):
        return f"ran out of memory: it needed more than {size(note.memory)} (--memory)"
    used = size(ended.usage.max_rss_bytes or 0)
    if note.memory is None:
        return f"killed by the kernel because the machine ran out of memory; it used {used}"
    return (
        f"ran out of memory: it used {used} of the {size(note.memory)} that it may use (--memory)"
    )


def _exit_words(status: int | None) -> str | None:
    if status in (0, None):
        return None
    return f"exit status {status}" + (f" ({_SHELL[status]})" if status in _SHELL else "")


def _signal_words(number: int | None) -> str:
    try:
        return f"{number} ({signal.Signals(number or 0).name})"
    except ValueError:
        return str(number)


def plain_text(text: str | None) -> str | None:
    """Give text that PostgreSQL takes: without NUL and without half characters of file names."""
    if text is None:
        return None
    return storable(text)


# Outcomes


def outcome_of(ended: Ended, attempt: LocalAttempt) -> Outcome:
    """Give the outcome that a keeper's word means, as far as no file needs to be looked at."""
    # By the word that the keeper was given first: an earlier agent may have given it.
    stopped = ended.cause is Cause.ENDED and ended.reason == STOPPED
    if attempt.note.runtime:
        ended = without_container(ended)
    return Outcome(
        key=ended.key,
        # Stopping a pilot is no fault of the job: like an attempt whose lease was over, it costs no retry.
        cause=Cause.LEASE if stopped else ended.cause,
        sequence=ended.sequence,
        exit_status=ended.exit_status,
        signal=ended.signal,
        reason=plain_text(in_words(ended, attempt.note, attempt.end_reason)),
        seconds=ended.seconds,
        usage=ended.usage,
        devices=attempt.note.devices,
        image_digest=attempt.note.image_digest,
    )


def outcome_of_refusal(refused: Refused) -> Outcome:
    """Give the outcome of an attempt that the keeper did not start: a failure only where the command is at fault."""
    at_fault = refused.reason == "invalid" or (refused.reason == "spawn" and not _passing(refused))
    cause = Cause.NO_START if at_fault else Cause.RETURNED
    return Outcome(refused.key, cause, reason=plain_text(f"not started: {refused.message}"))


def _passing(refused: Refused) -> bool:
    return refused.errno in _PASSING


# Batches


@dataclass(frozen=True, slots=True)
class Pending:
    """An outcome that waits, and when the attempt ended, by CLOCK_BOOTTIME."""

    outcome: Outcome
    ended_at: float

    def now(self) -> Outcome:
        return replace(self.outcome, age=max(0.0, boottime() - self.ended_at))


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a batch: those that PostgreSQL would not take, each with what it said, and the attempts that it has
    never heard of, because it was replaced by an older edition of itself."""

    refused: tuple[tuple[Outcome, str], ...] = ()
    unknown: tuple[AttemptKey, ...] = ()


def deliver(keeper: UUID, batch: Sequence[Pending], conn: psycopg.Connection) -> Delivery:
    """Report a batch. One that PostgreSQL refuses for what is in it is halved until the culprit stands alone."""
    try:
        return Delivery(unknown=work.report(conn, keeper, [pending.now() for pending in batch]))
    except (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.InternalError,
        UnicodeError,
    ) as error:
        if len(batch) == 1:
            return Delivery(((batch[0].outcome, str(error)),))
        middle = len(batch) // 2
        first, second = deliver(keeper, batch[:middle], conn), deliver(keeper, batch[middle:], conn)
        return Delivery(first.refused + second.refused, first.unknown + second.unknown)


def set_aside(folder: Path, outcome: Outcome, error: str) -> Path:
    """Keep an outcome that PostgreSQL does not take, with all that is known of it; gives the file."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{str(outcome.key).replace('/', '-')}-{outcome.key.token}.json"
    known = asdict(outcome)
    known["key"]["ordinal"] = known["key"].pop("index")  # as the files of earlier versions have it
    record = {"error": error, "outcome": known}
    path.write_text(json.dumps(record, default=repr, indent=1), encoding="utf-8")
    records = sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime)
    for old in records[:-SET_ASIDE_AT_MOST]:
        old.unlink(missing_ok=True)
    return path


SET_ASIDE_AT_MOST = 1_000
"""Records of outcomes that PostgreSQL did not take; older ones are removed."""


@dataclass(slots=True)
class _HeldUp:
    """A task whose outcomes could not be reported in time: `until` when they wait, by the monotonic clock."""

    until: float = 0.0
    times: int = 0

    def again(self) -> None:
        self.times += 1
        self.until = monotonic() + min(AGAIN_AFTER * 2**self.times, HELD_UP_AT_MOST)


def _take(queue: deque[Pending], most: int, wanted: Callable[[int], bool]) -> list[Pending]:
    """Take the first outcomes out of a queue whose tasks are wanted."""
    batch: list[Pending] = []
    left: list[Pending] = []
    while queue and len(batch) < most:
        pending = queue.popleft()
        (batch if wanted(pending.outcome.key.task_id) else left).append(pending)
    queue.extendleft(reversed(left))
    return batch


class Reporter:
    """Sends what has begun and what has ended; tells the keeper when an outcome is safe."""

    def __init__(self, context: Context, end: Callable[[AttemptKey, str], None]) -> None:
        self.context, self._end = context, end
        self._waiting: dict[UUID, deque[Pending]] = {}
        self._oldest = 0.0
        self._reporting = self._announcing = False
        self._not_before = self._announce_at = 0.0
        self._most = BATCH
        self._held_up: dict[int, _HeldUp] = {}
        self._doubted: set[AttemptKey] = set()

    def add(self, attempt: LocalAttempt, outcome: Outcome, ended_at: float | None = None) -> None:
        """Take in how an attempt ended; without `ended_at`, just now."""
        attempt.phase = Phase.REPORTING
        attempt.leave_line()
        if ready := attempt.take_ready():
            ready.close()
        if own_log := attempt.take_log():
            own_log.close()
        if not any(self._waiting.values()):
            self._oldest = monotonic()
        queue = self._waiting.setdefault(attempt.keeper, deque())
        queue.append(Pending(outcome, boottime() if ended_at is None else ended_at))

    def release(self, attempt: LocalAttempt, reason: str) -> None:
        """Hand a job back whose attempt has no process."""
        self.add(attempt, Outcome(attempt.key, Cause.RETURNED, reason=reason))

    def tick(self, now: float) -> float:
        """Send what is due; gives when to be called again."""
        return min(self._announce(), self._report(now))

    # Outcomes

    def _report(self, now: float) -> float:
        count = sum(map(len, self._waiting.values()))
        if not count or self._reporting:
            return float("inf")
        due = max(self._oldest + LINGER, self._not_before)
        hurry = count >= BATCH or self.context.state.at_rest
        if now < (self._not_before if hurry else due):
            return due
        keeper, batch = self._take(now)
        if not batch:
            return min(each.until for each in self._held_up.values())
        self._oldest, self._reporting = now, True
        self.context.database.submit(
            partial(deliver, keeper, batch),
            partial(self._delivered, keeper, batch),
            partial(self._undelivered, keeper, batch),
            busy_tries=1,  # others are not kept waiting for one task
        )
        return float("inf")

    def _take(self, now: float) -> tuple[UUID, list[Pending]]:
        """Take the next batch out of a queue; outcomes of tasks that held others up go after them, a task at a time."""
        for keeper, queue in self._waiting.items():
            if batch := _take(queue, self._most, lambda task: task not in self._held_up):
                return keeper, batch
        for task, held_up in self._held_up.items():
            for keeper, queue in self._waiting.items() if held_up.until <= now else ():
                if batch := _take(queue, self._most, task.__eq__):
                    return keeper, batch
        return keeper, []

    def _delivered(self, keeper: UUID, batch: Sequence[Pending], delivery: Delivery) -> None:
        self._reporting = False
        for pending in batch:
            task = pending.outcome.key.task_id
            if self._held_up.pop(task, None):
                self.context.troubles.pop(_held_up_trouble(task), None)
        if delivery.refused or self._doubted:
            batch = self._without_doubted(keeper, batch, {o.key for o, _ in delivery.refused})
            left = {pending.outcome.key for pending in batch}
            kept = tuple(r for r in delivery.refused if r[0].key in left)
            delivery = replace(delivery, refused=kept)
            for outcome, error in delivery.refused:
                self._set_aside(outcome, error)
        if delivery.unknown:
            batch = self._without_unknown(keeper, batch, set(delivery.unknown))
        self._acknowledge(keeper, [pending.outcome for pending in batch])
        refused = {outcome.key for outcome, _ in delivery.refused} | set(delivery.unknown)
        committed = [p.outcome.sequence or 0 for p in batch if p.outcome.key not in refused]
        self.context.database_memory.note(keeper, max(committed, default=0))
        if any(not pending.outcome.succeeded for pending in batch):
            self.context.appetite.refresh()  # what failed may be to be done again

    def _set_aside(self, outcome: Outcome, error: str) -> None:
        path = set_aside(self.context.folder / "set-aside", outcome, error)
        log.error("the database does not take the outcome of job %s: %s", outcome.key, path)
        self.context.troubles["set aside"] = troubles.set_aside(str(path))

    def _without_doubted(
        self, keeper: UUID, batch: Sequence[Pending], refused: set[AttemptKey]
    ) -> Sequence[Pending]:
        """Keep what is to be believed: that an outcome cannot be taken only if it is said over two connections.

        What was sent may have been altered on its way.
        """
        capped_pace = [p for p in batch if p.outcome.key in refused - self._doubted]
        self._doubted -= {pending.outcome.key for pending in batch}
        if capped_pace:
            self._doubted |= {pending.outcome.key for pending in capped_pace}
            self._waiting[keeper].extendleft(reversed(capped_pace))
            self.context.database.connect_anew()
        return [pending for pending in batch if pending not in capped_pace]

    def _without_unknown(
        self, keeper: UUID, batch: Sequence[Pending], unknown: Collection[AttemptKey]
    ) -> Sequence[Pending]:
        """Keep outcomes that the database may know once it has heard what is held here; set the others aside."""
        handle = self.context.keepers.handles.get(keeper)
        strange = [pending for pending in batch if pending.outcome.key in unknown]
        if strange and handle and not handle.reconciled:
            self._waiting[keeper].extendleft(reversed(strange))
            self._not_before = monotonic() + LINGER
            return [pending for pending in batch if pending.outcome.key not in unknown]
        for pending in strange:
            if pending.outcome.cause is not Cause.RETURNED:
                self._set_aside(pending.outcome, "this edition of the database never granted it")
        return batch

    def _acknowledge(self, keeper: UUID, outcomes: Iterable[Outcome]) -> None:
        handle = self.context.keepers.handles.get(keeper)
        sequences = [o.sequence for o in outcomes if o.sequence is not None]
        for outcome in outcomes:
            self.context.state.drop(outcome.key)
        if handle and handle.link and sequences:
            handle.link.send_ack(sequences)

    def _undelivered(self, keeper: UUID, batch: Sequence[Pending], error: Exception) -> None:
        if isinstance(error, PoisonousRequest):
            self._take_apart(keeper, batch, error)
            return
        if isinstance(error, DatabaseBusy):
            self._hold_up(keeper, batch, error)
            return
        log.error("a report failed, trying again: %s", error, exc_info=unexpected(error))
        self._reporting = False
        handle = self.context.keepers.handles.get(keeper)
        if handle and isinstance(error, KeeperFenced):  # a database that has never heard of it
            handle.registered, handle.register_at = False, 0.0
        self._waiting[keeper].extendleft(reversed(batch))
        self._not_before = monotonic() + AGAIN_AFTER

    def _take_apart(self, keeper: UUID, batch: Sequence[Pending], error: Exception) -> None:
        """Look for the outcome that ends each connection: in smaller batches, until it stands alone."""
        if len(batch) == 1:
            self._most = BATCH
            self._doubted.add(batch[0].outcome.key)  # not any more: it was tried over and over
            self._delivered(keeper, batch, Delivery(((batch[0].outcome, str(error)),)))
            return
        self._reporting, self._most = False, len(batch) // 2
        self._waiting[keeper].extendleft(reversed(batch))

    def _hold_up(self, keeper: UUID, batch: Sequence[Pending], error: Exception) -> None:
        """Let the outcomes of other tasks go before those that wait for a locked row. None is ever given up."""
        self._reporting = False
        self._waiting[keeper].extend(batch)
        tasks = {pending.outcome.key.task_id for pending in batch}
        for task in tasks:
            held_up = self._held_up.setdefault(task, _HeldUp())
            if len(tasks) == 1:
                held_up.again()
            if held_up.times > 1:
                self.context.troubles[_held_up_trouble(task)] = troubles.reports_wait(
                    task, str(error)
                )
        log.warning("outcomes of %s wait: %s", listed([f"task {t}" for t in sorted(tasks)]), error)

    # Starts

    def _announce(self) -> float:
        if self._announcing:
            return float("inf")
        if monotonic() < self._announce_at:
            return self._announce_at
        now = boottime()
        fresh = [
            attempt
            for attempt in self.context.state.attempts.values()
            if attempt.phase is Phase.RUNNING
            and attempt.began is not None
            and not attempt.announced
        ]
        due = [attempt for attempt in fresh if now - (attempt.began or now) >= ANNOUNCE_AFTER]
        if not due:
            wait = min(
                (ANNOUNCE_AFTER - now + (attempt.began or now) for attempt in fresh), default=None
            )
            return float("inf") if wait is None else monotonic() + max(0.0, wait)
        keeper = due[0].keeper
        self._send_starts(keeper, [attempt for attempt in due if attempt.keeper == keeper])
        return float("inf")

    def _send_starts(self, keeper: UUID, batch: list[LocalAttempt]) -> None:
        self._announcing = True
        for attempt in batch:
            attempt.announced = True

        def call(conn: psycopg.Connection) -> tuple[AttemptKey, ...]:
            now = boottime()
            starts = [
                Started(
                    attempt.key,
                    max(0.0, now - (attempt.began or now)),
                    attempt.note.devices,
                    attempt.note.image_digest,
                )
                for attempt in batch
            ]
            return work.started(conn, keeper, starts)

        self.context.database.submit(call, self._announced, partial(self._unannounced, batch))

    def _announced(self, refused: tuple[AttemptKey, ...]) -> None:
        self._announcing = False
        for key in refused:
            self._end(key, "its job was given to another attempt")

    def _unannounced(self, batch: list[LocalAttempt], error: Exception) -> None:
        log.error("reporting starts failed: %s", error, exc_info=unexpected(error))
        self._announcing = False
        self._announce_at = monotonic() + AGAIN_AFTER
        for attempt in batch:
            attempt.announced = False


def _held_up_trouble(task: int) -> str:
    return f"reports of {task}"


def unexpected(error: Exception) -> Exception | None:
    """Give an error whose traceback belongs into the log; a sentence of ours says all that there is."""
    return None if isinstance(error, OrchestraError) else error
