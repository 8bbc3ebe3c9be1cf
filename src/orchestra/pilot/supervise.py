"""What keepers say, and what is done about it: attempts have begun, have ended, are to be ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from orchestra.domain import troubles
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.states import Cause
from orchestra.pilot import leftovers, link, logs, open_log
from orchestra.pilot.ahead import QUICK_SECONDS
from orchestra.pilot.desk import Desk, Kit
from orchestra.pilot.examine import Examiner, examine, sweep
from orchestra.pilot.keepers import Port
from orchestra.pilot.open_log import OpenLog
from orchestra.pilot.report import Reporter, outcome_of, outcome_of_refusal
from orchestra.pilot.state import Held, Note, Phase

log = logging.getLogger(__name__)

REFUSED_PAUSE = 5.0
SILENT_AFTER = 15.0
"""Seconds after which a keeper that has not answered a start is said to be silent."""


def _lay_to_rest(
    kit: Kit,
    started: link.Started | None,
    outcome: Outcome,
    note: Note,
    own_log: OpenLog | None,
) -> Outcome:
    """End what a dead keeper left running (None: nothing can be left), then look at it. An I/O thread's."""
    if started:
        own_log = own_log or open_log.of_process(started)
        leftovers.end(started, grace=note.grace, log=logs.path_of(started.key, note))
    sweep(outcome, note, kit)
    try:
        return examine(outcome, note, kit, own_log)
    finally:
        if own_log:
            own_log.close()


def _is_lost(port: Port) -> bool:
    """Whether a keeper is to be connected to again."""
    return not (port.link or port.dead or port.foreign)


def _as_asked(ended: link.Ended, held: Held) -> link.Ended:
    """Give the end of an attempt that was ended from outside as its keeper would have told it, had it been asked."""
    if held.end_reason is None or ended.cause not in (Cause.EXIT, Cause.SIGNAL):
        return ended
    return replace(ended, cause=Cause.ENDED, reason=held.end_reason)


class Supervisor:
    """Takes in what keepers say."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.reporter = Reporter(desk, self.end)
        self._examiner = Examiner(desk, self.reporter)
        self.renew_wanted = False

    def tick(self, now: float) -> float:
        """Hear every keeper; gives when to be called again."""
        for port in list(self.desk.keepers.ports.values()):
            if port.link:
                self._hear(port)
            elif _is_lost(port) and now >= port.again_at and self.desk.keepers.reconnect(port):
                self.meet(port)
        self._close_out()
        lost = (port.again_at for port in self.desk.keepers.ports.values() if _is_lost(port))
        return min([self._examiner.tick(now), self._say_silent(now), *lost])

    def _say_silent(self, now: float) -> float:
        """Have `node list` name keepers that do not answer, stopped ones say; gives when to look again."""
        due = float("inf")
        for port in self.desk.keepers.ports.values():
            if port.asked_at is not None and now >= port.asked_at + SILENT_AFTER:
                self.desk.troubles["silent"] = troubles.keeper_silent(port.hello.pid)
                return due
            if port.asked_at is not None:
                due = min(due, port.asked_at + SILENT_AFTER)
        self.desk.troubles.pop("silent", None)
        return due

    def meet(self, port: Port) -> None:
        """Compare what a keeper says in its hello with what this agent holds."""
        hello, state = port.hello, self.desk.state
        for ended in hello.outcomes:
            self._on_ended(port, ended)
        self._examiner.flush()
        if port.dead:
            self._on_death(port)
            return
        for started in hello.running:
            self._on_started(port, started)
        there = {started.key for started in hello.running} | {e.key for e in hello.outcomes}
        lost = [
            held
            for held in state.of_keeper(port.id)
            if held.phase in (Phase.NEXT, Phase.RUNNING) and held.key not in there
        ]
        if port.foreign:
            self._forget(port, {held.key for held in lost})
            return
        for held in lost:
            self.reporter.give_back(held, "its start got lost on the way to its keeper")

    def _forget(self, port: Port, missing: set[AttemptKey]) -> None:
        """Forget what is not in a living keeper's spool any more: the agent that it speaks with has reported its end.

        Not at the first look, which may have met the keeper in the middle of writing.
        """
        for key in missing & port.missing:
            self.desk.state.drop(key)
        port.missing = missing

    def end(self, key: AttemptKey, reason: str) -> None:
        """Have an attempt ended, wherever it is on its way. May be repeated."""
        held = self.desk.state.held.get(key)
        if held is None or held.phase is Phase.REPORTING:
            return
        again = held.end_reason is not None
        held.end_reason = held.end_reason or reason
        if held.phase is Phase.WAITING:
            self.reporter.give_back(held, f"not started: {reason}")
        elif held.phase in (Phase.NEXT, Phase.RUNNING) and not again:
            self._send_end(held, reason)

    def recall(self, key: AttemptKey) -> None:
        """Have an attempt handed back whose task is held; one that has begun runs on. May be repeated."""
        held = self.desk.state.held.get(key)
        if held is None:
            return
        if held.phase in (Phase.WAITING, Phase.PREPARING):
            self.end(key, "its task is held")
        elif held.phase is Phase.NEXT and not held.recalled:
            self.desk.keepers.withdraw(held)

    def _send_end(self, held: Held, reason: str) -> None:
        port = self.desk.keepers.ports.get(held.keeper)
        if port and port.link:
            port.link.send_end(held.key, grace=held.note.grace, reason=reason)
        elif port and port.foreign and not port.dead:
            self._end_from_outside(port, held)

    def _end_from_outside(self, port: Port, held: Held) -> None:
        """End an attempt whose keeper cannot be told to; it will see how the attempt ends."""
        for started in port.hello.running:
            if started.key == held.key:
                where = logs.path_of(held.key, held.note)
                self.desk.workers.submit(
                    partial(leftovers.end, started, grace=held.note.grace, log=where),
                    lambda _: None,
                    partial(log.error, "job %s could not be ended: %s", held.key),
                    lane=held.key.task_id,
                )

    # What keepers say

    def _hear(self, port: Port) -> None:
        assert port.link is not None
        try:
            for event in port.link.receive():
                port.asked_at = None
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
        if held.end_reason is not None and held.phase is Phase.RUNNING and not port.foreign:
            self._send_end(held, held.end_reason)

    def _on_refused(self, refused: link.Refused) -> None:
        held = self.desk.state.held.get(refused.key)
        if held is None or held.phase not in (Phase.NEXT, Phase.RUNNING):
            return
        outcome = outcome_of_refusal(refused)
        self.reporter.add(held, outcome)
        if refused.reason == "spool":
            self.desk.room_doubted = True
        if outcome.cause is Cause.RETURNED and refused.reason != "withdrawn":
            self.desk.pause_claims(REFUSED_PAUSE, f"cannot start jobs: {refused.message}")

    def _on_ended(self, port: Port, ended: link.Ended) -> None:
        if ended.key in port.taken:
            return
        held = self._held(port, ended)
        if port.foreign:
            port.taken.add(ended.key)
            ended = _as_asked(ended, held)
        if held.phase in (Phase.EXAMINING, Phase.REPORTING):
            return
        succeeded = ended.cause is Cause.EXIT and ended.exit_status == 0
        if succeeded or ended.seconds >= QUICK_SECONDS:  # what fails at once proves nothing
            self.desk.appetite.measure(ended.key.task_id, ended.seconds)
        same_boot = port.hello.boot_id == self.desk.boot_id
        ended_at = ended.boottime if same_boot else None
        self._examiner.add(held, outcome_of(ended, held), ended_at)

    def _held(self, port: Port, event: link.Started | link.Ended) -> Held:
        held = self.desk.state.held.get(event.key)
        if held is None:  # an earlier agent started it
            held = Held(event.key, port.id, Note.from_json(event.note), Phase.RUNNING)
            self.desk.state.add(held)
            if isinstance(event, link.Started) and not port.dead:
                self._adopt_log(held, event)
        return held

    def _adopt_log(self, held: Held, started: link.Started) -> None:
        """Have the log of an earlier agent's attempt open, too, before its job removes it."""

        def then(found: OpenLog | None) -> None:
            if held.phase is Phase.RUNNING:
                held.log = found

        self.desk.workers.submit(
            partial(open_log.of_process, started), then, lambda _: None, lane=held.key.task_id
        )

    # Keepers that died

    def _on_death(self, port: Port) -> None:
        """Nobody can know how the attempts of a dead keeper end: they are ended, and are lost."""
        same_boot = port.hello.boot_id == self.desk.boot_id
        ended = {outcome.key for outcome in port.hello.outcomes}
        running = [started for started in port.hello.running if started.key not in ended]
        for started in running:
            held = self._held(port, started)
            held.phase = Phase.EXAMINING
            held.leave_line()
            reason = "its keeper has died" if same_boot else "its node was started anew"
            outcome = Outcome(started.key, Cause.LOST, reason=reason, devices=held.note.devices)
            self.desk.workers.submit(
                partial(
                    _lay_to_rest,
                    self.desk.kit,
                    started if same_boot else None,
                    outcome,
                    held.note,
                    held.take_log(),
                ),
                partial(self.reporter.add, held),
                partial(self._not_examined, held, outcome),
                lane=held.key.task_id,
            )
        there = {started.key for started in running} | ended
        for held in list(self.desk.state.of_keeper(port.id)):
            if held.key not in there and held.phase in (Phase.WAITING, Phase.NEXT, Phase.RUNNING):
                if port.closed_out:  # by another agent, which has told what became of it
                    if ready := held.take_ready():
                        ready.close()
                    self.desk.state.drop(held.key)
                else:
                    self.reporter.give_back(held, "its keeper has died")

    def _not_examined(self, held: Held, outcome: Outcome, _: Exception) -> None:
        self.reporter.add(held, outcome)

    def _close_out(self) -> None:
        """Forget the dead of which all is reported, once the database has taken back what else they were granted."""
        for port in list(self.desk.keepers.ports.values()):
            nothing_left = not any(self.desk.state.of_keeper(port.id))
            if port.dead and port.closed_out and nothing_left:
                self.desk.memory.close_out(port.id)  # first: without its folder nobody else knows
                self.desk.keepers.close_out(port)
