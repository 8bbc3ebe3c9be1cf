"""Stand-ins for Slurm's commands, for answers that a real Slurm gives seldom: refusals, silence, unknown words.

A test puts `FakeSlurm.path` in front of a process's PATH. Without further words each command does what Slurm does with
a job that pends for ever: `sbatch` records it, `squeue` lists it, `scancel` ends it. `say` gives the next answers of a
command, `change` what is known of a job, and `calls` returns how the commands were called. All of it is in a folder, so
that it outlives the processes that use it.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from support.fake_slurm_program import COMMANDS, state_of

PROGRAM = Path(__file__).with_name("fake_slurm_program.py")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command answers.

    Args:
        out, err: what it prints; None for what it would print.
        status: its exit status; None for what it would be.
        does: whether it does what it is asked to: `sbatch` may accept a job and then print an error.
        late: seconds until it answers, after it has done it.
        hangs: it never answers.
    """

    out: str | None = None
    err: str | None = None
    status: int | None = None
    does: bool = True
    late: float = 0.0
    hangs: bool = False


def refused(
    words: str = "sbatch: error: Batch job submission failed: Invalid partition name specified",
) -> Answer:
    """Return the answer to a submission that is refused with these words."""
    return Answer(out="", err=f"{words}\n", status=1, does=False)


SILENT = Answer(does=False, hangs=True)
"""The controller hangs: nothing is done, and nothing is answered."""
UNREACHABLE = Answer(
    out="",
    err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n",
    status=1,
    does=False,
)


@dataclass(frozen=True, slots=True)
class Call:
    """How a command was called.

    Args:
        words: its arguments.
        stdin: what it read there, which is a script if `sbatch` was not given a file.
        environment: its variables.
        at: in seconds since 1970.
    """

    command: str
    words: tuple[str, ...]
    stdin: str
    environment: Mapping[str, str]
    at: float


@dataclass(frozen=True, slots=True)
class FakeSlurm:
    """The stand-ins in a folder, and what they know."""

    folder: Path

    @property
    def path(self) -> str:
        """A PATH on which the stand-ins come first."""
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def say(self, command: str, *answers: Answer, times: int = 1, cycle: bool = False) -> None:
        """Let a command answer so from now on: each answer once, in this order, and then as if nothing were said.

        Args:
            times: how often all of them are given.
            cycle: they are given again and again.
        """
        with self.state() as state:
            said = [asdict(answer) for answer in answers] * times
            state["said"][command] = {"answers": said, "cycle": cycle}

    def always(self, command: str, answer: Answer) -> None:
        """Let a command answer so each time."""
        self.say(command, answer, cycle=True)

    def change(self, job: str | int, **fields: str) -> None:
        """Change what is known of a job, or add one: `state`, `reason`, `nodes`, `end`, `name`."""
        with self.state() as state:
            state["jobs"].setdefault(str(job), {}).update(fields)

    def forget(self, *jobs: str | int) -> None:
        """Let Slurm know nothing of jobs any more, as some minutes after their end."""
        with self.state() as state:
            for job in jobs:
                state["jobs"].pop(str(job), None)

    def jobs(self) -> dict[str, dict[str, str]]:
        """Return what is known of each job, by its id."""
        with self.state() as state:
            found: dict[str, dict[str, str]] = state["jobs"]
            return found

    def configure(self, **values: str) -> None:
        """Change what `scontrol show config` prints, such as `ProctrackType`."""
        with self.state() as state:
            state["config"].update(values)

    def calls(self, command: str | None = None) -> list[Call]:
        """Return how the commands, or only this one, were called, in order."""
        lines = (self.folder / "calls").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        calls = [Call(**each | {"words": tuple(each["words"])}) for each in found]
        return [call for call in calls if command in (None, call.command)]

    @contextmanager
    def state(self) -> Iterator[dict[str, Any]]:
        """What the stand-ins know, locked against their calls; it is written back at the end."""
        with state_of(self.folder) as state:
            yield state


def installed(folder: Path, *, real: Mapping[str, str] | None = None) -> FakeSlurm:
    """Install the stand-ins in a new folder.

    Args:
        real: commands that call a program in place of pretending, by their name: {"sbatch": "/usr/bin/sbatch"}.
    """
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    for command in COMMANDS:
        words = (sys.executable, "-I", "-S", str(PROGRAM), str(folder), command)
        (binaries / command).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (binaries / command).chmod(0o755)
    (folder / "calls").touch()
    (folder / "state").write_text(
        json.dumps(
            {
                "said": {},
                "jobs": {},
                "real": dict(real or {}),
                "next": 101,
                "config": {"ProctrackType": "proctrack/cgroup", "KillWait": "30 sec"},
            }
        )
    )
    return FakeSlurm(folder)
