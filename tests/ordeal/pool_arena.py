"""The setup of an ordeal of a pool: a database, a Slurm, the process that submits, and what goes wrong with them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

from ordeal import processes
from ordeal.database import Database, make_folder
from ordeal.facts import Keeper
from ordeal.people import People
from ordeal.pool_plan import CPUS, MOST, PoolPlan
from ordeal.schedule import LEASE, Step
from support import fake_slurm, slurm
from support.fake_slurm import Answer, refused
from support.fake_slurm_program import COMMANDS
from support.maestro import Maestro
from support.ordinary import SOURCE
from support.pools import HURRIED, STATE
from support.slurm import Slurm

POOL = "mesh"
AGAIN = 0.5
"""Seconds after which the process that submits is started again."""
_SETTINGS = ("SlurmdTimeout=5", "MessageTimeout=4", "AuthInfo=cred_expire=3")
_NO = refused("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy")


class PoolArena:
    """The whole setup. `later` calls something after some seconds."""

    def __init__(
        self, root: Path, plan: PoolPlan, later: Callable[[float, Callable[[], None]], None]
    ) -> None:
        self.root, self.plan, self._later = root, plan, later
        self.truth, self.volume, home = root / "truth", root / "a'; echo $(x) é", root / "home"
        for folder in (self.truth, self.volume, home):
            folder.mkdir()
        self.database = Database(make_folder(root / "db"))
        self.people = People(self.database, root, self.volume, self.truth)
        self.ana = Maestro(home, root)
        self.harmed: dict[str, float] = {}
        self.most = 0
        self._start_at = 0.0
        self._runner: subprocess.Popen[str] | None = None
        self._seen: list[slurm.Job] = []
        self._told: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()
        self._frozen = ExitStack()

    def open(self) -> None:
        """Start everything, and create the pool."""
        self.database.start()
        self.database.prepare()
        tracked = "cgroup" if self.plan.by_cgroup else "linuxproc"
        started = slurm.started(self.root / "slurm", self.root, _SETTINGS, tracked)
        self.slurm: Slurm = self._stack.enter_context(started)
        real = {name: found for name in COMMANDS if (found := shutil.which(name))}
        self.commands = fake_slurm.installed(self.root / "commands", real=real)
        self.ana.env |= {
            **self.slurm.env,
            "PATH": self.commands.path,
            "PYTHONPATH": f"{HURRIED}{os.pathsep}{SOURCE}",
            "MAESTRO_POSTGRES": self.database.url,
            "MAESTRO_POOL_POLL": "1s",
            "MAESTRO_STATE_DIR": STATE,
            "MAESTRO_LEASE": f"{LEASE:g}s",
            "MAESTRO_CONTAINER_RUNTIME": "none",
        }
        words = f"--engine slurm --cpus {CPUS} --walltime 10m --max-pilots {MOST} --min-work 1s --idle 2s"
        self.ana.line(f"pool create {POOL} {words}")

    def tend(self) -> None:
        """Start the process that submits again, and count allocations."""
        if self._runner and self._runner.poll() is not None:
            self._runner, self._start_at = None, max(self._start_at, monotonic() + AGAIN)
        if self._runner is None and monotonic() >= self._start_at:
            with (self.root / "run.out").open("a") as output:
                self._runner = self.ana.start("pool", "run", POOL, stdout=output, stderr=output)
        with suppress(subprocess.SubprocessError):
            self._seen = self.slurm.live(timeout=1.0)
        # Slurm may have lost sight of a machine whose pilot has left.
        with self.database.connection() as conn:
            rows = conn.execute("select from allocation where ended_at is null").rowcount
        self.most = max(self.most, rows)

    def close(self) -> None:
        """End everything."""
        for told in self._told:
            told.kill()
            told.wait()
        for each in (self._frozen.close, self.ana.end, self._stack.close, self.database.stop):
            each()

    # What goes wrong

    def carry_out(self, step: Step) -> None:
        """Carry out a step of the plan."""
        getattr(self, f"_{step.what}")(**step.args)

    def _submit(self, task: int) -> None:
        self.people.submit(self.plan.schedule.tasks[task])

    def _job(self, pick: float) -> slurm.Job | None:
        return self._seen[int(pick * len(self._seen))] if self._seen else None

    def _node(self, pick: float) -> str:
        """Choose a node, one on which something runs if there is one."""
        nodes = [job.nodes for job in self._seen if job.nodes]
        nodes = nodes or [f"n{number}" for number in range(1, MOST + 1)]
        return nodes[int(pick * len(nodes))]

    def _harm(self, job: slurm.Job | None) -> str | None:
        if job:
            self.harmed.setdefault(job.id, monotonic())
        return job.id if job else None

    def _harm_node(self, node: str) -> None:
        for job in self._seen:
            if job.nodes == node:
                self._harm(job)

    def _tell(self, *words: str) -> None:
        """Run one of Slurm's commands, without waiting for a controller that hangs."""
        null = subprocess.DEVNULL
        env = {**os.environ, **self.slurm.env}
        self._told.append(subprocess.Popen(words, env=env, stdin=null, stdout=null, stderr=null))

    def _scancel(self, pick: float) -> None:
        if job := self._harm(self._job(pick)):
            self._tell("scancel", job)

    def _requeue(self, pick: float) -> None:
        if job := self._harm(self._job(pick)):
            script = f"scontrol update JobId={job} Requeue=1; scontrol requeue {job}"
            self._tell("sh", "-c", script)

    def _end_time(self, pick: float, seconds: float) -> None:
        if job := self._harm(self._job(pick)):
            self._tell("scontrol", "update", f"JobId={job}", f"EndTime=now+{seconds:.0f}")

    def _drain(self, pick: float, seconds: float) -> None:
        node = f"NodeName={self._node(pick)}"
        self._tell("scontrol", "update", node, "State=DRAIN", "Reason=ordeal")
        self._later(seconds, lambda: self._undrain(node))

    def _undrain(self, node: str) -> None:
        self._tell("scontrol", "update", node, "State=RESUME")

    def _kill_slurmd(self, pick: float, seconds: float) -> None:
        node = self._node(pick)
        self._harm_node(node)
        with suppress(subprocess.SubprocessError):  # it is dead already
            self.slurm.kill_slurmd(node)
        self._later(seconds, lambda: self._start_slurmd(node))

    def _start_slurmd(self, node: str) -> None:
        self._harm_node(node)  # it ends the processes of jobs that Slurm has given up
        with suppress(subprocess.SubprocessError):
            self.slurm.start_slurmd(node)

    def _stop_controller(self, pick: float, seconds: float) -> None:
        del pick
        if self.slurm.has_controller:
            self._frozen.close()
            self.slurm.stop_controller()
            self._later(seconds, self._start_controller)

    def _start_controller(self) -> None:
        if not self.slurm.has_controller:
            self.slurm.start_controller()

    def _freeze_controller(self, pick: float, seconds: float) -> None:
        del pick
        if self.slurm.has_controller:
            self._frozen.enter_context(self.slurm.frozen())
            self._later(seconds, self._frozen.close)

    def _refuse(self, pick: float, seconds: float) -> None:
        del pick
        self.commands.always("sbatch", _NO)
        self._later(seconds, lambda: self.commands.say("sbatch"))

    def _answer_late(self, pick: float) -> None:
        self.commands.say("sbatch", Answer(late=30.0 * pick))

    def _kill_runner(self, pick: float, seconds: float) -> None:
        del pick
        self._start_at = monotonic() + seconds
        if self._runner:
            self._runner.send_signal(signal.SIGKILL)

    def _kill(self, pick: float, *texts: str) -> None:
        node = self._node(pick)
        self._harm_node(node)
        for pid, line in self.slurm.processes(node).items():
            if any(text in line for text in texts):
                processes.send(pid, signal.SIGKILL)

    def _kill_agent(self, pick: float) -> None:
        self._kill(pick, "pilot run")

    def _kill_keeper(self, pick: float) -> None:
        self._kill(pick, "keeper.py")

    def _kill_both(self, pick: float) -> None:
        self._kill(pick, "keeper.py", "pilot run")

    def make_peace(self) -> None:
        """Let nothing go wrong any more."""
        self._frozen.close()
        self._start_controller()
        self.commands.say("sbatch")
        for number in range(1, MOST + 1):
            self._undrain(f"NodeName=n{number}")
            if not any(
                "slurmd" in line for line in self.slurm.enter(f"n{number}", "ps", "-e").splitlines()
            ):
                self._start_slurmd(f"n{number}")

    # What is known in the end

    def keepers(self) -> dict[str, Keeper]:
        """Return the fate of each keeper: an allocation that was harmed may have lost it at that time."""
        with self.database.connection() as conn:
            rows = conn.execute(
                "select k.id::text, n.name, l.engine_id from keeper k join node n on n.id = k.node_id "
                "join allocation l on l.id = n.allocation_id"
            ).fetchall()
        return {
            keeper: Keeper(node, machine=node, killed=self.harmed.get(engine_id))
            for keeper, node, engine_id in rows
        }

    def leftovers(self) -> list[str]:
        """Return what should not be there when all work has ended and all pilots have left."""
        left = [f"Slurm still has {job}" for job in self.slurm.live()]
        for number in range(1, MOST + 1):
            left += [f"n{number}: {line}" for line in self.slurm.processes(f"n{number}").values()]
        with self.database.connection() as conn:
            for name, state, word in conn.execute(
                "select engine_id, state, word from allocation where ended_at is null"
            ):
                left.append(f"allocation {name} is {state} ({word})")
            for (name,) in conn.execute("select name from node where gone_at is null"):
                left.append(f"node {name} is there")
        return left

    def mistakes(self) -> list[str]:
        """Return what the pool has done that it must never do."""
        names = [job.name for job in self.slurm.jobs().values()]
        twice = {name for name in names if names.count(name) > 1}
        found = [f"{name} was submitted twice" for name in twice]
        if self.most > MOST:
            found.append(f"there were {self.most} allocations at once, and at most {MOST} may be")
        return found
