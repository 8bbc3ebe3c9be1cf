"""The agent: the process that decides for a node. It runs one loop; `Agent.tick` lists its duties."""

from __future__ import annotations

import logging
import random
import select
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic

import psycopg

from orchestra.domain import human, troubles
from orchestra.domain.errors import KeeperFenced, OrchestraError
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.pilot import lent_files, machine_watch, run_ahead, state_folder
from orchestra.pilot.allocation_watch import AllocationWatch
from orchestra.pilot.claim import Claimer
from orchestra.pilot.conductor_thread import ConductorThread
from orchestra.pilot.containers import ContainerReaper
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.database_memory import DatabaseMemory
from orchestra.pilot.db_thread import DatabaseCallbacks, DatabaseThread
from orchestra.pilot.disk_guard import DiskGuard
from orchestra.pilot.gpu_meter import GpuMeter
from orchestra.pilot.gpus import GpuWatch
from orchestra.pilot.inbox import Inbox
from orchestra.pilot.incompatible_keepers import IncompatibleKeepers
from orchestra.pilot.keeper_manager import KeeperManager
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.lease import LeaseRenewal, Renewal
from orchestra.pilot.lent import LentState
from orchestra.pilot.log_parts import LogPartSender
from orchestra.pilot.logs import LogSender
from orchestra.pilot.machine_watch import MachineWatch
from orchestra.pilot.opening import OpeningWatch
from orchestra.pilot.options import PilotOptions, make_launch_config, pilot_hello
from orchestra.pilot.reconcile import Reconciler
from orchestra.pilot.scratch_duty import ScratchDuty
from orchestra.pilot.spawn import Spawner
from orchestra.pilot.state import Phase, PilotState
from orchestra.pilot.successor import DRAINING, SIGNALS, spawn_detached, successor_of
from orchestra.pilot.supervise import Supervisor
from orchestra.pilot.volumes import VolumeWatch
from orchestra.pilot.workers import Workers
from orchestra.services import work
from orchestra.store.driver import channels

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.005
"""Seconds for which events gather while every slot has attempts queued at its keeper."""
LENT_PATIENCE = 60.0
"""Seconds for which a pilot in an allocation waits for the database at its start."""
LAST_SECONDS = 1.5
"""Seconds before everything in its allocation is killed at which a pilot leaves, whatever is unreported."""
DETACH_SECONDS = 3.0
"""Seconds that an idle pilot waits for the database when it is stopped."""
SUPERSEDED = 75
"""The exit status of a supervised pilot after another pilot has taken over (EX_TEMPFAIL of sysexits.h)."""


def run(options: PilotOptions) -> int:
    """Serve a node until stopped; return the exit status. SIGTERM, SIGHUP and Ctrl-C end no job.

    Raises:
        OrchestraError: it cannot start: no such node, another machine serves it, or the database is unavailable.
    """
    folder = options.state_folder or state_folder.pilot_folder(options.cluster, options.node)
    state_folder.make_private(folder)
    with state_folder.locked(folder), state_folder.logging_to(folder, terminal=options.foreground):
        agent = Agent(options, folder)
        status = agent.run()
    if agent.has_left_for_good:
        lent_files.remove(folder)
    return status


class Agent:
    """One agent, from its first request to the database to its last."""

    def __init__(self, options: PilotOptions, folder: Path) -> None:
        self.options = options
        self.hello = pilot_hello(options)
        inbox = Inbox()
        state = PilotState(found=machine_watch.at_start(options.lent))
        self.context = context = Context(
            agent=self.hello.agent,
            boot_id=self.hello.boot_id,
            machine_id=self.hello.machine_id,
            folder=folder,
            lease=options.lease,
            on_lease_lost=options.on_lease_lost,
            launch=make_launch_config(options, folder, self.hello.agent),
            state=state,
            keepers=Keepers(folder / "keepers", self.hello.agent),
            database_memory=DatabaseMemory(folder / "database.json"),
            inbox=inbox,
            workers=Workers(inbox),
            gpu_meter=GpuMeter(folder / "gpus.json", state, self.hello.boot_id),
            lent=LentState(options.lent) if options.lent else None,
        )
        if options.lent:
            state.queues = (options.lent.queue,)
        callbacks = DatabaseCallbacks(
            self._connected, self._rejected, self._unavailable, self._notified, self._delayed
        )
        context.database = DatabaseThread(options.connect, self._attach, inbox, callbacks)
        context.keepers.set_successor(successor_of(options, folder, draining=options.draining))
        self.supervisor = Supervisor(context)
        self.reporter = self.supervisor.reporter
        self.lease = LeaseRenewal(context, self.supervisor, self.drain)
        self.reconciler = Reconciler(context, self.supervisor, self.lease)
        self.keeper_manager = KeeperManager(context, self.supervisor)
        self.incompatible_keepers = IncompatibleKeepers(context, self.supervisor)
        self.claimer = Claimer(context, self.reporter, self.lease)
        self.spawner = Spawner(context, self.reporter, self._resume_claims)
        self.log_sender = LogSender(context)
        self.log_part_sender = LogPartSender(context)
        self.disk_guard = DiskGuard(context, self._resume_claims)
        self.machine_watch = MachineWatch(context, self._resume_claims)
        self.opening_watch = OpeningWatch(
            context.opening,
            end_all=self._end_all,
            opened=self._resume_claims,
            tell=self.lease.renew_soon,
            boottime=boottime,
        )
        self.gpu_watch = GpuWatch(context, self._resume_claims, avoid_busy=options.avoid_busy_gpus)
        self.scratch_duty = ScratchDuty(context, self._resume_claims)
        self.container_reaper = ContainerReaper(context)
        self.volumes = VolumeWatch(context)
        self.allocation_watch = (
            AllocationWatch(context, context.lent, self.supervisor, self.drain)
            if context.lent
            else None
        )
        self.has_left_for_good = False
        self._signals = 0
        self._exit_by = inf
        self._patient_until = monotonic() + LENT_PATIENCE
        self._unreachable: OrchestraError | None = None
        self._failure: OrchestraError | None = None
        self._handed_over = False
        self._conductor: ConductorThread | None = None

    def run(self) -> int:
        """Run until nothing is left to do; return the exit status."""
        inbox = self.context.inbox
        with state_folder.signals_handled(SIGNALS, self._on_signal, inbox.wakeup.write_fileno):
            if self.allocation_watch and self.hello.successor:
                self.keeper_manager.adopt()  # jobs are ended whether or not there is a database
                self.allocation_watch.succeed()
            self.context.database.start()
            due = self._tick_safely()
            while not self._is_over():
                self._wait(due)
                due = self._tick_safely()
            self._finish()
        inbox.wakeup.close()
        if self._failure:
            raise self._failure
        return SUPERSEDED if self.context.superseded and self.options.supervised else 0

    def tick(self) -> float:
        """Run one round: supervise, report, maintain, claim, spawn.

        Returns when the next one is due, by the monotonic clock.
        """
        now = monotonic()
        self.context.inbox.run_calls()
        self._handle_signals()
        due = [
            self._supervise(now),
            self._report(now),
            self._maintain(now),
            self.claimer.tick(now),
            self.spawner.tick(now),
        ]
        self._flush()
        return min(due)

    def _supervise(self, now: float) -> float:
        """Receive what keepers say: attempts have started or ended. End those that may not run on."""
        return min(
            self.supervisor.tick(now),
            self.incompatible_keepers.tick(now),
            self.volumes.tick(now),
            self.opening_watch.tick(now),
            self.allocation_watch.tick(now) if self.allocation_watch else inf,
        )

    def _report(self, now: float) -> float:
        """Send starts and outcomes to the database."""
        return min(self.reporter.tick(now), self.context.database_memory.tick(now))

    def _maintain(self, now: float) -> float:
        """Keep a keeper running, disk, containers and machine in check, and lease and the database's view current."""
        return min(
            self.keeper_manager.tick(now),
            self.disk_guard.tick(now),
            self.scratch_duty.tick(now),
            self.machine_watch.tick(now),
            self.gpu_watch.tick(now),
            self.container_reaper.tick(now),
            self.lease.tick(now),
            self.reconciler.tick(now),
        )

    def _tick_safely(self) -> float:
        try:
            return self.tick()
        except Exception:
            # A bug in one round must not leave the jobs without an agent.
            log.exception("a round of the agent failed")
            return monotonic() + 1.0

    def _wait(self, due: float) -> None:
        if run_ahead.are_full(self.context.state):
            time.sleep(GATHER_SECONDS)
        poll = select.poll()
        poll.register(self.context.inbox.wakeup, select.POLLIN)
        for handle in self.context.keepers.handles.values():
            if handle.link:
                write = select.POLLOUT if handle.link.wants_write else 0
                poll.register(handle.link, select.POLLIN | write)
        due = min(due, self._exit_by)
        poll.poll(None if due == inf else max(0.0, due - monotonic()) * 1000)

    def _flush(self) -> None:
        for handle in self.context.keepers.handles.values():
            if handle.link:
                handle.link.flush()

    # Start

    def _attach(self, conn: psycopg.Connection) -> tuple[Renewal, frozenset[object]]:
        """Attach to the database over a new connection; runs in the database thread. Returns also fenced keepers."""
        context, lease = self.context, self.options.lease
        asked_at = boottime()
        hello = replace(self.hello, found=context.found)
        if context.lent:  # what is known so far gives the new node its slots
            found = context.found or context.state.found
            hello = replace(hello, found=found, allocation=context.lent.hello)
        reply = work.attach(conn, hello, lease=lease, known=context.database_memory.known)
        fenced = set()
        for keeper in self.keeper_manager.introductions:
            try:
                work.register_keeper(
                    conn, reply.node_id, keeper, lease=lease, expires=context.leases_expire
                )
            except KeeperFenced:
                fenced.add(keeper.id)
        return Renewal(asked_at, reply, hello.found), frozenset(fenced)

    def _connected(self, attached: tuple[Renewal, frozenset[object]]) -> None:
        renewal, fenced = attached
        context, reply = self.context, renewal.reply
        first = not context.node_id
        context.node_id = reply.node_id
        if reply.identity and context.database_memory.identify(reply.identity):
            log.warning("the database was replaced: %s", reply.identity.settling or "settled")
            context.tasks.clear()  # their numbers may belong to other tasks now
            context.versions.clear()
            context.launch.inputs.keep(())
        for handle in context.keepers.handles.values():
            if handle.id in fenced:
                handle.fence()
            handle.reconciled = False
        if reply.identity and reply.identity.settling:
            self.keeper_manager.close_out_again()
        context.troubles.pop("database", None)
        self.lease.note_attached(renewal)
        self._resume_claims()
        if first:
            if self._unreachable and self._exit_by == self._patient_until:
                self._unreachable, self._exit_by = None, inf
            context.request = int(boottime() * 1_000_000)
            self._begin()

    def _resume_claims(self) -> None:
        self.claimer.wake(*Queue)

    def _end_all(self, reason: str) -> None:
        self.supervisor.end_all(reason)

    def _begin(self) -> None:
        enabled = self.context.state.enabled
        log.info(
            "node %s: %d CPU and %d GPU slots enabled",
            self.options.node, enabled[Queue.CPU], enabled[Queue.GPU],
        )  # fmt: skip
        self.keeper_manager.adopt()
        if self.options.draining:
            self.drain()
        if self.options.conductor:
            self._conductor = ConductorThread(self.options.conductor, self._report_conductor)

    def _report_conductor(self, trouble: Trouble | None) -> None:
        """Show the conductor's trouble in `node list`. Called in the conductor's thread."""

        def update() -> None:
            self.context.troubles.pop("conductor", None)
            if trouble:
                self.context.troubles["conductor"] = trouble

        self.context.inbox.post(update)

    # Callbacks of the database thread

    def _rejected(self, error: OrchestraError) -> None:
        trouble = troubles.database(str(error))
        if not self.context.node_id and not self.context.state.busy:
            self._failure = error
        elif self.context.troubles.get("database") != trouble and self.context.node_id:
            log.error("%s Jobs keep running.", error)
            self.context.troubles["database"] = trouble

    def _unavailable(self, error: OrchestraError) -> None:
        options = self.options
        waits = options.patient or options.draining or not options.foreground
        if self.context.node_id or waits or self.context.keepers.has_any:
            return
        if options.lent:  # its allocation may have waited for long: it waits a moment
            self._unreachable, self._exit_by = error, min(self._exit_by, self._patient_until)
        else:
            self._failure = error

    def _delayed(self, why: str | None) -> None:
        if why:
            log.warning("%s", why)
            self.context.troubles["requests"] = troubles.database(why)
        else:
            self.context.troubles.pop("requests", None)

    def _notified(self, channel: str, payload: str) -> None:
        match channel:
            case channels.CPU:
                self.claimer.wake(Queue.CPU)
            case channels.GPU:
                self.claimer.wake(Queue.GPU)
            case channels.NODE if payload.startswith(channels.TAIL):
                self.log_sender.send(payload.removeprefix(channels.TAIL))
            case channels.NODE if payload.startswith(channels.PART):
                if payload.removeprefix(channels.PART) == str(self.context.node_id):
                    self.log_part_sender.wake()
            case channels.NODE if payload in ("", str(self.context.node_id)):
                self.lease.renew_soon(random.uniform(0, 0.005))  # noqa: S311 - not a secret

    # End

    def drain(self) -> None:
        """Claim nothing more and release what has not started; the agent exits when its jobs have ended."""
        context, state = self.context, self.context.state
        if state.draining:
            return
        state.draining = True
        successor = successor_of(self.options, context.folder, draining=True)
        context.keepers.set_successor(successor)
        log.info("claiming no more jobs%s", "; waiting for jobs to end" if state.busy else "")
        for attempt in state.waiting():
            self.reporter.release(attempt, "its pilot is stopping")

    def _on_signal(self) -> None:
        self._signals += 1

    def _handle_signals(self) -> None:
        if not self._signals:
            return
        self._signals = 0
        state = self.context.state
        if not self.context.adopted and self.context.node_id == 0:
            self._exit_by = monotonic()
        if self.allocation_watch:
            self.allocation_watch.stop()
            self._exit_by = min(self._exit_by, self.allocation_watch.dies_at - LAST_SECONDS)
            return
        self.drain()
        running = sum(attempt.phase is Phase.RUNNING for attempt in state.attempts.values())
        if not state.busy:
            self._exit_by = min(self._exit_by, monotonic() + DETACH_SECONDS)
        elif self.options.supervised and self.options.relaunch:
            # The service manager may already be starting the next pilot, which one from here would compete with.
            log.info(
                "leaving %s running; their keepers start a pilot if none comes",
                human.count(running, "job"),
            )
            self._handed_over = True
        elif self.options.foreground and self.options.relaunch:
            self._hand_over(running)

    def _hand_over(self, running: int) -> None:
        """Leave the jobs to a pilot in the background."""
        try:
            pid = spawn_detached((*self.options.relaunch, DRAINING), self.context.folder)
        except OSError as error:
            log.error("cannot start a pilot in the background: %s; waiting for the jobs", error)
            return
        self._handed_over = True
        jobs = "1 job keeps" if running == 1 else f"{running} jobs keep"
        with suppress(OSError):  # the terminal may be gone
            sys.stderr.write(
                f"{jobs} running; a pilot in the background (pid {pid}) supervises them and claims no new jobs.\n"
            )

    def _is_over(self) -> bool:
        if monotonic() >= self._exit_by:
            self._failure = self._failure or self._unreachable
            return True
        if self._failure or self._handed_over:
            return True
        if self.context.superseded:
            log.info(
                "another pilot has taken over node %s; its jobs keep running", self.options.node
            )
            return True
        state, keepers = self.context.state, self.context.keepers
        return (
            self.context.adopted and state.draining and keepers.all_connected and not state.attempts
        )

    def _finish(self) -> None:
        context = self.context
        if self._conductor:
            self._conductor.request_stop()
        if context.launch.cache:
            context.launch.cache.stop()
        jobs_run_on = self._handed_over or context.superseded or self._failure is not None
        jobs_run_on = jobs_run_on or bool(context.lent and context.state.attempts)
        if context.state.draining and not context.adopted:
            context.keepers.send_successor_to_unadopted()
        if context.lent and self.hello.successor and self._failure:
            self._give_up()
        if context.node_id and not jobs_run_on:
            self._detach()
            self.has_left_for_good = bool(context.lent)
        context.database.stop(0.5 if jobs_run_on else DETACH_SECONDS)
        self._flush()
        self.gpu_watch.close()
        self.scratch_duty.finish()
        for handle in context.keepers.handles.values():
            handle.close()
        if self._conductor:
            self._conductor.join()

    def _give_up(self) -> None:
        """Let the keepers of an allocation go that the database does not know any more; their jobs have ended."""
        self.reporter.give_up()
        for handle in self.context.keepers.handles.values():
            if handle.link:
                handle.link.send_stop()
        self.has_left_for_good = True

    def _detach(self) -> None:
        """Stop the keepers, which hold nothing, and sign the node off."""
        context = self.context
        for handle in context.keepers.handles.values():
            if handle.link:
                handle.link.send_stop()
        keepers = list(context.keepers.handles)
        news = context.lent.news if context.lent else None
        context.database.submit(
            lambda conn: work.detach(conn, context.node_id, context.agent, keepers, news),
            lambda _: None,
            partial(log.error, "detaching from the database failed: %s"),
        )
