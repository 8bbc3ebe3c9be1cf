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
from orchestra.pilot import appetite, folders, lanes, open_log, slots
from orchestra.pilot.desk import Desk, Kit, boottime
from orchestra.pilot.imaging import Imaging
from orchestra.pilot.link import NOTE_BYTES
from orchestra.pilot.report import Reporter, plain_text
from orchestra.pilot.state import Held, Note, Phase, Ready
from orchestra.pilot.volumes import in_words, volume_of
from orchestra.runtimes import RuntimeJob, choose, surroundings
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
    leave_alone: str | None = None


def prepare(kit: Kit, task: TaskSpec, grant: Grant, note: Note) -> Ready | Unready:
    """Make ready what one attempt needs. Runs in an I/O thread."""
    try:
        if trouble := kit.inputs.trouble(task, grant.config, grant.let_go):
            return Unready(Cause.INPUT, trouble)
    except VolumeError as error:
        return Unready(Cause.RETURNED, f"not started: {error}", leave_alone=str(error))
    kit.touches.at(task.volume)
    paths = JobPaths(PurePosixPath(task.folder), grant.key.ordinal)
    if note.is_long and len(json.dumps(note.to_json())) > NOTE_BYTES:
        return Unready(Cause.VOLUME, f"the path of the task's folder is too long: {task.folder}")
    try:
        return _ready(kit, task, grant, note, paths)
    except VolumeError as error:
        return Unready(Cause.VOLUME, str(error))
    except (OrchestraError, ValueError) as error:
        return Unready(Cause.NO_START, f"not started: {error}")


Result = Ready | Unready | Exception
"""What came of making an attempt ready; an exception is a trouble that nobody thought of."""


def prepare_all(kit: Kit, batch: Sequence[Held]) -> list[Result]:
    """Make attempts of one task ready, in order. Runs in an I/O thread; raises nothing."""
    with kit.touches.of(batch[0].key.task_id):
        return [_prepare(kit, held) for held in batch]


def _prepare(kit: Kit, held: Held) -> Result:
    assert held.task
    assert held.grant
    try:
        return prepare(kit, held.task, held.grant, held.note)
    except Exception as error:
        # What is known to go wrong has become a value already. The others of the batch may be ready.
        log.exception("job %s could not be made ready", held.key)
        return error


def _ready(kit: Kit, task: TaskSpec, grant: Grant, note: Note, paths: JobPaths) -> Ready | Unready:
    runtime = choose(kit.runtimes, task.image)
    if runtime is None:
        return Unready(Cause.RETURNED, f"this node cannot run the image {task.image}")
    job = runtime_job(kit, task, grant, note, paths)
    if task.image is not None:
        prepared = kit.prepared.get(task.image)
        if prepared is None or not prepared.is_unchanged():
            kit.prepared.pop(task.image, None)
            return Unready(Cause.RETURNED, f"the image {task.image} has changed just now")
        if prepared.key and kit.cache:
            kit.cache.touch(prepared.key)
        files = [grant.config.path, *islice((file.path for file in task.shared_files), 16)]
        job = replace(
            job,
            binds=surroundings.with_linked(job.binds, files),
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


def runtime_job(kit: Kit, task: TaskSpec, grant: Grant, note: Note, paths: JobPaths) -> RuntimeJob:
    """Give an attempt as its runtime wants it. Touches no file.

    Raises:
        BadInput: a path cannot be written where its tag stands in the command.
    """
    folder = paths.attempt(grant.folder_number)
    values = JobValues(
        task=task.id,
        job=grant.key.ordinal,
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
        host=kit.environment,
        label=str(grant.key),
        token=str(grant.key.token),
    )
    if task.image is None:
        return replace(job, environment=environment(kit.environment, values))
    binds = surroundings.binds(
        out=folder,
        reads=(grant.config.root or grant.config.path, *(files.root for files in task.shared)),
        node=kit.binds,
        task=task.binds,
    )
    home = surroundings.home(kit.environment, binds, folder)
    values = replace(values, token=job.token)
    return replace(job, environment=environment({"HOME": home}, values), binds=binds)


@lru_cache(maxsize=64)
def _template(command: str) -> Template:
    return parse(command)


class Starter:
    """Gives slots to waiting attempts and hands them to their keeper."""

    def __init__(self, desk: Desk, reporter: Reporter, resume: Callable[[], None]) -> None:
        """`resume` is called when jobs can be claimed again that could not be started."""
        self.desk, self._reporter, self._resume = desk, reporter, resume
        self._begun: dict[AttemptKey, tuple[float, Held]] = {}
        self._revised_at = 0.0
        self.imaging = Imaging(desk, reporter, self._prepare)

    def tick(self, now: float) -> float:
        """Start what fits; gives when to be called again."""
        if now >= self._stall_due(now):
            self._return_stalled(now)
        self._return_unfit()
        revised = self._return_surplus(now)
        self.imaging.tick(now)
        if self.desk.take_again(now):
            self._resume()
        for held, devices in slots.startable(self.desk.state):
            port = self.desk.keepers.ports.get(held.keeper)
            if port and port.link:
                self._begin(held, devices)
        for held, last in lanes.lengthen(self.desk.state, self.desk.appetite, boottime()):
            self._line_up(held, last)
        for held in lanes.to_recall(self.desk.state, boottime()):
            self.desk.keepers.withdraw(held)
        ahead = appetite.to_prepare(self.desk.state, self.desk.appetite, self._begun)
        self._prepare([held for held in ahead if self.imaging.is_ready(held)])
        again = min(self.desk.avoided.values(), default=inf)
        late = now + lanes.until_late(self.desk.state, boottime())
        return min(self._stall_due(now), again, late, revised)

    def _stall_due(self, now: float) -> float:
        """Give when to look next which starts are to be given up; they are kept in the order in which they began."""
        first = next(iter(self._begun.values()), None)
        due = inf if first is None else first[0] + self.desk.kit.stall_after
        return due if now < due else min(self._stalls_at(*begun) for begun in self._begun.values())

    def _stalls_at(self, began: float, held: Held) -> float:
        """Give when the start of an attempt is given up: a checksum that goes on is waited for."""
        kit = self.desk.kit
        return max(began, kit.touches.last_read(held.key.task_id)) + kit.stall_after

    def _return_stalled(self, now: float) -> None:
        """Hand back what a file system keeps waiting: its slots are for others, and so is perhaps the job."""
        for key, (began, held) in list(self._begun.items()):
            if now < self._stalls_at(began, held):
                continue
            del self._begun[key]
            self.desk.stalled[key] = key.task_id
            if held.phase is Phase.REPORTING:
                continue  # handed back already
            why = in_words(self.desk.kit.touches.stuck(key.task_id) or volume_of(held), held)
            self.desk.troubles[f"stalled {key.task_id}"] = troubles.cannot_start(key.task_id, why)
            self._reporter.give_back(held, f"not started: {why}")
            for other in self.desk.state.waiting():
                if other.key.task_id == key.task_id:
                    self._reporter.give_back(other, f"not started: {why}")

    def _came_back(self, held: Held) -> bool:
        """Note that the I/O thread of an attempt has ended; False where the attempt was handed back meanwhile."""
        key = held.key
        if self._begun.pop(key, None):
            return True
        self.desk.stalled.pop(key, None)
        if key.task_id not in self.desk.stalled.values():
            self.desk.troubles.pop(f"stalled {key.task_id}", None)
            self._resume()
        return False

    def _return_unfit(self) -> None:
        state = self.desk.state
        for held in slots.unfit(state):
            queue = held.note.queue
            has = f"of which this node has {slots.offered(state, queue)}"
            why = f"job {held.key.task_id}/{held.key.ordinal} needs {held.note.slots} {queue} slots, {has}"
            self._reporter.give_back(held, why)
            if slots.offered(state, queue):
                self.desk.pause_claims(UNFIT_PAUSE, why)

    def _return_surplus(self, now: float) -> float:
        """Hand back what is held ahead in vain; gives when to look again, where that is due."""
        if now < self._revised_at + REVISED_EVERY:
            return self._revised_at + REVISED_EVERY
        self._revised_at = now
        state = self.desk.state
        for held in (surplus := appetite.surplus(state, self.desk.appetite, boottime())):
            self._reporter.give_back(
                held, "claimed ahead, and it would wait here for longer than a moment"
            )
        if surplus:
            self.desk.appetite.doubt(surplus, state.waiting())
        return inf

    def _begin(self, held: Held, devices: str | None) -> None:
        """Give an attempt its slots; it starts as soon as it is ready."""
        held.phase, held.taken = Phase.PREPARING, boottime()
        if ready := held.take_ready():
            self._finish(held, ready)
        elif held.key not in self._begun:
            held.note = replace(held.note, devices=devices)
            if self.imaging.is_ready(held):
                self._prepare([held])
            else:
                self.imaging.keep(held)

    def _prepare(self, batch: Sequence[Held]) -> None:
        """Have attempts made ready, those of one task by one I/O thread."""
        now = monotonic()
        errands: dict[int, list[Held]] = {}
        for held in batch:
            self.imaging.mark(held)
            self._begun[held.key] = now, held
            errands.setdefault(held.key.task_id, []).append(held)
        for task, members in errands.items():
            self.desk.workers.submit(
                partial(prepare_all, self.desk.kit, members),
                partial(self._prepared, members),
                partial(self._failed, members),
                lane=task,
            )

    def _failed(self, batch: Sequence[Held], error: Exception) -> None:
        self._prepared(batch, [error] * len(batch))

    def _prepared(self, batch: Sequence[Held], results: Sequence[Result]) -> None:
        for held, result in zip(batch, results, strict=True):
            # Meanwhile it may have been handed back: because it stalled, or was to be ended.
            wanted = self._came_back(held) and held.phase is not Phase.REPORTING
            if wanted and held.phase is Phase.WAITING and isinstance(result, Ready):
                held.ready = result
            elif wanted:
                self._finish(held, result)
            elif isinstance(result, Ready):
                result.close()

    def _finish(self, held: Held, result: Result) -> None:
        if isinstance(result, Exception):
            self._reporter.give_back(held, plain_text(f"not started: {result!r}") or "")
            self.desk.pause_claims(FAILED_PAUSE, f"cannot start jobs: {result!r}")
        elif isinstance(result, Unready):
            reason = plain_text(result.reason)
            if result.leave_alone:
                self.desk.leave_for(UNREACHABLE_PAUSE, held.key.task_id, result.leave_alone)
            self._reporter.add(held, Outcome(held.key, result.cause, reason=reason))
        elif trouble := self._too_late(held):
            result.close()
            self._reporter.give_back(held, trouble)
        else:
            self._spawn(held, result)

    def _too_late(self, held: Held) -> str | None:
        port = self.desk.keepers.ports.get(held.keeper)
        if held.end_reason is not None:
            return f"not started: {held.end_reason}"
        return None if port and port.link else "not started: its keeper has gone"

    def _line_up(self, held: Held, last: Held) -> None:
        ready = held.take_ready()
        port = self.desk.keepers.ports.get(held.keeper)
        assert ready
        if port and port.link:
            self._spawn(held, ready, last)
        else:
            held.ready = ready

    def _spawn(self, held: Held, ready: Ready, last: Held | None = None) -> None:
        """Hand an attempt to its keeper, which starts it at once or after the `last` in a lane."""
        port = self.desk.keepers.ports[held.keeper]
        assert port.link is not None
        held.phase, held.log = Phase.RUNNING, ready.own_log
        if last:
            held.follow(last)
        elif port.asked_at is None:
            port.asked_at = monotonic()
        runtime = self.desk.kit.runtime(held.note.runtime)
        limits = runtime is not None and runtime.limits_memory
        port.link.send_spawn(
            held.key,
            ready.argv,
            ready.environment,
            ready.log,
            timeout=held.note.timeout,
            grace=held.note.grace,
            memory=None if limits else held.note.memory,
            note=held.note.to_json(),
            after=last.key if last else None,
            folder=ready.folder,
        )
