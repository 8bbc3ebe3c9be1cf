"""What keepers say, and what is done about it: attempts have begun, have ended, are to be ended."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from orchestra.domain.endings import in_words
from orchestra.domain.errors import VolumeError
from orchestra.domain.models import AttemptKey, JobPaths, Outcome
from orchestra.domain.states import Cause
from orchestra.pilot import folders, leftovers, link, logs
from orchestra.pilot.desk import Desk
from orchestra.pilot.keepers import Port
from orchestra.pilot.report import Reporter, outcome_of, outcome_of_refusal, plain_text
from orchestra.pilot.state import Held, Note, Phase

log = logging.getLogger(__name__)

REFUSED_PAUSE = 5.0
_GPU_WAS_FULL = re.compile(
    rb"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|HIP out of memory"
    rb"|RESOURCE_EXHAUSTED[^\n]*allocat|CUBLAS_STATUS_ALLOC_FAILED"
)


def examine(outcome: Outcome, note: Note, log_limit: int = 0) -> Outcome:
    """Look at what an attempt left: its "complete" file, its log; have the link point at a success. An I/O thread's.

    A log of more than `log_limit` bytes is cut, unless that is 0.
    """
    paths = JobPaths(PurePosixPath(note.task_folder), outcome.key.ordinal)
    folder = Path(paths.attempt(note.folder_number))
    cause, reason = outcome.cause, outcome.reason
    wanted = note.complete_file if outcome.succeeded else None
    if wanted and not folders.has_file(folder, wanted):
        cause = Cause.NOT_COMPLETE
        reason = plain_text(f"exit status 0, but {wanted} is missing in {folder}")
    success = outcome.succeeded and cause is Cause.EXIT
    if success:
        _link(paths, note.folder_number)
    limit = logs.TAIL_OF_SUCCESS if success else logs.TAIL_OF_FAILURE
    size, end = logs.tail(Path(paths.log(note.folder_number)), limit)
    if size and size > log_limit > 0:
        logs.cut(Path(paths.log(note.folder_number)), log_limit)
    if cause in (Cause.EXIT, Cause.SIGNAL) and not success and says_gpu_was_full(end):
        cause = Cause.GPU_OUT_OF_MEMORY
        reason = in_words(cause, outcome.exit_status, outcome.signal)
    return replace(outcome, cause=cause, reason=reason, log_bytes=size, log_tail=end)


def says_gpu_was_full(log: bytes | None) -> bool:
    """Whether the end of a log tells of a GPU without memory, in the words of PyTorch, CUDA, JAX or TensorFlow."""
    return bool(log and _GPU_WAS_FULL.search(log))


def _link(paths: JobPaths, folder_number: int) -> None:
    try:
        folders.point_link(paths, folder_number)
    except VolumeError as error:
        log.warning("%s", error)  # the results are in the attempt's folder all the same


def _lay_to_rest(started: link.Started | None, outcome: Outcome, note: Note) -> Outcome:
    """End what a dead keeper left running (None: nothing can be left), then look at it. An I/O thread's."""
    if started:
        leftovers.end(started, grace=note.grace)
    return examine(outcome, note)


class Supervisor:
    """Takes in what keepers say."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.reporter = Reporter(desk, self.end)
        self.renew_wanted = False

    def tick(self, now: float) -> float:
        """Hear every keeper; gives when to be called again."""
        for port in list(self.desk.keepers.ports.values()):
            if port.link:
                self._hear(port)
            elif not port.dead and now >= port.again_at and self.desk.keepers.reconnect(port):
                self.meet(port)
        self._bury()
        return min(
            (p.again_at for p in self.desk.keepers.ports.values() if not p.link and not p.dead),
            default=float("inf"),
        )

    def meet(self, port: Port) -> None:
        """Compare what a keeper says in its hello with what this agent holds."""
        hello, state = port.hello, self.desk.state
        for ended in hello.outcomes:
            self._on_ended(port, ended)
        if port.dead:
            self._on_death(port)
            return
        for started in hello.running:
            self._on_started(port, started)
        there = {started.key for started in hello.running} | {e.key for e in hello.outcomes}
        for held in list(state.of_keeper(port.id)):
            if held.phase is Phase.RUNNING and held.key not in there:
                self.reporter.give_back(held, "its start got lost on the way to its keeper")

    def end(self, key: AttemptKey, reason: str, *, stopped: bool = False) -> None:
        """Have an attempt ended, wherever it is on its way. May be repeated."""
        held = self.desk.state.held.get(key)
        if held is None or held.phase in (Phase.EXAMINING, Phase.REPORTING):
            return
        again = held.end_reason is not None
        held.end_reason = held.end_reason or reason
        held.stopped = held.stopped or stopped
        if held.phase is Phase.WAITING:
            self.reporter.give_back(held, f"not started: {reason}")
        elif held.phase is Phase.RUNNING and not again:
            self._send_end(held, reason)

    def _send_end(self, held: Held, reason: str) -> None:
        port = self.desk.keepers.ports.get(held.keeper)
        if port and port.link:
            port.link.send_end(held.key, grace=held.note.grace, reason=reason)

    # What keepers say

    def _hear(self, port: Port) -> None:
        assert port.link is not None
        try:
            for event in port.link.receive():
                self._on_event(port, event)
        except link.KeeperSuperseded:
            # Another agent: the database knows which of us decides.
            self.desk.keepers.lose(port, reconnect=False)
            self.renew_wanted = True
        except link.KeeperError as error:
            log.warning("keeper %s: %s", port.id, error)
            self.desk.keepers.lose(port, reconnect=True)

    def _on_event(self, port: Port, event: link.Event) -> None:
        match event:
            case link.Hello():
                port.hello = event
                self.meet(port)
            case link.Started():
                self._on_started(port, event)
            case link.Refused():
                self._on_refused(event)
            case link.Ended():
                self._on_ended(port, event)

    def _on_started(self, port: Port, started: link.Started) -> None:
        held = self._held(port, started)
        held.began = started.boottime
        if held.end_reason is not None and held.phase is Phase.RUNNING:
            self._send_end(held, held.end_reason)

    def _on_refused(self, refused: link.Refused) -> None:
        held = self.desk.state.held.get(refused.key)
        if held is None or held.phase is not Phase.RUNNING:
            return
        outcome = outcome_of_refusal(refused)
        self.reporter.add(held, outcome)
        if refused.reason == "spool":
            self.desk.room_doubted = True
        if outcome.cause is Cause.RETURNED:
            self.desk.pause_claims(REFUSED_PAUSE, f"cannot start jobs: {refused.message}")

    def _on_ended(self, port: Port, ended: link.Ended) -> None:
        held = self._held(port, ended)
        if held.phase in (Phase.EXAMINING, Phase.REPORTING):
            return
        held.phase = Phase.EXAMINING
        if ended.cause is Cause.EXIT and ended.exit_status == 0:
            self.desk.appetite.measure(ended.key.task_id, ended.seconds)
        same_boot = port.hello.boot_id == self.desk.boot_id
        ended_at = ended.boottime if same_boot else None
        outcome = outcome_of(ended, held)
        self.desk.workers.submit(
            partial(examine, outcome, held.note, self.desk.kit.log_limit),
            lambda examined: self.reporter.add(held, examined, ended_at),
            lambda _: self.reporter.add(held, outcome, ended_at),
            lane=held.key.task_id,
        )

    def _held(self, port: Port, event: link.Started | link.Ended) -> Held:
        held = self.desk.state.held.get(event.key)
        if held is None:  # an earlier agent started it
            held = Held(event.key, port.id, Note.from_json(event.note), Phase.RUNNING)
            self.desk.state.add(held)
        return held

    # Keepers that died

    def _on_death(self, port: Port) -> None:
        """Nobody can know how the attempts of a dead keeper end: they are ended, and are lost."""
        same_boot = port.hello.boot_id == self.desk.boot_id
        ended = {outcome.key for outcome in port.hello.outcomes}
        running = [started for started in port.hello.running if started.key not in ended]
        for started in running:
            held = self._held(port, started)
            held.phase = Phase.EXAMINING
            reason = "its keeper has died" if same_boot else "its node was started anew"
            outcome = Outcome(started.key, Cause.LOST, reason=reason, devices=held.note.devices)
            self.desk.workers.submit(
                partial(_lay_to_rest, started if same_boot else None, outcome, held.note),
                partial(self.reporter.add, held),
                partial(self._not_examined, held, outcome),
                lane=held.key.task_id,
            )
        there = {started.key for started in running} | ended
        for held in list(self.desk.state.of_keeper(port.id)):
            if held.key not in there and held.phase in (Phase.WAITING, Phase.RUNNING):
                self.reporter.give_back(held, "its keeper has died")

    def _not_examined(self, held: Held, outcome: Outcome, _: Exception) -> None:
        self.reporter.add(held, outcome)

    def _bury(self) -> None:
        """Forget the dead of which all is reported, once the database has taken back what else they were granted."""
        for port in list(self.desk.keepers.ports.values()):
            nothing_left = not any(self.desk.state.of_keeper(port.id))
            if port.dead and port.buried and nothing_left:
                self.desk.memory.bury(port.id)  # first: without its folder nobody else knows
                self.desk.keepers.bury(port)
