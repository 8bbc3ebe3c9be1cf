"""The setup of an ordeal: a database, proxies to it, nodes with pilots, and a record of the injected faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from orchestra.pilot.keeper_messages import Hello
from ordeal import processes
from ordeal.database import Database, make_folder
from ordeal.facts import Keeper, Load, Span
from ordeal.proxy import PilotProxy, Proxy
from ordeal.schedule import CPUS, GPUS, MEMORY, Schedule

NAMES = ("gauss", "euler", "noether")
PROGRAM = str(Path(__file__).with_name("pilot.py"))
AGAIN = 0.4
"""Seconds after which a pilot that has ended is started again."""
WINDOW = 5.0
"""Seconds over which a process's use of a core is judged."""
DISK = 16 << 20


@dataclass
class Node:
    """A node and its pilot. `absent` is since when no agent could act, or None."""

    name: str
    folder: Path
    gate: PilotProxy
    agent: subprocess.Popen[bytes] | None = None
    begun: int = 0
    start_at: float = 0.0
    absent: float | None = 0.0
    agentless: list[Span] = field(default_factory=list)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def elsewhere(self) -> Path:
        """The folder of a pilot of this node that claims to be on another machine."""
        return self.folder.with_name(f"{self.name}-elsewhere")

    @property
    def folders(self) -> tuple[Path, Path]:
        return self.folder, self.elsewhere

    def beginnings(self) -> int:
        """Count the agents that have started to work, by their log."""
        try:
            return (self.folder / "agent.log").read_text(errors="replace").count("slots enabled")
        except OSError:
            return 0


class Arena:
    """The whole setup. Every process has the mark of this ordeal in its environment."""

    def __init__(self, root: Path, schedule: Schedule) -> None:
        self.root, self.schedule = root, schedule
        self.truth, self.volume = root / "truth", root / "a'; echo $(x) é"
        self.state = root / "state"
        for folder in (self.truth, self.volume, self.state):
            folder.mkdir()
        self.small_disk = schedule.small_disk and self._mount()
        self.database = Database(make_folder(root / "db"))
        self.mark = f"ORDEAL={root.name}"
        self.keepers: dict[str, Keeper] = {}
        self.killed_jobs: set[str] = set()
        self.loads: list[Load] = []
        self._samples: dict[tuple[str, int], deque[tuple[float, float]]] = {}
        self.closing = False
        self.restored: float | None = None

    def open(self) -> None:
        """Start the database and create the nodes."""
        self.database.start()
        self.database.prepare()
        names = NAMES[: self.schedule.nodes]
        self.proxy = Proxy(self.database.port, len(names))
        self.nodes = [
            Node(name, self.state / name, gate)
            for name, gate in zip(names, self.proxy.gates, strict=True)
        ]
        with self.database.connection() as conn:
            for name in names:
                conn.execute(
                    "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max, memory_bytes) "
                    "values (%s, %s, 8, %s, 8, %s)",
                    [name, CPUS, GPUS, MEMORY],
                )

    def _mount(self) -> bool:
        options = ["-t", "tmpfs", "-o", f"size={DISK},mode=0700", "ordeal"]
        done = subprocess.run(["mount", *options, self.state], check=False, capture_output=True)
        return done.returncode == 0

    # Pilots

    def tend(self) -> None:
        """Restart ended pilots, record which agents can act, and measure their CPU usage."""
        for node in self.nodes:
            self._revive(node)
            self._note_absence(node)
            for folder in node.folders:
                list(self._note_keepers(node, folder))
        self._measure()

    def _revive(self, node: Node) -> None:
        node.others = [other for other in node.others if other.poll() is None]
        if node.agent is not None and node.agent.poll() is not None:
            node.agent = None
            node.start_at = max(node.start_at, monotonic() + AGAIN)
        if node.agent is None and not self.closing and monotonic() >= node.start_at:
            node.begun = node.beginnings()
            node.agent = self.pilot(node)

    def pilot(self, node: Node, *, elsewhere: bool = False) -> subprocess.Popen[bytes]:
        """Start a pilot of a node, possibly a second one."""
        url = self.database.through(node.gate.port)
        folder, flags = (node.elsewhere, ["--elsewhere"]) if elsewhere else (node.folder, [])
        name, _, value = self.mark.partition("=")
        output = (self.state.parent / f"{folder.name}.out").open("ab")
        with output:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-X",
                    "faulthandler",
                    PROGRAM,
                    url,
                    node.name,
                    str(folder),
                    *flags,
                ],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), name: value},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def agents(self, node: Node) -> list[int]:
        return processes.agents(PROGRAM, node.folder)

    def _note_absence(self, node: Node) -> None:
        pids = self.agents(node)
        acts = any(not processes.is_stopped(pid) for pid in pids) and node.beginnings() > node.begun
        if not acts and node.absent is None:
            node.absent = monotonic()
        elif acts and node.absent is not None:
            node.agentless.append(Span(node.absent, monotonic()))
            node.absent = None

    def absences(self) -> dict[str, list[Span]]:
        """Return when no agent could act, by node."""
        return {
            node.name: [*node.agentless, *([Span(node.absent)] if node.absent is not None else [])]
            for node in self.nodes
        }

    def kill_agents(self, node: Node, away: float) -> None:
        """Kill every agent of a node; the next one is started `away` seconds later."""
        node.start_at = monotonic() + away
        for pid in self.agents(node):
            processes.send(pid, signal.SIGKILL)
        if node.absent is None:
            node.absent = monotonic()
        node.begun = node.beginnings()

    def _note_keepers(self, node: Node, folder: Path) -> Iterator[tuple[Hello, Keeper]]:
        """Yield the living keepers of a pilot's folder, each with its record."""
        for hello in processes.spools(folder):
            yield hello, self.keepers.setdefault(str(hello.keeper), Keeper(node.name, folder.name))

    def kill_keepers(self, node: Node) -> None:
        for hello, fate in self._note_keepers(node, node.folder):
            fate.killed = monotonic()
            processes.send(hello.pid, signal.SIGKILL)

    def stop_keepers(self, node: Node, seconds: float) -> list[int]:
        """Stop keepers and return their pids. The caller must continue them in time."""
        pids = []
        for hello, fate in self._note_keepers(node, node.folder):
            # A bit longer: they may be continued late.
            fate.stopped.append(Span(monotonic(), monotonic() + seconds + 1.0))
            processes.send(hello.pid, signal.SIGSTOP)
            pids.append(hello.pid)
        return pids

    # CPU usage

    def _measure(self, *, idle: bool = False) -> None:
        now = monotonic()
        for who, pid in self._workers():
            used = processes.cpu_seconds(pid)
            if used is None:
                continue
            samples = self._samples.setdefault((who, pid), deque())
            samples.append((now, used))
            first = samples[0]
            if now - first[0] >= WINDOW:
                share = (used - first[1]) / (now - first[0])
                self.loads.append(Load(f"{who} ({pid})", now - first[0], share, idle))
                samples.popleft()

    def _workers(self) -> list[tuple[str, int]]:
        found = []
        for node in self.nodes:
            found += [(f"agent of {node.name}", pid) for pid in self.agents(node)]
            found += [(f"keeper of {node.name}", h.pid) for h in processes.spools(node.folder)]
        return found

    def measure_idle(self, seconds: float) -> None:
        """Discard the measurements, and consider all processes idle from now on."""
        self._samples.clear()
        before = {(who, pid): processes.cpu_seconds(pid) for who, pid in self._workers()}
        began = monotonic()
        signal.sigtimedwait([], seconds)
        for (who, pid), used in before.items():
            now_used = processes.cpu_seconds(pid)
            if used is not None and now_used is not None:
                span = monotonic() - began
                self.loads.append(Load(f"{who} ({pid})", span, (now_used - used) / span, idle=True))

    # The disk of the pilots

    def fill(self) -> None:
        if self.small_disk:
            with suppress(OSError), (self.state / "ballast").open("wb", buffering=0) as file:
                while file.write(bytes(1 << 14)):
                    pass

    def make_room(self) -> None:
        (self.state / "ballast").unlink(missing_ok=True)

    # The end

    def marked(self) -> list[int]:
        """Return the processes with the mark of this ordeal, and the keepers below its folders."""
        found = []
        for pid in processes.everyone():
            if pid == os.getpid() or processes.stat(pid) is None:
                continue
            below = any(str(self.state) in word for word in processes.command(pid))
            if below or self.mark in processes.environment(pid):
                found.append(pid)
        return found

    def close(self) -> None:
        """End all remaining processes."""
        self.closing = True
        for _ in range(3):
            for pid in self.marked():
                processes.send(pid, signal.SIGKILL)
        for node in getattr(self, "nodes", []):
            for agent in (node.agent, *node.others):
                if agent:
                    agent.wait()
        with suppress(Exception):
            self.proxy.close()
        self.database.stop()
        if self.small_disk:
            subprocess.run(["umount", "-l", self.state], check=False)
