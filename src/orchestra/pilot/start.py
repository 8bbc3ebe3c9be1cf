"""The start of an attempt: inputs checked, folder made, command rendered, keeper told."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from math import inf
from pathlib import PurePosixPath
from time import monotonic

from orchestra.domain import troubles
from orchestra.domain.command import Template, parse
from orchestra.domain.errors import OrchestraError, VolumeError
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.work import AttemptKey, Grant, Outcome, TaskSpec
from orchestra.domain.states import Cause, Queue
from orchestra.pilot import claim_policy, folders, open_log, run_ahead, slots
from orchestra.pilot.context import Context, LaunchConfig, boottime
from orchestra.pilot.image_pull import ImagePuller
from orchestra.pilot.keeper_link import NOTE_BYTES
from orchestra.pilot.report import Reporter, plain_text
from orchestra.pilot.state import LocalAttempt, Note, Phase, Ready
from orchestra.pilot.volumes import in_words, volume_of
from orchestra.runtimes import RuntimeJob, choose, container_binds
from orchestra.runtimes.environment import JobValues, environment

log = logging.getLogger(__name__)

UNFIT_PAUSE = 5.0
UNREACHABLE_PAUSE = 5.0
FAILED_PAUSE = 30.0
REVISED_EVERY = 0.05
"""Between two looks at what is held ahead: of quick jobs hundreds end in a second."""


@dataclass(frozen=True, slots=True)
class Unready:
    """Why an attempt cannot start, in one sentence; and why its task is better left alone for a while, if it is."""

    cause: Cause
    reason: str
    back_off_task: str | None = None


def prepare(launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note) -> Ready | Unready:
    """Make ready what one attempt needs. Runs in an I/O thread."""
    try:
        if trouble := launch.inputs.trouble(task, grant.config, grant.let_go):
            return Unready(Cause.INPUT, trouble)
    except VolumeError as error:
        return Unready(Cause.RETURNED, f"not started: {error}", back_off_task=str(error))
    launch.io_activity.at(task.volume)
    paths = JobPaths(PurePosixPath(task.folder), grant.key.index)
    if note.is_long and len(json.dumps(note.to_json())) > NOTE_BYTES:
        return Unready(Cause.VOLUME, f"the path of the task's folder is too long: {task.folder}")
    try:
        return _ready(launch, task, grant, note, paths)
    except VolumeError as error:
        return Unready(Cause.VOLUME, str(error))
    except (OrchestraError, ValueError) as error:
        return Unready(Cause.NO_START, f"not started: {error}")


Result = Ready | Unready | Exception
"""What came of making an attempt ready; an exception is a trouble that nobody thought of."""


def prepare_all(launch: LaunchConfig, batch: Sequence[LocalAttempt]) -> list[Result]:
    """Make attempts of one task ready, in order. Runs in an I/O thread; raises nothing."""
    with launch.io_activity.of(batch[0].key.task_id):
        return [_prepare(launch, attempt) for attempt in batch]


def _prepare(launch: LaunchConfig, attempt: LocalAttempt) -> Result:
    assert attempt.task
    assert attempt.grant
    try:
        return prepare(launch, attempt.task, attempt.grant, attempt.note)
    except Exception as error:
        # What is known to go wrong has become a value already. The others of the batch may be ready.
        log.exception("job %s could not be made ready", attempt.key)
        return error


def _ready(
    launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note, paths: JobPaths
) -> Ready | Unready:
    runtime = choose(launch.runtimes, task.image)
    if runtime is None:
        return Unready(Cause.RETURNED, f"this node cannot run the image {task.image}")
    job = runtime_job(launch, task, grant, note, paths)
    if task.image is not None:
        prepared = launch.prepared.get(task.image)
        if prepared is None or not prepared.is_unchanged():
            launch.prepared.pop(task.image, None)
            return Unready(Cause.RETURNED, f"the image {task.image} has changed just now")
        if prepared.key and launch.cache:
            launch.cache.touch(prepared.key)
        files = [grant.config.path, *islice((file.path for file in task.shared_files), 16)]
        job = replace(
            job,
            binds=container_binds.with_linked(job.binds, files),
            image=prepared.image,
            memory=task.resources.memory_bytes if runtime.limits_memory else None,
        )
    argv = runtime.argv(job)
    log = folders.open_attempt(task.volume, paths, grant.folder_number, new=grant.new_folder)
    try:
        if grant.done_attempt is None:
            folders.point_link(paths, grant.folder_number)
    except VolumeError:
        os.close(log)
        raise
    real = folders.resolved(str(job.folder), log)
    return Ready(argv, runtime.environment(job), log, real, open_log.of_descriptor(log))


def runtime_job(
    launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note, paths: JobPaths
) -> RuntimeJob:
    """Give an attempt as its runtime wants it. Touches no file.

    Raises:
        BadInput: a path cannot be written where its tag stands in the command.
    """
    folder = paths.attempt(grant.folder_number)
    values = JobValues(
        task=task.id,
        job=grant.key.index,
        attempt=grant.key.number,
        data=task.inputs.get("DATA", ""),
        config=grant.config.path,
        out=str(folder),
        volume=task.volume,
        devices=note.devices or "",
        cores=task.resources.cores,
        given=task.env,
    )
    tags = {**task.inputs, "IN": grant.config.path, "OUT": str(folder)}
    job = RuntimeJob(
        command=_template(task.command).render(tags),
        folder=folder,
        gpus=tuple(note.devices.split(",")) if note.devices and task.queue is Queue.GPU else (),
        image=task.image,
        host=launch.environment,
        label=str(grant.key),
        token=str(grant.key.token),
    )
    if task.image is None:
        return replace(job, environment=environment(launch.environment, values))
    binds = container_binds.binds(
        out=folder,
        reads=(grant.config.root or grant.config.path, *(files.root for files in task.shared)),
        node=launch.binds,
        task=task.binds,
    )
    home = container_binds.home(launch.environment, binds, folder)
    values = replace(values, token=job.token)
    return replace(job, environment=environment({"HOME": home}, values), binds=binds)


@lru_cache(maxsize=64)
def _template(command: str) -> Template:
    return parse(command)


class Starter:
    """Gives slots to waiting attempts and hands them to their keeper."""

    def __init__(self, context: Context, reporter: Reporter, resume: Callable[[], None]) -> None:
        """`resume` is called when jobs can be claimed again that could not be started."""
        self.context, self._reporter, self._resume = context, reporter, resume
        self._begun: dict[AttemptKey, tuple[float, LocalAttempt]] = {}
        self._revised_at = 0.0
        self.image_puller = ImagePuller(context, reporter, self._prepare)

    def tick(self, now: float) -> float:
        """Start what fits; gives when to be called again."""
        if now >= self._stall_due(now):
            self._return_stalled(now)
        self._return_unfit()
        revised = self._release_excess(now)
        self.image_puller.tick(now)
        if self.context.readmit_tasks(now):
            self._resume()
        for attempt, devices in slots.startable(self.context.state):
            handle = self.context.keepers.handles.get(attempt.keeper)
            if handle and handle.link:
                self._begin(attempt, devices)
        for attempt, last in run_ahead.to_queue(
            self.context.state, self.context.appetite, boottime()
        ):
            self._line_up(attempt, last)
        for attempt in run_ahead.to_withdraw(self.context.state, boottime()):
            self.context.keepers.withdraw(attempt)
        ahead = claim_policy.to_prepare(self.context.state, self.context.appetite, self._begun)
        self._prepare([attempt for attempt in ahead if self.image_puller.is_ready(attempt)])
        again = min(self.context.avoided.values(), default=inf)
        late = now + run_ahead.seconds_until_slow(self.context.state, boottime())
        return min(self._stall_due(now), again, late, revised)

    def _stall_due(self, now: float) -> float:
        """Give when to look next which starts are to be given up; they are kept in the order in which they began."""
        first = next(iter(self._begun.values()), None)
        due = inf if first is None else first[0] + self.context.launch.stall_after
        return due if now < due else min(self._stalls_at(*begun) for begun in self._begun.values())

    def _stalls_at(self, began: float, attempt: LocalAttempt) -> float:
        """Give when the start of an attempt is given up: a checksum that goes on is waited for."""
        launch = self.context.launch
        return max(began, launch.io_activity.last_read(attempt.key.task_id)) + launch.stall_after

    def _return_stalled(self, now: float) -> None:
        """Hand back what a file system keeps waiting: its slots are for others, and so is perhaps the job."""
        for key, (began, attempt) in list(self._begun.items()):
            if now < self._stalls_at(began, attempt):
                continue
            del self._begun[key]
            self.context.stalled[key] = key.task_id
            if attempt.phase is Phase.REPORTING:
                continue  # handed back already
            why = in_words(
                self.context.launch.io_activity.stuck(key.task_id) or volume_of(attempt), attempt
            )
            self.context.troubles[f"stalled {key.task_id}"] = troubles.cannot_start(
                key.task_id, why
            )
            self._reporter.release(attempt, f"not started: {why}")
            for other in self.context.state.waiting():
                if other.key.task_id == key.task_id:
                    self._reporter.release(other, f"not started: {why}")

    def _came_back(self, attempt: LocalAttempt) -> bool:
        """Note that the I/O thread of an attempt has ended; False where the attempt was handed back meanwhile."""
        key = attempt.key
        if self._begun.pop(key, None):
            return True
        self.context.stalled.pop(key, None)
        if key.task_id not in self.context.stalled.values():
            self.context.troubles.pop(f"stalled {key.task_id}", None)
            self._resume()
        return False

    def _return_unfit(self) -> None:
        state = self.context.state
        for attempt in slots.unfit(state):
            queue = attempt.note.queue
            has = f"of which this node has {slots.offered(state, queue)}"
            why = f"job {attempt.key.task_id}/{attempt.key.index} needs {attempt.note.slots} {queue} slots, {has}"
            self._reporter.release(attempt, why)
            if slots.offered(state, queue):
                self.context.pause_claims(UNFIT_PAUSE, why)

    def _release_excess(self, now: float) -> float:
        """Hand back what is held ahead in vain; gives when to look again, where that is due."""
        if now < self._revised_at + REVISED_EVERY:
            return self._revised_at + REVISED_EVERY
        self._revised_at = now
        state = self.context.state
        for attempt in (excess := claim_policy.excess(state, self.context.appetite, boottime())):
            self._reporter.release(
                attempt, "claimed ahead, and it would wait here for longer than a moment"
            )
        if excess:
            self.context.appetite.doubt(excess, state.waiting())
        return inf

    def _begin(self, attempt: LocalAttempt, devices: str | None) -> None:
        """Give an attempt its slots; it starts as soon as it is ready."""
        attempt.phase, attempt.taken = Phase.PREPARING, boottime()
        if ready := attempt.take_ready():
            self._finish(attempt, ready)
        elif attempt.key not in self._begun:
            attempt.note = replace(attempt.note, devices=devices)
            if self.image_puller.is_ready(attempt):
                self._prepare([attempt])
            else:
                self.image_puller.keep(attempt)

    def _prepare(self, batch: Sequence[LocalAttempt]) -> None:
        """Have attempts made ready, those of one task by one I/O thread."""
        now = monotonic()
        batches: dict[int, list[LocalAttempt]] = {}
        for attempt in batch:
            self.image_puller.mark(attempt)
            self._begun[attempt.key] = now, attempt
            batches.setdefault(attempt.key.task_id, []).append(attempt)
        for task, members in batches.items():
            self.context.workers.submit(
                partial(prepare_all, self.context.launch, members),
                partial(self._prepared, members),
                partial(self._failed, members),
                lane=task,
            )

    def _failed(self, batch: Sequence[LocalAttempt], error: Exception) -> None:
        self._prepared(batch, [error] * len(batch))

    def _prepared(self, batch: Sequence[LocalAttempt], results: Sequence[Result]) -> None:
        for attempt, result in zip(batch, results, strict=True):
            # Meanwhile it may have been handed back: because it stalled, or was to be ended.
            wanted = self._came_back(attempt) and attempt.phase is not Phase.REPORTING
            if wanted and attempt.phase is Phase.WAITING and isinstance(result, Ready):
                attempt.ready = result
            elif wanted:
                self._finish(attempt, result)
            elif isinstance(result, Ready):
                result.close()

    def _finish(self, attempt: LocalAttempt, result: Result) -> None:
        if isinstance(result, Exception):
            self._reporter.release(attempt, plain_text(f"not started: {result!r}") or "")
            self.context.pause_claims(FAILED_PAUSE, f"cannot start jobs: {result!r}")
        elif isinstance(result, Unready):
            reason = plain_text(result.reason)
            if result.back_off_task:
                self.context.avoid_task(
                    UNREACHABLE_PAUSE, attempt.key.task_id, result.back_off_task
                )
            self._reporter.add(attempt, Outcome(attempt.key, result.cause, reason=reason))
        elif trouble := self._too_late(attempt):
            result.close()
            self._reporter.release(attempt, trouble)
        else:
            self._spawn(attempt, result)

    def _too_late(self, attempt: LocalAttempt) -> str | None:
        handle = self.context.keepers.handles.get(attempt.keeper)
        if attempt.end_reason is not None:
            return f"not started: {attempt.end_reason}"
        return None if handle and handle.link else "not started: its keeper has gone"

    def _line_up(self, attempt: LocalAttempt, last: LocalAttempt) -> None:
        ready = attempt.take_ready()
        handle = self.context.keepers.handles.get(attempt.keeper)
        assert ready
        if handle and handle.link:
            self._spawn(attempt, ready, last)
        else:
            attempt.ready = ready

    def _spawn(self, attempt: LocalAttempt, ready: Ready, last: LocalAttempt | None = None) -> None:
        """Hand an attempt to its keeper, which starts it at once or after the `last` in a lane."""
        handle = self.context.keepers.handles[attempt.keeper]
        assert handle.link is not None
        attempt.phase, attempt.log = Phase.RUNNING, ready.own_log
        if last:
            attempt.follow(last)
        elif handle.asked_at is None:
            handle.asked_at = monotonic()
        runtime = self.context.launch.runtime(attempt.note.runtime)
        limits = runtime is not None and runtime.limits_memory
        handle.link.send_spawn(
            attempt.key,
            ready.argv,
            ready.environment,
            ready.log,
            timeout=attempt.note.timeout,
            grace=attempt.note.grace,
            memory=None if limits else attempt.note.memory,
            note=attempt.note.to_json(),
            after=last.key if last else None,
            folder=ready.folder,
        )
