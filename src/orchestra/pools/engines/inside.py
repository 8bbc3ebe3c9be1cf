"""What a pilot in an allocation asks of the engine there: who it is, its share of the machine, when it ends."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestra.domain.errors import Refused
from orchestra.domain.models.pools import EngineName
from orchestra.pools.engines import EngineSilent, environments, local, slurm_answers
from orchestra.pools.engines.commands import ask
from orchestra.pools.engines.environments import is_allocations as is_allocations

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inside:
    """An allocation as seen from one of its machines.

    Args:
        engine_id: what the engine calls it.
        restart: how often the engine has started it again.
        host: the machine's name, as the engine calls it.
        cpus: processors that the allocation has on this machine; None if the engine does not say.
        memory_bytes: memory that it has here; None if the engine does not say, as where it has all of it.
    """

    engine_id: str
    restart: int
    host: str
    cpus: int | None
    memory_bytes: int | None


def inside(engine: EngineName, env: Mapping[str, str]) -> Inside:
    """Return the allocation that an environment is of.

    Raises:
        Refused: it is not of one.
    """
    here = _slurms(env) if engine == "slurm" else _local(env)
    if here is None:
        raise Refused(
            f"This is not in an allocation of {'Slurm' if engine == 'slurm' else 'this machine'}.",
            hint="Pools start such pilots themselves: `maestro pool create`.",
        )
    return here


def ends_at(engine: EngineName, here: Inside, env: Mapping[str, str]) -> datetime | None:
    """Return when the engine takes the allocation back, which a person may have changed; None if that is unknown.

    It asks Slurm's controller, where `squeue` is on the machine, else the environment.

    Raises:
        EngineSilent: no answer within `PATIENCE` seconds.
    """
    if engine == "local":
        return _since_1970(env.get(local.END))
    asked = environments.for_commands(env)
    if shutil.which("squeue", path=asked.get("PATH", "")) is None:
        return _since_1970(env.get("SLURM_JOB_END_TIME"))
    said = ask(("squeue", "-h", "-j", here.engine_id, "-o", "%e"), asked)
    if slurm_answers.is_silence(said.errors):
        raise EngineSilent(f"squeue: {slurm_answers.said(said.errors)}")
    return slurm_answers.moment(said.output)


def _slurms(env: Mapping[str, str]) -> Inside | None:
    number = env.get("SLURM_JOB_ID", "")
    if not number.isdecimal():
        return None
    cpus = _number(env.get("SLURM_CPUS_ON_NODE"))
    host = env.get("SLURMD_NODENAME") or socket.gethostname()
    return Inside(
        number, _number(env.get("SLURM_RESTART_COUNT")) or 0, host, cpus, _memory(env, cpus)
    )


def _memory(env: Mapping[str, str], cpus: int | None) -> int | None:
    """Return the memory on this node: Slurm says it a node or a processor, in MiB; 0 is all of it."""
    if node := _number(env.get("SLURM_MEM_PER_NODE")):
        return node * _MIB
    each = _number(env.get("SLURM_MEM_PER_CPU"))
    return each * cpus * _MIB if each and cpus else None


def _local(env: Mapping[str, str]) -> Inside | None:
    name = env.get(local.ID)
    if not name:
        return None
    return Inside(
        name, 0, socket.gethostname(), _number(env.get(local.CPUS)), _number(env.get(local.MEMORY))
    )


def _number(text: str | None) -> int | None:
    """Return a number of Slurm's variables, which may have a unit of mebibytes behind it."""
    found = re.fullmatch(r"([0-9]+)M?", (text or "").strip())
    return int(found[1]) if found else None


def _since_1970(text: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(text or ""), UTC)
    except ValueError:
        return None
