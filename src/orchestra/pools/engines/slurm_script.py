"""What Slurm is asked for an allocation: the batch script, and the options of `sbatch`. Pure.

The options are arguments rather than `#SBATCH` lines, so that nothing in them can be read as anything else, and so that
variables such as SBATCH_TIMELIMIT do not override them.
"""

from __future__ import annotations

import math
import shlex

from orchestra.domain.models.pools import PoolSpec, Submission

_MIB = 1024 * 1024

_ONE = """\
#!/bin/bash
{log}# Replaced by the pilot, so that Slurm's signals reach it.
exec {command}
"""

# Each pilot gets all of its node's share, whatever a site's or an account's defaults for steps are, and none ends
# because another has. At SIGTERM srun would kill them at once. Slurm tells them itself, except where the signal is for
# the script alone (`scancel --batch --signal=TERM`).
_SEVERAL = """\
#!/bin/bash
{log}unset ${{!SRUN_@}} SLURM_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_NTASKS_PER_NODE
srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --mem=0 --cpu-bind=none --mem-bind=none --mpi=none \\
  --kill-on-bad-exit=0 --wait=0 --export=ALL --label \\
  {command} </dev/null &
trap 'scancel --quiet --signal=TERM "$SLURM_JOB_ID"' TERM
while :; do
  wait $!
  status=$?
  # A signal interrupts it.
  kill -0 $! 2>/dev/null || exit $status
done
"""


def script(asked: Submission) -> str:
    """Return the batch script. It has no secret: its command reads a file that only its account may read."""
    template = _ONE if asked.spec.nodes == 1 else _SEVERAL
    return template.format(
        command=shlex.join(asked.command), nodes=asked.spec.nodes, log=_redirection(asked.log)
    )


def arguments(asked: Submission) -> tuple[str, ...]:
    """Return the words of `sbatch`, which reads the script from its standard input.

    The pool's own words come last, where they override the ones before them. What must not be overridden, they cannot
    say (domain/pools/sbatch_words.py).
    """
    return (
        "sbatch",
        "--parsable",
        f"--job-name={asked.name}",
        "--no-requeue",
        "--export=ALL",
        f"--output={_pattern(asked.log)}",
        "--open-mode=append",
        *_signal(asked),
        *_size(asked.spec),
        *_choice(asked.spec),
        *([f"--time={_time(asked.walltime)}"] if asked.walltime else []),
        *asked.spec.sbatch,
    )


def shown(asked: Submission) -> str:
    """Return the script for people, with the command that submits it."""
    first, rest = script(asked).split("\n", 1)
    # A line break in a word would end the comment.
    words = [word.replace("\n", "?") for word in arguments(asked)]
    return f"{first}\n# {shlex.join(words)}\n{rest}"


def _signal(asked: Submission) -> list[str]:
    """Ask for SIGTERM some seconds before the end: to the pilot, or to each of the pilots under srun."""
    seconds = min(65535, math.ceil(asked.ending))  # the most that sbatch accepts
    return [f"--signal={'B:' if asked.spec.nodes == 1 else ''}TERM@{seconds}"] if seconds else []


def _size(spec: PoolSpec) -> list[str]:
    words = [f"--nodes={spec.nodes}", "--ntasks-per-node=1", f"--cpus-per-task={spec.cpus}"]
    if spec.memory_bytes is not None:
        words.append(f"--mem={math.ceil(spec.memory_bytes / _MIB)}M")
    if gres := _gres(spec):
        words.append(f"--gres={gres}")
    return words


def _gres(spec: PoolSpec) -> str:
    """Return the generic resources a node; those that name GPUs say how many themselves."""
    named = [each for each in (spec.gres or "").split(",") if each]
    if spec.gpus and not any(each.split(":")[0] == "gpu" for each in named):
        named.append(f"gpu:{spec.gpus}")
    return ",".join(named)


def _choice(spec: PoolSpec) -> list[str]:
    chosen = {
        "partition": spec.partition,
        "account": spec.account,
        "qos": spec.qos,
        "constraint": spec.constraint,
    }
    return [f"--{option}={value}" for option, value in chosen.items() if value]


def _time(walltime: float) -> str:
    """Return a time limit as hours:minutes:seconds; Slurm rounds it up to a minute."""
    seconds = math.ceil(walltime)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _pattern(log: str) -> str:
    """Return a file name pattern that stands for a file: sbatch(1), "FILENAME PATTERN"."""
    return "/dev/null" if "\\" in log else log.replace("%", "%%")


def _redirection(log: str) -> str:
    """Return what opens the output file where no pattern can name it: a backslash turns patterns off and is removed."""
    return f"exec >>{shlex.quote(log)} 2>&1\n" if "\\" in log else ""
