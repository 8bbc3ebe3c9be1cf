"""Finalizing attempts that have ended: logs, metrics, "complete" files, and the symlinks that lead to results."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import PurePosixPath
from time import monotonic

from orchestra.domain import metrics
from orchestra.domain.documents import Unusable
from orchestra.domain.errors import VolumeError
from orchestra.domain.metrics import Metrics
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.outcome_text import describe_end
from orchestra.domain.states import Cause
from orchestra.files import document_files, job_files
from orchestra.pilot import containers, folders, logs
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.input_recheck import InputRecheck
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.open_log import OpenLog
from orchestra.pilot.outcomes import plain_text
from orchestra.pilot.report import Reporter
from orchestra.pilot.state import LocalAttempt, Note, Phase
from orchestra.pilot.volumes import silence_of

log = logging.getLogger(__name__)

MAX_BATCH = 32
"""Attempts that one I/O thread finalizes."""
LINGER = 0.02
"""Seconds for which an attempt that has ended waits for others to be finalized with it."""
CHECK_AGAIN = 0.5
"""Seconds between two checks of an attempt that still needs its volume, or may have left a container."""
_GPU_WAS_FULL = re.compile(
    rb"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|HIP out of memory"
    rb"|RESOURCE_EXHAUSTED[^\n]*allocat|CUBLAS_STATUS_ALLOC_FAILED"
)


# In I/O threads


def finalize_all(
    task: int,
    batch: Sequence[tuple[Outcome, Note, OpenLog | None]],
    launch: LaunchConfig,
    swept: Callable[[AttemptKey], None],
) -> list[Outcome]:
    """Finalize attempts of one task, in order. Raises nothing.

    Containers are ended first, and `swept` is called after each: this is waited for even if the volume is not.
    """
    for outcome, note, _ in batch:
        try:
            sweep(outcome, note, launch)
        except Exception:
            log.exception("the containers of job %s could not be searched for", outcome.key)
        swept(outcome.key)
    with launch.io_activity.of(task):
        return [
            _finalize_safely(outcome, note, launch, own_log) for outcome, note, own_log in batch
        ]


def _finalize_safely(
    outcome: Outcome, note: Note, launch: LaunchConfig, own_log: OpenLog | None
) -> Outcome:
    launch.io_activity.access(note.task_folder)
    try:
        return finalize(outcome, note, launch, own_log)
    except Exception:
        # How the attempt ended is known, whatever is wrong with its folder.
        log.exception("the folder of job %s could not be read", outcome.key)
        return outcome
    finally:
        if own_log:
            own_log.close()


def finalize(
    outcome: Outcome, note: Note, launch: LaunchConfig | None = None, own_log: OpenLog | None = None
) -> Outcome:
    """Complete an outcome from what the attempt left, and point the job's symlink at a success.

    A log of more than `launch.log_limit` bytes is cut, unless that is 0. `own_log` contains what the job printed even
    if the job has removed or replaced the file.
    """
    log_limit = launch.log_limit if launch else 0
    paths = JobPaths(PurePosixPath(note.task_folder), outcome.key.index)
    folder = JobPaths.folder(note.task_folder, outcome.key.index, note.folder_number)
    cause, reason = outcome.cause, outcome.reason
    wanted = note.complete_file if outcome.succeeded else None
    if wanted and (missing := _missing(folder, wanted)):
        cause, reason = Cause.NOT_COMPLETE, plain_text(f"exit status 0, but {missing}")
    success = outcome.succeeded and cause is Cause.EXIT
    if success:
        _link(paths, note.folder_number)
    limit = logs.TAIL_OF_SUCCESS if success else logs.TAIL_OF_FAILURE
    size, tail = logs.tail(folder, limit, own_log)
    if size and size > log_limit > 0:
        logs.cut(folder, log_limit, own_log)
    if cause in (Cause.EXIT, Cause.SIGNAL) and not success and says_gpu_was_full(tail):
        cause = Cause.GPU_OUT_OF_MEMORY
        reason = describe_end(cause, outcome.exit_status, outcome.signal)
    if cause is Cause.EXIT and (why := containers.refusal(note.runtime, outcome.exit_status, tail)):
        cause, reason = Cause.NO_CONTAINER, plain_text(why)
    found = _metrics(folder, note.metrics_file) if success and note.metrics_file else None
    return replace(
        outcome, cause=cause, reason=reason, log_bytes=size, log_tail=tail, metrics=found
    )


def _missing(folder: str, wanted: str) -> str | None:
    """Return why an attempt's "complete" file is not known to exist; None if it exists."""
    try:
        exists = job_files.exists(folder, wanted)
        return None if exists else f"{wanted} is missing in {folder}"
    except job_files.Untrusted as error:
        return f"{wanted} in {folder} {error.strerror}"
    except OSError as error:
        return f"{folder}/{wanted} cannot be checked: {error.strerror}"


def _link(paths: JobPaths, folder_number: int) -> None:
    try:
        folders.point_link(paths, folder_number)
    except VolumeError as error:
        log.warning("%s", error)  # the results are still in the attempt's folder


def says_gpu_was_full(tail: bytes | None) -> bool:
    """Whether the end of a log says, in the words of PyTorch, CUDA, JAX or TensorFlow, that a GPU's memory was full."""
    return bool(tail and _GPU_WAS_FULL.search(tail))


def _metrics(folder: str, name: str) -> Metrics | None:
    """Read the metrics of a job; None if there are none, or none that can be read."""
    if not os.path.lexists(f"{folder}/{name}"):
        return None  # a quick check: most jobs write none, and reading with care takes longer than all else here
    try:
        # One byte more than is kept shows that there is more.
        text, size = document_files.load_written(folder, name, metrics.TEXT_AT_MOST + 1)
    except Unusable:
        return None
    return metrics.to_keep(name, text, size)


def needs_sweep(outcome: Outcome, note: Note) -> bool:
    """Whether an attempt may have left a container that its runtime did not clean up."""
    return note.runtime is not None and outcome.cause is not Cause.EXIT


def sweep(outcome: Outcome, note: Note, launch: LaunchConfig) -> None:
    """End the containers that an attempt may have left; returns when there are none."""
    if needs_sweep(outcome, note):
        containers.sweep(launch, note.runtime, outcome.key)


# In the agent's thread


def outcome_without_folder(outcome: Outcome, attempt: LocalAttempt) -> Outcome:
    """Return the outcome of an attempt whose folder cannot be read because its volume does not answer."""
    why = f"its folder could not be read: {silence_of(attempt.note.task_folder, attempt)}"
    if outcome.succeeded and attempt.note.complete_file:
        words = f"exit status 0, but whether {attempt.note.complete_file} is there is not known"
        return replace(outcome, cause=Cause.NOT_COMPLETE, reason=plain_text(f"{words}; {why}"))
    return replace(outcome, reason=plain_text(f"{outcome.reason or 'exit status 0'}; {why}"))


@dataclass(slots=True)
class _Ended:
    """An attempt whose processes have ended.

    Args:
        ended_at: by CLOCK_BOOTTIME; None for just now.
        heard_at: when the agent learned of it, by the monotonic clock.
        finalized: its folder was read, or is not waited for.
        rechecked: its inputs were checked again, or are not waited for.
        measured: for how long its GPUs computed is known, or is not measured.
    """

    attempt: LocalAttempt
    outcome: Outcome
    ended_at: float | None
    heard_at: float
    finalized: bool = False
    rechecked: bool = False
    measured: bool = False
    gpu_seconds: float | None = None


class Finalizer:
    """Finalizes attempts that have ended, those that end at about the same time together."""

    def __init__(self, context: Context, reporter: Reporter) -> None:
        self.context, self._reporter = context, reporter
        self._ended: list[_Ended] = []
        self._under_way: dict[AttemptKey, _Ended] = {}
        self._swept: set[AttemptKey] = set()
        self._give_up_at = inf
        self._input_recheck = InputRecheck(context, self._rechecked)

    def add(self, attempt: LocalAttempt, outcome: Outcome, ended_at: float | None) -> None:
        """Queue an attempt that has ended."""
        attempt.phase = Phase.FINALIZING
        attempt.leave_queue()
        ended = _Ended(attempt, outcome, ended_at, monotonic())
        self._ended.append(ended)
        self._measure(ended)

    def tick(self, now: float) -> float:
        """Finalize what is due; return the next wake-up."""
        linger = inf
        if self._ended:
            linger = self._ended[0].heard_at + LINGER
            if now >= linger or len(self._ended) >= MAX_BATCH or self.context.state.at_rest:
                self.flush()
                linger = inf
        if now >= self._give_up_at:
            self._give_up_at = self._give_up(now)
        return min(linger, self._input_recheck.tick(now), self._give_up_at)

    def flush(self) -> None:
        """Finalize all that have ended, now."""
        by_task: dict[int, list[_Ended]] = {}
        for ended in self._ended:
            by_task.setdefault(ended.attempt.key.task_id, []).append(ended)
            self._under_way[ended.attempt.key] = ended
        if self._ended:
            due = monotonic() + self.context.launch.silent_after
            self._give_up_at = min(self._give_up_at, due)
        self._input_recheck.add([ended.attempt for ended in self._ended])
        self._ended = []
        for task, batch in by_task.items():
            left = [(each.outcome, each.attempt.note, each.attempt.take_log()) for each in batch]
            self.context.workers.submit(
                partial(finalize_all, task, left, self.context.launch, self._swept.add),
                partial(self._finalized, batch),
                partial(self._not_finalized, batch),
                lane=task,
            )

    def _finalized(self, batch: Sequence[_Ended], outcomes: Sequence[Outcome]) -> None:
        for ended, outcome in zip(batch, outcomes, strict=True):
            if ended.finalized:
                continue  # it was given up
            task = outcome.key.task_id
            if outcome.cause is Cause.NO_CONTAINER:
                self._forget_image(ended.attempt)
                self.context.back_off_task(task, outcome.reason or "")
            elif outcome.succeeded:
                self.context.failed_starts.pop(task, None)
            note = ended.outcome.inputs_note
            ended.outcome = replace(outcome, inputs_note=note) if note else outcome
            ended.finalized = True
            self._report(ended)

    def _not_finalized(self, batch: Sequence[_Ended], _: Exception) -> None:
        self._finalized(batch, [ended.outcome for ended in batch])

    def _rechecked(self, key: AttemptKey, note: str | None) -> None:
        ended = self._under_way[key]
        if note:
            ended.outcome = replace(ended.outcome, inputs_note=plain_text(note))
        ended.rechecked = True
        self._report(ended)

    def _measure(self, ended: _Ended) -> None:
        """Find out for how long its GPUs computed, which waits for a look at them."""
        if not ended.attempt.devices:
            ended.measured = True
            return
        at = boottime() if ended.ended_at is None else ended.ended_at
        then = partial(self._measured, ended)
        self.context.gpu_meter.end(ended.attempt, ended.outcome.seconds, at, then)

    def _measured(self, ended: _Ended, seconds: float | None) -> None:
        ended.gpu_seconds, ended.measured = seconds, True
        self._report(ended)

    def _report(self, ended: _Ended) -> None:
        if ended.finalized and ended.rechecked and ended.measured:
            if ended.gpu_seconds is not None:
                usage = replace(ended.outcome.usage, gpu_seconds=ended.gpu_seconds)
                ended.outcome = replace(ended.outcome, usage=usage)
            del self._under_way[ended.attempt.key]
            self._swept.discard(ended.attempt.key)
            self._reporter.add(ended.attempt, ended.outcome, ended.ended_at)

    def _give_up(self, now: float) -> float:
        """Report attempts whose volume does not answer and is not needed; return when to check again.

        A success waits, because its results and its "complete" file are there. So does an attempt that may have left a
        container, until it is known to have left none.
        """
        launch, due = self.context.launch, inf
        for ended in list(self._under_way.values()):
            if ended.finalized:
                continue
            progress = launch.io_activity.last_progress(ended.attempt.key.task_id)
            over = max(ended.heard_at, progress) + launch.silent_after
            if now < over:
                due = min(due, over)
            elif self._must_wait(ended):
                due = min(due, now + CHECK_AGAIN)
            else:
                ended.outcome = outcome_without_folder(ended.outcome, ended.attempt)
                ended.finalized = True
                self._report(ended)
        return due

    def _must_wait(self, ended: _Ended) -> bool:
        needs_volume = ended.outcome.succeeded and not ended.attempt.end_reason
        unswept = ended.attempt.key not in self._swept
        return needs_volume or (needs_sweep(ended.outcome, ended.attempt.note) and unswept)

    def _forget_image(self, attempt: LocalAttempt) -> None:
        """Prepare an image again, and pull it if it is gone: it may have been removed from its engine."""
        known = self.context.tasks.values()
        same_task = (spec for spec in known if spec.id == attempt.key.task_id)
        task = attempt.task or next(same_task, None)
        if task and task.image:
            self.context.launch.prepared.pop(task.image, None)
