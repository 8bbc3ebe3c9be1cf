"""The agent: what decides on a node. One loop; its `tick` is the table of contents of the pilot."""

from __future__ import annotations

import logging
import os
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import psycopg

from orchestra.domain import human, troubles
from orchestra.domain.errors import KeeperFenced, OrchestraError
from orchestra.domain.gpus import visible_devices
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.pilot import run_ahead, state_folder
from orchestra.pilot.claim import Claimer
from orchestra.pilot.conductor_thread import run_conductor
from orchestra.pilot.containers import ContainerReaper
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.database_memory import DatabaseMemory
from orchestra.pilot.db_thread import DatabaseThread, Inbox, Listener
from orchestra.pilot.disk_guard import DiskGuard
from orchestra.pilot.incompatible_keepers import IncompatibleKeepers
from orchestra.pilot.keeper_manager import KeeperManager
from orchestra.pilot.keeper_messages import Successor
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.lease import LeaseRenewal, Renewal
from orchestra.pilot.logs import LogSender
from orchestra.pilot.options import PilotOptions, make_launch_config, pilot_hello
from orchestra.pilot.start import Starter
from orchestra.pilot.state import Phase, PilotState
from orchestra.pilot.supervise import Supervisor
from orchestra.pilot.volumes import VolumeWatch
from orchestra.pilot.workers import Workers
from orchestra.services import work
from orchestra.store.driver import notices

__all__ = ["DRAINING", "STARTED_BY_KEEPER", "PilotOptions", "run", "spawn_detached"]

log = logging.getLogger(__name__)

DRAINING = "--draining"
"""The option with which a pilot takes nothing new and ends when the jobs of the one before it have ended."""
STARTED_BY_KEEPER = "--heir"
"""The option with which keepers start a pilot whose agent has died."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LINGER = 0.005
"""Seconds for which events are left to gather while the keeper knows what to start next."""
GOODBYE = 3.0
"""Seconds that an idle pilot which is told to go waits for the database."""
CONDUCTOR_GOODBYE = 4.0
"""Seconds after which a conductor that has ended is started again."""
SUPERSEDED = 75
"""The exit status of a supervised pilot that was taken over from (EX_TEMPFAIL of sysexits.h)."""


def run(options: PilotOptions) -> int:
    """Serve a node until told to leave; gives the exit status. SIGTERM, SIGHUP and Ctrl-C end no job.

    Raises:
        OrchestraError: it could not begin: no such node, another machine serves it, the database is away.
    """
    folder = options.state_folder or state_folder.pilot_folder(options.cluster, options.node)
    state_folder.make_private(folder)
    with state_folder.present(folder), state_folder.logging_to(folder, terminal=options.foreground):
        return Agent(options, folder).run()


def spawn_detached(command: Sequence[str], folder: Path) -> int:
    """Start a pilot that outlives this process, with no terminal; gives its pid.

    Args:
        command: an argument list that runs a pilot with `foreground=False`.
        folder: the pilot's folder; what it prints before its log is open goes to `agent.out` there.
    """
    state_folder.make_private(folder)
    output = str(folder / "agent.out")
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with suppress(OSError):
        if Path(output).stat().st_size > state_folder.LOG_BYTES:
            os.truncate(output, 0)
    return os.posix_spawnp(
        command[0],
        tuple(command),
        os.environ,
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ),
        setsid=True,
        setsigmask=(),
        setsigdef=SIGNALS,
    )


def successor(options: PilotOptions, folder: Path, *, draining: bool) -> Successor | None:
    """Give the agent that keepers start when this one has died; None where nobody said how.

    A shell starts it, so that a keeper waits neither for a program nor for a folder on a file system that hangs.
    """
    if not options.relaunch:
        return None
    command = (*options.relaunch, DRAINING if draining else STARTED_BY_KEEPER)
    script = 'cd -- "$0" 2> /dev/null; output=$1; shift; exec "$@" < /dev/null >> "$output" 2>&1'
    return Successor(
        argv=("/bin/sh", "-c", script, _current_folder(), str(folder / "agent.out"), *command),
        env=dict(os.environ),
        lock=str(state_folder.presence(folder)),
        after=options.successor_after,
    )


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return "/"


class Agent:
    """One agent, from its first word to the database to its last."""

    def __init__(self, options: PilotOptions, folder: Path) -> None:
        self.options = options
        self.hello = pilot_hello(options)
        inbox = Inbox()
        self.context = context = Context(
            agent=self.hello.agent,
            boot_id=self.hello.boot_id,
            machine_id=self.hello.machine_id,
            folder=folder,
            lease=options.lease,
            on_lease_lost=options.on_lease_lost,
            launch=make_launch_config(options, folder),
            state=PilotState(visible=visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))),
            keepers=Keepers(folder / "keepers", self.hello.agent),
            database_memory=DatabaseMemory(folder / "database.json"),
            inbox=inbox,
            workers=Workers(inbox),
        )
        listener = Listener(
            self._connected, self._unwelcome, self._away, self._heard, self._hindered
        )
        context.database = DatabaseThread(options.connect, self._greet, inbox, listener)
        context.keepers.name_successor(successor(options, folder, draining=options.draining))
        self.supervisor = Supervisor(context)
        self.reporter = self.supervisor.reporter
        self.lease = LeaseRenewal(context, self.supervisor, self.leave)
        self.keeper_manager = KeeperManager(context, self.supervisor)
        self.incompatible_keepers = IncompatibleKeepers(context, self.supervisor)
        self.claimer = Claimer(context, self.reporter, self.lease)
        self.starter = Starter(context, self.reporter, self._resume)
        self.log_sender = LogSender(context)
        self.room = DiskGuard(context, self._resume)
        self.container_reaper = ContainerReaper(context)
        self.volumes = VolumeWatch(context)
        self._signals = 0
        self._go_by = float("inf")
        self._failure: OrchestraError | None = None
        self._handed_over = False
        self._conduct_no_more = threading.Event()
        self._conducting: threading.Thread | None = None

    def run(self) -> int:
        """Work until it is over; gives the exit status."""
        with state_folder.signals_noticed(
            SIGNALS, self._on_signal, self.context.inbox.alarm.far_fileno
        ):
            self.context.database.start()
            due = self._tick_safely()
            while not self._over():
                self._wait(due)
                due = self._tick_safely()
            self._say_goodbye()
        self.context.inbox.alarm.close()
        if self._failure:
            raise self._failure
        return SUPERSEDED if self.context.superseded and self.options.supervised else 0

    def tick(self) -> float:
        """One round; gives when the next one is due, by the monotonic clock."""
        now = monotonic()
        self.context.inbox.empty()
        self._heed_signals()
        due = [
            self.supervisor.tick(now),
            self.incompatible_keepers.tick(now),
            self.volumes.tick(now),
            self.reporter.tick(now),
            self.keeper_manager.tick(now),
            self.room.tick(now),
            self.container_reaper.tick(now),
            self.lease.tick(now),
            self.claimer.tick(now),
            self.starter.tick(now),
            self.context.database_memory.tick(now),
        ]
        self._flush()
        return min(due)

    def _tick_safely(self) -> float:
        try:
            return self.tick()
        except Exception:
            # A mistake of ours in one round must not leave the jobs without an agent.
            log.exception("a round of the agent failed")
            return monotonic() + 1.0

    def _wait(self, due: float) -> None:
        if run_ahead.are_full(self.context.state):
            time.sleep(LINGER)
        poll = select.poll()
        poll.register(self.context.inbox.alarm, select.POLLIN)
        for handle in self.context.keepers.handles.values():
            if handle.link:
                write = select.POLLOUT if handle.link.wants_write else 0
                poll.register(handle.link, select.POLLIN | write)
        due = min(due, self._go_by)
        patience = None if due == float("inf") else max(0.0, due - monotonic()) * 1000
        poll.poll(patience)

    def _flush(self) -> None:
        for handle in self.context.keepers.handles.values():
            if handle.link:
                handle.link.flush()

    # Beginning

    def _greet(self, conn: psycopg.Connection) -> tuple[Renewal, frozenset[object]]:
        """The first words on a new connection, in the courier's thread."""
        context, lease = self.context, self.options.lease
        before = boottime()
        standing = work.attach(conn, self.hello, lease=lease, known=context.database_memory.known)
        fenced = set()
        for keeper in self.keeper_manager.introductions:
            try:
                work.register_keeper(
                    conn, standing.node_id, keeper, lease=lease, expires=context.leases_expire
                )
            except KeeperFenced:
                fenced.add(keeper.id)
        return (before, standing), frozenset(fenced)

    def _connected(self, greeting: tuple[Renewal, frozenset[object]]) -> None:
        renewal, fenced = greeting
        first = not self.context.node_id
        self.context.node_id = renewal[1].node_id
        if renewal[1].identity and self.context.database_memory.meet(renewal[1].identity):
            log.warning("the database was replaced: %s", renewal[1].identity.settling or "settled")
            self.context.tasks.clear()  # it may give their numbers to others
            self.context.versions.clear()
            self.context.launch.inputs.keep(())
        for handle in self.context.keepers.handles.values():
            if handle.id in fenced:
                self.lease.retire(handle)
            handle.reconciled = False
        if renewal[1].identity and renewal[1].identity.settling:
            self.keeper_manager.remind_of_the_dead()
        self.context.troubles.pop("database", None)
        self.lease.take_standing(renewal)
        self.claimer.wake(*Queue)
        if first:
            self.context.request = int(boottime() * 1_000_000)
            self._begin()

    def _resume(self) -> None:
        self.claimer.wake(*Queue)

    def _begin(self) -> None:
        enabled = self.context.state.enabled
        log.info(
            "node %s: %d CPU and %d GPU slots enabled",
            self.options.node, enabled[Queue.CPU], enabled[Queue.GPU],
        )  # fmt: skip
        self.keeper_manager.adopt()
        if self.options.draining:
            self.leave()
        if self.options.conductor:
            self._conducting = threading.Thread(
                target=run_conductor,
                args=(self.options.conductor, self._conduct_no_more, self._conductor_says),
                name="conductor",
                daemon=True,
            )
            self._conducting.start()

    def _conductor_says(self, trouble: Trouble | None) -> None:
        """Have `node list` say it. Called in the conductor's thread."""

        def take_in() -> None:
            self.context.troubles.pop("conductor", None)
            if trouble:
                self.context.troubles["conductor"] = trouble

        self.context.inbox.post(take_in)

    # What the courier says

    def _unwelcome(self, error: OrchestraError) -> None:
        trouble = troubles.database(str(error))
        if not self.context.node_id:
            self._failure = error
        elif self.context.troubles.get("database") != trouble:
            log.error("%s Jobs run on.", error)
            self.context.troubles["database"] = trouble

    def _away(self, error: OrchestraError) -> None:
        options = self.options
        patient = options.patient or options.draining or not options.foreground
        if not self.context.node_id and not patient and not self.context.keepers.has_any:
            self._failure = error

    def _hindered(self, what: str | None) -> None:
        if what:
            log.warning("%s", what)
            self.context.troubles["requests"] = troubles.database(what)
        else:
            self.context.troubles.pop("requests", None)

    def _heard(self, channel: str, payload: str) -> None:
        match channel:
            case notices.CPU:
                self.claimer.wake(Queue.CPU)
            case notices.GPU:
                self.claimer.wake(Queue.GPU)
            case notices.NODE if payload.startswith(notices.TAIL):
                self.log_sender.send(payload.removeprefix(notices.TAIL))
            case notices.NODE if payload in ("", str(self.context.node_id)):
                self.lease.renew_soon(random.uniform(0, 0.005))  # noqa: S311 - no secret

    # The end

    def leave(self) -> None:
        """Take nothing new, hand back what has not begun; the agent ends when its jobs have ended."""
        state = self.context.state
        if state.draining:
            return
        state.draining = True
        self.context.keepers.name_successor(
            successor(self.options, self.context.folder, draining=True)
        )
        log.info("taking nothing new%s", "; waiting for jobs to end" if state.busy else "")
        for attempt in state.waiting():
            self.reporter.release(attempt, "its pilot is leaving")

    def _on_signal(self) -> None:
        self._signals += 1

    def _heed_signals(self) -> None:
        if not self._signals:
            return
        self._signals = 0
        if not self.context.adopted and self.context.node_id == 0:
            self._go_by = monotonic()
        self.leave()
        running = sum(
            attempt.phase is Phase.RUNNING for attempt in self.context.state.attempts.values()
        )
        if not self.context.state.busy:
            self._go_by = min(self._go_by, monotonic() + GOODBYE)
        elif self.options.supervised and self.options.relaunch:
            # The service manager's next pilot may be on its way: one of ours would race it for the node.
            log.info(
                "%s run on; their keepers call a pilot for them if none comes",
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
            log.error("cannot go on in the background: %s; waiting here for the jobs", error)
            return
        self._handed_over = True
        jobs = "1 job runs" if running == 1 else f"{running} jobs run"
        with suppress(OSError):  # the terminal may be gone
            sys.stderr.write(
                f"{jobs} on; a pilot in the background (pid {pid}) looks after them and takes nothing new.\n"
            )

    def _over(self) -> bool:
        if self._failure or self._handed_over or monotonic() >= self._go_by:
            return True
        if self.context.superseded:
            log.info("another pilot has taken over node %s; its jobs run on", self.options.node)
            return True
        state, keepers = self.context.state, self.context.keepers
        return self.context.adopted and state.draining and keepers.all_heard and not state.attempts

    def _say_goodbye(self) -> None:
        self._conduct_no_more.set()
        context = self.context
        if context.launch.cache:
            context.launch.cache.stop()
        stays = self._handed_over or context.superseded or self._failure is not None
        if context.state.draining and not context.adopted:
            context.keepers.leave_word()
        if context.node_id and not stays:
            for handle in context.keepers.handles.values():
                if handle.link:
                    handle.link.send_stop()
            keepers = list(context.keepers.handles)
            context.database.submit(
                lambda conn: work.detach(conn, context.node_id, context.agent, keepers),
                lambda _: None,
                partial(log.error, "saying goodbye failed: %s"),
            )
        context.database.stop(GOODBYE if not stays else 0.5)
        self._flush()
        for handle in context.keepers.handles.values():
            handle.close()
        if self._conducting:  # so that it gives its term back
            self._conducting.join(CONDUCTOR_GOODBYE)
