"""What attempts left: logs, metrics, "complete" files; the links that people follow to their results."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from orchestra.pilot.context import Context, LaunchConfig
from orchestra.pilot.input_recheck import InputRecheck
from orchestra.pilot.open_log import OpenLog
from orchestra.pilot.report import Reporter, plain_text
from orchestra.pilot.state import LocalAttempt, Note, Phase
from orchestra.pilot.volumes import in_words as of_silence

log = logging.getLogger(__name__)

AT_MOST = 32
"""Attempts that one I/O thread looks at."""
LINGER = 0.02
"""Seconds for which an attempt that has ended waits for others to be looked at with it."""
LOOK_AGAIN = 0.5
"""Seconds after which it is looked again whether an attempt needs its volume no longer, or has left no container."""
_GPU_WAS_FULL = re.compile(
    rb"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|HIP out of memory"
    rb"|RESOURCE_EXHAUSTED[^\n]*allocat|CUBLAS_STATUS_ALLOC_FAILED"
)


def finalize(
    outcome: Outcome, note: Note, launch: LaunchConfig | None = None, own_log: OpenLog | None = None
) -> Outcome:
    """Look at what an attempt left, and have the link point at a success. An I/O thread's.

    `own_log` has what the job printed also where it has removed or replaced the file.

    A log of more than the kit's `log_limit` bytes is cut, unless that is 0.
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
    size, end = logs.tail(folder, limit, own_log)
    if size and size > log_limit > 0:
        logs.cut(folder, log_limit, own_log)
    if cause in (Cause.EXIT, Cause.SIGNAL) and not success and says_gpu_was_full(end):
        cause = Cause.GPU_OUT_OF_MEMORY
        reason = describe_end(cause, outcome.exit_status, outcome.signal)
    if cause is Cause.EXIT and (why := containers.refusal(note.runtime, outcome.exit_status, end)):
        cause, reason = Cause.NO_CONTAINER, plain_text(why)
    found = _metrics(folder, note.metrics_file) if success and note.metrics_file else None
    return replace(outcome, cause=cause, reason=reason, log_bytes=size, log_tail=end, metrics=found)


def _metrics(folder: str, name: str) -> Metrics | None:
    """Read what a job says of its result; None where it says nothing, or nothing that can be read."""
    if not os.path.lexists(f"{folder}/{name}"):
        return None  # a glance: most jobs leave none, and to look with care takes longer than all else here
    try:
        # One byte more than is kept: it shows that there is more.
        end, size = document_files.load_written(folder, name, metrics.TEXT_AT_MOST + 1)
    except Unusable:
        return None
    return metrics.to_keep(name, end, size)


def _missing(folder: str, wanted: str) -> str | None:
    """Say why an attempt's "complete" file is not known to be there, None where it is."""
    try:
        there = job_files.exists(folder, wanted)
        return None if there else f"{wanted} is missing in {folder}"
    except job_files.Untrusted as error:
        return f"{wanted} in {folder} {error.strerror}"
    except OSError as error:
        return f"{folder}/{wanted} cannot be looked at: {error.strerror}"


def says_gpu_was_full(log: bytes | None) -> bool:
    """Whether the end of a log tells of a GPU without memory, in the words of PyTorch, CUDA, JAX or TensorFlow."""
    return bool(log and _GPU_WAS_FULL.search(log))


def _link(paths: JobPaths, folder_number: int) -> None:
    try:
        folders.point_link(paths, folder_number)
    except VolumeError as error:
        log.warning("%s", error)  # the results are in the attempt's folder all the same


def needs_sweep(outcome: Outcome, note: Note) -> bool:
    """Whether an attempt may have left a container that its runtime did not clean up."""
    return note.runtime is not None and outcome.cause is not Cause.EXIT


def sweep(outcome: Outcome, note: Note, launch: LaunchConfig) -> None:
    """End the container that an attempt may have left. An I/O thread's; returns when none is left."""
    if needs_sweep(outcome, note):
        containers.sweep(launch, note.runtime, outcome.key)


def finalize_all(
    task: int,
    batch: Sequence[tuple[Outcome, Note, OpenLog | None]],
    launch: LaunchConfig,
    swept: Callable[[AttemptKey], None],
) -> list[Outcome]:
    """Look at what attempts of one task left, in order. An I/O thread's; raises nothing.

    First their containers are ended, and `swept` is told: that is waited for also where a volume is not.
    """
    for outcome, note, _ in batch:
        try:
            sweep(outcome, note, launch)
        except Exception:
            log.exception("the containers of job %s could not be looked for", outcome.key)
        swept(outcome.key)
    with launch.io_activity.of(task):
        return [
            _finalize_safely(outcome, note, launch, own_log) for outcome, note, own_log in batch
        ]


def outcome_without_folder(outcome: Outcome, attempt: LocalAttempt) -> Outcome:
    """Give the outcome of an attempt whose folder cannot be looked at, because its volume does not answer."""
    why = f"its folder could not be looked at: {of_silence(attempt.note.task_folder, attempt)}"
    if outcome.succeeded and attempt.note.complete_file:
        words = f"exit status 0, but whether {attempt.note.complete_file} is there is not known"
        return replace(outcome, cause=Cause.NOT_COMPLETE, reason=plain_text(f"{words}; {why}"))
    return replace(outcome, reason=plain_text(f"{outcome.reason or 'exit status 0'}; {why}"))


def _finalize_safely(
    outcome: Outcome, note: Note, launch: LaunchConfig, own_log: OpenLog | None
) -> Outcome:
    launch.io_activity.at(note.task_folder)
    try:
        return finalize(outcome, note, launch, own_log)
    except Exception:
        # However it left its folder, how it ended is known.
        log.exception("the folder of job %s could not be looked at", outcome.key)
        return outcome
    finally:
        if own_log:
            own_log.close()


@dataclass(slots=True)
class _Ended:
    """An attempt whose processes have ended, when (by CLOCK_BOOTTIME, None for just now), and when that was heard.

    It is `examined` when its folder was looked at or is not waited for, `looked` when its inputs were.
    """

    attempt: LocalAttempt
    outcome: Outcome
    ended_at: float | None
    heard_at: float
    examined: bool = False
    looked: bool = False


class Finalizer:
    """Has attempts looked at that have ended, those that end about the same time together."""

    def __init__(self, context: Context, reporter: Reporter) -> None:
        self.context, self._reporter = context, reporter
        self._ended: list[_Ended] = []
        self._under_way: dict[AttemptKey, _Ended] = {}
        self._swept: set[AttemptKey] = set()
        self._wait_until = float("inf")
        self._input_recheck = InputRecheck(context, self._looked)

    def add(self, attempt: LocalAttempt, outcome: Outcome, ended_at: float | None) -> None:
        """Take in that an attempt has ended."""
        attempt.phase = Phase.FINALIZING
        attempt.leave_line()
        self._ended.append(_Ended(attempt, outcome, ended_at, monotonic()))

    def tick(self, now: float) -> float:
        """Begin to look at what is due; gives when to be called again."""
        linger = float("inf")
        if self._ended:
            linger = self._ended[0].heard_at + LINGER
            if now >= linger or len(self._ended) >= AT_MOST or self.context.state.at_rest:
                self.flush()
                linger = float("inf")
        if now >= self._wait_until:
            self._wait_until = self._wait_no_longer(now)
        return min(linger, self._input_recheck.tick(now), self._wait_until)

    def flush(self) -> None:
        """Begin to look at all of it."""
        batches: dict[int, list[_Ended]] = {}
        for ended in self._ended:
            batches.setdefault(ended.attempt.key.task_id, []).append(ended)
            self._under_way[ended.attempt.key] = ended
        if self._ended:
            self._wait_until = min(self._wait_until, monotonic() + self.context.launch.patience)
        self._input_recheck.add([ended.attempt for ended in self._ended])
        self._ended = []
        for task, batch in batches.items():
            left = [(each.outcome, each.attempt.note, each.attempt.take_log()) for each in batch]
            self.context.workers.submit(
                partial(finalize_all, task, left, self.context.launch, self._swept.add),
                partial(self._finalized, batch),
                partial(self._not_finalized, batch),
                lane=task,
            )

    def _finalized(self, batch: Sequence[_Ended], outcomes: Sequence[Outcome]) -> None:
        for ended, outcome in zip(batch, outcomes, strict=True):
            if ended.examined:
                continue  # it was not waited for
            task = outcome.key.task_id
            if outcome.cause is Cause.NO_CONTAINER:
                self._forget_image(ended.attempt)
                self.context.back_off_task(task, outcome.reason or "")
            elif outcome.succeeded:
                self.context.refusals.pop(task, None)
            note = ended.outcome.inputs_note
            ended.outcome = replace(outcome, inputs_note=note) if note else outcome
            ended.examined = True
            self._report(ended)

    def _looked(self, key: AttemptKey, note: str | None) -> None:
        ended = self._under_way[key]
        if note:
            ended.outcome = replace(ended.outcome, inputs_note=plain_text(note))
        ended.looked = True
        self._report(ended)

    def _report(self, ended: _Ended) -> None:
        if ended.examined and ended.looked:
            del self._under_way[ended.attempt.key]
            self._swept.discard(ended.attempt.key)
            self._reporter.add(ended.attempt, ended.outcome, ended.ended_at)

    def _wait_no_longer(self, now: float) -> float:
        """Report what does not need its volume, where that does not answer; gives when to look again.

        What has succeeded waits: there its results are, and whether they are complete. So does what may have left a
        container, until it is known to have left none.
        """
        launch, due = self.context.launch, float("inf")
        for ended in list(self._under_way.values()):
            needs_volume = ended.outcome.succeeded and not ended.attempt.end_reason
            unswept = needs_sweep(ended.outcome, ended.attempt.note)
            unswept = unswept and ended.attempt.key not in self._swept
            if ended.examined:
                continue
            moved = launch.io_activity.last_moved(ended.attempt.key.task_id)
            over = max(ended.heard_at, moved) + launch.patience
            if now < over:
                due = min(due, over)
            elif needs_volume or unswept:
                due = min(due, now + LOOK_AGAIN)
            else:
                ended.outcome = outcome_without_folder(ended.outcome, ended.attempt)
                ended.examined = True
                self._report(ended)
        return due

    def _forget_image(self, attempt: LocalAttempt) -> None:
        """Have an image looked at anew, and fetched where it is gone: somebody may have removed it from an engine."""
        task = attempt.task or self.context.tasks.get(attempt.key.task_id)
        if task and task.image:
            self.context.launch.prepared.pop(task.image, None)

    def _not_finalized(self, batch: Sequence[_Ended], _: Exception) -> None:
        self._finalized(batch, [ended.outcome for ended in batch])
