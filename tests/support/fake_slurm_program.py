"""A stand-in for one of Slurm's commands: `python fake_slurm_program.py FOLDER COMMAND WORD...` (see fake_slurm.py).

The messages are those of Slurm 22.05.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

State = dict[str, Any]
_LONGEST = 120.0  # seconds that a command hangs, so that none outlives its test for long
_OVER = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED")
_WITH_A_VALUE = re.compile(
    r"-[a-zA-Z]$|--(job-name|partition|name|jobs|format|states|state|signal|time|output)$"
)


class Said(NamedTuple):
    """What a command prints, and its exit status."""

    out: str = ""
    err: str = ""
    status: int = 0


def main(folder: Path, command: str, words: list[str]) -> int:
    """Answer a call as the test has said, else as Slurm would."""
    stdin = _standard_input(command, words)
    with state_of(folder) as state:
        _note(folder, command, words, stdin)
        answer = _next(state, command)
        real = state["real"].get(command)
        said = Said()
        if answer.get("does", True) and not real:
            said = COMMANDS[command](state, words, stdin)
    if answer.get("does", True) and real:
        said = _really(real, words, stdin)
    time.sleep(_LONGEST if answer.get("hangs") else answer.get("late", 0.0))
    sys.stdout.write(said.out if answer.get("out") is None else answer["out"])
    sys.stderr.write(said.err if answer.get("err") is None else answer["err"])
    return int(said.status if answer.get("status") is None else answer["status"])


def _standard_input(command: str, words: list[str]) -> str:
    reads = command == "sbatch" and not _operands(words)
    return sys.stdin.read() if reads and not sys.stdin.isatty() else ""


@contextmanager
def state_of(folder: Path) -> Iterator[State]:
    """What the stand-ins in a folder know; it is locked, and written back at the end."""
    with (folder / "state").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = json.load(file)
        yield state
        file.seek(0)
        json.dump(state, file)
        file.truncate()


def _note(folder: Path, command: str, words: list[str], stdin: str) -> None:
    call = {
        "command": command,
        "words": words,
        "stdin": stdin,
        "environment": dict(os.environ),
        "at": time.time(),
    }
    with (folder / "calls").open("a") as file:
        file.write(json.dumps(call) + "\n")


def _next(state: State, command: str) -> dict[str, Any]:
    said = state["said"].get(command)
    if not said or not said["answers"]:
        return {}
    answer: dict[str, Any] = said["answers"].pop(0)
    if said["cycle"]:
        said["answers"].append(answer)
    return answer


def _really(program: str, words: list[str], stdin: str) -> Said:
    done = subprocess.run(
        [program, *words], input=stdin, capture_output=True, text=True, check=False
    )
    return Said(done.stdout, done.stderr, done.returncode)


def _sbatch(state: State, words: list[str], stdin: str) -> Said:
    operands = _operands(words)
    script = Path(operands[0]).read_text() if operands else stdin
    options = [*words, *re.findall(r"^#SBATCH +(\S+)", script, re.MULTILINE)]
    if "--test-only" in options:
        when = time.strftime("%Y-%m-%dT%H:%M:%S")
        text = f"sbatch: Job {state['next']} to start at {when} using 1 processors on nodes n1 in partition main\n"
        return Said(err=text)
    job = str(state["next"])
    state["next"] += 1
    name = _value(options, "-J", "--job-name") or "sbatch"
    state["jobs"][job] = {"state": "PENDING", "reason": "Priority", "name": name, "script": script}
    return Said(f"{job}\n" if "--parsable" in options else f"Submitted batch job {job}\n")


def _squeue(state: State, words: list[str], _stdin: str) -> Said:
    ids = _list(_value(words, "-j", "--jobs"))
    if len(ids) == 1 and ids[0] not in state["jobs"]:
        return Said(err="slurm_load_jobs error: Invalid job id specified\n", status=1)
    names = _list(_value(words, "-n", "--name"))
    with_over = _value(words, "-t", "--states") == "all"
    form = _value(words, "-o", "--format") or "%i %P %j %u %T %M %D %R"
    lines = [
        _formatted(form, job, known)
        for job, known in state["jobs"].items()
        if (not ids or job in ids)
        and (not names or known.get("name") in names)
        and (with_over or known.get("state") not in _OVER)
    ]
    return Said("".join(f"{line}\n" for line in lines))


def _formatted(form: str, job: str, known: dict[str, str]) -> str:
    values = {
        "i": job,
        "A": job,
        "j": known.get("name", ""),
        "T": known.get("state", "PENDING"),
        "r": known.get("reason", "None"),
        "R": known.get("nodes") or f"({known.get('reason', 'None')})",
        "N": known.get("nodes", ""),
        "B": known.get("nodes") or "n/a",
        "e": known.get("end", "N/A"),
        "P": "main",
        "u": "root",
        "M": "0:00",
        "D": "1",
    }
    return re.sub(r"%\.?\d*([a-zA-Z])", lambda found: values.get(found[1], ""), form)


def _scancel(state: State, words: list[str], _stdin: str) -> Said:
    only = _value(words, "-t", "--state")
    names = _list(_value(words, "-n", "--name"))
    chosen = _operands(words) or [
        job for job, known in state["jobs"].items() if names and known.get("name") in names
    ]
    for job in chosen:
        known = state["jobs"].get(job)
        if known and known["state"] not in _OVER and (not only or known["state"] in _list(only)):
            known.update(state="CANCELLED", reason="None")
    return Said()


def _scontrol(state: State, words: list[str], _stdin: str) -> Said:
    if _operands(words)[:2] == ["show", "config"]:
        lines = [f"{key:<23} = {value}" for key, value in state["config"].items()]
        return Said("Configuration data as of 2026-11-26T12:00:00\n" + "\n".join(lines) + "\n")
    return Said()


def _sinfo(_state: State, words: list[str], _stdin: str) -> Said:
    return Said("".join(f"{node}|idle\n" for node in _list(_value(words, "-n", "--nodes"))))


def _srun(_state: State, words: list[str], _stdin: str) -> Said:
    return Said(err=f"srun: error: the stand-in runs nothing: {' '.join(words)}\n", status=1)


def _value(words: list[str], short: str, long: str) -> str | None:
    for index, word in enumerate(words):
        if word in (short, long):
            return words[index + 1] if index + 1 < len(words) else None
        if word.startswith(f"{long}="):
            return word.removeprefix(f"{long}=")
        if word.startswith(short) and not word.startswith("--"):
            return word.removeprefix(short)
    return None


def _list(value: str | None) -> list[str]:
    return [each for each in (value or "").split(",") if each]


def _operands(words: list[str]) -> list[str]:
    """Return what is no option, nor the value of one; long options that are not known have theirs behind `=`."""
    found: list[str] = []
    skips = False
    for word in words:
        if not skips and not word.startswith("-"):
            found.append(word)
        skips = not skips and bool(_WITH_A_VALUE.match(word)) and word != "-h"
    return found


COMMANDS = {
    "sbatch": _sbatch,
    "squeue": _squeue,
    "scancel": _scancel,
    "scontrol": _scontrol,
    "sinfo": _sinfo,
    "srun": _srun,
}

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
