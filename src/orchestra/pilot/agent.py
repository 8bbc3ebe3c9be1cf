"""The agent: what decides on a node. One loop; its `tick` is the table of contents of the pilot."""

from __future__ import annotations

import logging
import os
import platform
import pwd
import random
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Literal
from uuid import uuid4

import psycopg

import orchestra
from orchestra.domain.errors import Fenced, OrchestraError
from orchestra.domain.models import KeeperHello, PilotHello
from orchestra.domain.states import Queue
from orchestra.pilot import home, slots
from orchestra.pilot.claim import Claimer
from orchestra.pilot.courier import Connect, Courier, Inbox, Listener
from orchestra.pilot.desk import Desk, Kit, boottime
from orchestra.pilot.inputs import InputGuard
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.reconcile import Renewal, Steward
from orchestra.pilot.start import Starter
from orchestra.pilot.state import Phase, PilotState
from orchestra.pilot.supervise import Supervisor
from orchestra.pilot.workers import Workers
from orchestra.runtimes import Runtime
from orchestra.runtimes.bare import BareRuntime, find_shell
from orchestra.services import work
from orchestra.store import notices
from orchestra.store.datafolder import this_host

log = logging.getLogger(__name__)

DRAINING = "--draining"
"""The option with which a pilot takes nothing new and ends when the jobs of the one before it have ended."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KEEPER_AGAIN = 5.0
GOODBYE = 3.0
"""Seconds that an idle pilot which is told to go waits for the database."""


@dataclass(frozen=True, slots=True)
class PilotOptions:
    """How to run a pilot.

    Args:
        node: whose slots it serves.
        cluster: the database's cluster id; pilots of different clusters keep apart what is theirs on this machine.
        connect: makes a connection to the database, in autocommit mode.
        may_conduct: as `pilot run -m`.
        lease: seconds for which jobs run on without a word from the database.
        on_lease_lost: what becomes of them then.
        draining: take nothing new; look after what an earlier agent started, and end.
        foreground: log to stderr; a signal while jobs run leaves them to a pilot in the background.
        patient: wait for a database that is away at the start, instead of failing.
        relaunch: the command that starts this pilot again; with `--draining` after it, it is its own successor.
        conductor: runs in a thread until its event is set.
        state_folder: where the pilot keeps what is its own; by default as `home.pilot_folder` says.
        runtimes: by default the bare one.
    """

    node: str
    cluster: str
    connect: Connect
    may_conduct: bool = False
    serve_all: bool = False
    lease: float = work.LEASE_SECONDS
    on_lease_lost: Literal["kill", "keep"] = "kill"
    draining: bool = False
    foreground: bool = True
    patient: bool = False
    relaunch: tuple[str, ...] = ()
    conductor: Callable[[threading.Event], None] | None = None
    state_folder: Path | None = None
    runtimes: tuple[Runtime, ...] = ()


def run(options: PilotOptions) -> int:
    """Serve a node until told to leave; gives the exit status. SIGTERM, SIGHUP and Ctrl-C end no job.

    Raises:
        OrchestraError: it could not begin: no such node, another machine serves it, the database is away.
    """
    folder = options.state_folder or home.pilot_folder(options.cluster, options.node)
    home.make_private(folder)
    with home.logging_to(folder, terminal=options.foreground):
        return Agent(options, folder).run()


def spawn_detached(command: Sequence[str], folder: Path) -> int:
    """Start a pilot that outlives this process, with no terminal; gives its pid.

    Args:
        command: an argument list that runs a pilot with `foreground=False`.
        folder: the pilot's folder; what it prints before its log is open goes to `agent.out` there.
    """
    home.make_private(folder)
    output = str(folder / "agent.out")
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
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


class Agent:
    """One agent, from its first word to the database to its last."""

    def __init__(self, options: PilotOptions, folder: Path) -> None:
        self.options = options
        self.hello = _introduce(options)
        inbox = Inbox()
        self.desk = desk = Desk(
            agent=self.hello.agent,
            boot_id=self.hello.boot_id,
            machine_id=self.hello.machine_id,
            folder=folder,
            lease=options.lease,
            on_lease_lost=options.on_lease_lost,
            kit=_kit(options),
            state=PilotState(visible=slots.visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))),
            keepers=Keepers(folder / "keepers", self.hello.agent),
            inbox=inbox,
            workers=Workers(inbox),
        )
        listener = Listener(self._connected, self._unwelcome, self._away, self._heard)
        desk.courier = Courier(options.connect, self._greet, inbox, listener)
        self.supervisor = Supervisor(desk)
        self.reporter = self.supervisor.reporter
        self.steward = Steward(desk, self.supervisor, self.leave)
        self.claimer = Claimer(desk, self.reporter, self.steward)
        self.starter = Starter(desk, self.reporter)
        self._introductions: tuple[KeeperHello, ...] = ()
        self._adopted = False
        self._keeper_at = 0.0
        self._signals = 0
        self._go_by = float("inf")
        self._failure: OrchestraError | None = None
        self._handed_over = False
        self._conductor = threading.Event()

    def run(self) -> int:
        """Work until it is over; gives the exit status."""
        with home.signals_noticed(SIGNALS, self._on_signal, self.desk.inbox.alarm.far_fileno):
            self.desk.courier.start()
            while not self._over():
                self._wait(self._tick_safely())
            self._say_goodbye()
        if self._failure:
            raise self._failure
        return 0

    def tick(self) -> float:
        """One round; gives when the next one is due, by the monotonic clock."""
        now = monotonic()
        self.desk.inbox.empty()
        self._heed_signals()
        due = [
            self.supervisor.tick(now),
            self.reporter.tick(now),
            self.steward.tick(now),
            self.claimer.tick(now),
            self._tend_keepers(now),
        ]
        self.starter.tick()
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
        poll = select.poll()
        poll.register(self.desk.inbox.alarm, select.POLLIN)
        for port in self.desk.keepers.ports.values():
            if port.link:
                write = select.POLLOUT if port.link.wants_write else 0
                poll.register(port.link, select.POLLIN | write)
        due = min(due, self._go_by)
        patience = None if due == float("inf") else max(0.0, due - monotonic()) * 1000
        poll.poll(patience)

    def _flush(self) -> None:
        for port in self.desk.keepers.ports.values():
            if port.link:
                port.link.flush()

    # Beginning

    def _greet(self, conn: psycopg.Connection) -> tuple[Renewal, frozenset[object]]:
        """The first words on a new connection, in the courier's thread."""
        before = boottime()
        standing = work.attach(conn, self.hello, lease=self.options.lease)
        fenced = set()
        for keeper in self._introductions:
            try:
                work.register_keeper(conn, standing.node_id, keeper, lease=self.options.lease)
            except Fenced:
                fenced.add(keeper.id)
        return (before, standing), frozenset(fenced)

    def _connected(self, greeting: tuple[Renewal, frozenset[object]]) -> None:
        renewal, fenced = greeting
        first = not self.desk.node_id
        self.desk.node_id = renewal[1].node_id
        for port in self.desk.keepers.ports.values():
            if port.id in fenced:
                self.steward.retire(port)
            port.reconciled = False
        self.desk.troubles.pop("database", None)
        self.steward.take_standing(renewal)
        self.claimer.wake(*Queue)
        if first:
            self._begin()

    def _begin(self) -> None:
        enabled = self.desk.state.enabled
        log.info(
            "node %s: %d CPU and %d GPU slots enabled",
            self.options.node, enabled[Queue.CPU], enabled[Queue.GPU],
        )  # fmt: skip
        self._adopt()
        self._adopted = True
        if self.options.draining:
            self.leave()
        if self.options.conductor:
            threading.Thread(
                target=self.options.conductor,
                args=(self._conductor,),
                name="conductor",
                daemon=True,
            ).start()

    def _adopt(self) -> None:
        for port in self.desk.keepers.adopt():
            running, outcomes = len(port.hello.running), len(port.hello.outcomes)
            log.info("keeper %s: %d running, %d outcomes", port.id, running, outcomes)
            self.supervisor.meet(port)
            self.steward.register(port)
        self._introduce_keepers()

    def _tend_keepers(self, now: float) -> float:
        """See to it that there is a keeper to take jobs, and hear those that were silent."""
        if not self._adopted or now < self._keeper_at:
            return self._keeper_at if self._adopted else float("inf")
        if not self.desk.keepers.all_heard:
            self._keeper_at = now + KEEPER_AGAIN
            self._adopt()
        if self.desk.keepers.needs_one and not self.desk.state.leaving:
            self._keeper_at = now + KEEPER_AGAIN
            self._start_keeper()
        return max(self._keeper_at, now) if self._keeper_at > now else float("inf")

    def _start_keeper(self) -> None:
        try:
            port = self.desk.keepers.start()
        except OrchestraError as error:
            log.error("%s", error)
            self.desk.troubles["keeper"] = str(error)
            return
        self.desk.troubles.pop("keeper", None)
        self.steward.register(port)
        self._introduce_keepers()

    def _introduce_keepers(self) -> None:
        machine = self.desk.machine_id
        ports = self.desk.keepers.ports.values()
        self._introductions = tuple(port.introduction(machine) for port in ports)

    # What the courier says

    def _unwelcome(self, error: OrchestraError) -> None:
        if not self.desk.node_id:
            self._failure = error
        elif self.desk.troubles.get("database") != str(error):
            log.error("%s Jobs run on.", error)
            self.desk.troubles["database"] = str(error)

    def _away(self, error: OrchestraError) -> None:
        patient = self.options.patient or self.options.draining
        if not self.desk.node_id and not patient and not self.desk.keepers.has_any:
            self._failure = error

    def _heard(self, channel: str, payload: str) -> None:
        match channel:
            case notices.CPU:
                self.claimer.wake(Queue.CPU)
            case notices.GPU:
                self.claimer.wake(Queue.GPU)
            case notices.NODE if payload in ("", str(self.desk.node_id)):
                self.steward.renew_soon(random.uniform(0, 0.005))  # noqa: S311 - no secret

    # The end

    def leave(self) -> None:
        """Take nothing new, hand back what has not begun; the agent ends when its jobs have ended."""
        state = self.desk.state
        if state.leaving:
            return
        state.leaving = True
        log.info("taking nothing new%s", "; waiting for jobs to end" if state.busy else "")
        for held in state.waiting():
            self.reporter.give_back(held, "its pilot is leaving")

    def _on_signal(self) -> None:
        self._signals += 1

    def _heed_signals(self) -> None:
        if not self._signals:
            return
        self._signals = 0
        if not self._adopted and self.desk.node_id == 0:
            self._go_by = monotonic()
        self.leave()
        running = sum(held.phase is Phase.RUNNING for held in self.desk.state.held.values())
        if not self.desk.state.busy:
            self._go_by = min(self._go_by, monotonic() + GOODBYE)
        elif self.options.foreground and self.options.relaunch:
            self._hand_over(running)

    def _hand_over(self, running: int) -> None:
        """Leave the jobs to a pilot in the background."""
        try:
            pid = spawn_detached((*self.options.relaunch, DRAINING), self.desk.folder)
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
        if self.desk.superseded:
            log.info("another pilot has taken over node %s; its jobs run on", self.options.node)
            return True
        state, keepers = self.desk.state, self.desk.keepers
        return self._adopted and state.leaving and keepers.all_heard and not state.held

    def _say_goodbye(self) -> None:
        self._conductor.set()
        desk = self.desk
        stays = self._handed_over or desk.superseded or self._failure is not None
        if desk.node_id and not stays:
            for port in desk.keepers.ports.values():
                if port.link:
                    port.link.send_stop()
            keepers = list(desk.keepers.ports)
            desk.courier.ask(
                lambda conn: work.detach(conn, desk.node_id, desk.agent, keepers),
                lambda _: None,
                partial(log.error, "saying goodbye failed: %s"),
            )
        desk.courier.stop(GOODBYE if not stays else 0.5)
        self._flush()
        for port in desk.keepers.ports.values():
            port.close()


def _introduce(options: PilotOptions) -> PilotHello:
    host = this_host()
    names = (runtime.name for runtime in options.runtimes)
    return PilotHello(
        node=options.node,
        agent=uuid4(),
        machine_id=host.machine_id,
        boot_id=host.boot_id,
        host=platform.node(),
        pid=os.getpid(),
        account=_account(),
        is_root=os.geteuid() == 0,
        serve_all=options.serve_all,
        may_conduct=options.may_conduct,
        version=orchestra.__version__,
        protocol=work.PROTOCOL,
        runtimes=tuple(name for name in names if name != "bare"),
    )


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # an account of a container, known by its number alone
        return str(os.geteuid())


def _kit(options: PilotOptions) -> Kit:
    return Kit(
        runtimes=options.runtimes or (BareRuntime(find_shell()),),
        environment=dict(os.environ),
        prefix=sys.prefix if sys.prefix != sys.base_prefix else None,
        inputs=InputGuard(),
    )
