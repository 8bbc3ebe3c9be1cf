"""Pools: `client.pools`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from orchestra.client import users, words
from orchestra.client.session import Session
from orchestra.client.words import Duration
from orchestra.domain.errors import BadInput
from orchestra.domain.models.pools import Pool, PoolSettings
from orchestra.domain.pools.walltimes import parse_walltime

if TYPE_CHECKING:
    import builtins

    from orchestra.domain.models.users import User
    from orchestra.interface.answers.pools import PoolReport


class Settings(TypedDict, total=False):
    """What can be set of a pool. A text or a `sbatch` that is empty, and "none", mean the engine's default.

    Keys:
        queue: whose jobs its pilots run: "cpu", or "gpu" where GPUs are asked for.
        cpus, gpus: on each node.
        memory: on each node: bytes, or "16GB".
        nodes: machines in one allocation, each with a pilot.
        walltime: the time limit of an allocation: seconds, "4h", or as in Slurm "1-00:00:00".
        partition, account, qos, constraint, gres: as in Slurm.
        sbatch: more options of sbatch: "--exclude=n1 -L x", or a list of them.
        keep_slurm_env: jobs get the variables of the allocation.
        max_pilots, min_pilots: how many pilots there are at most, and without work.
        max_pending: allocations that wait in the engine's queue at a time.
        min_work: the work that is worth one more pilot.
        idle: the time without a job after which a pilot leaves.
    """

    queue: str
    cpus: int
    gpus: int
    memory: int | str
    nodes: int
    walltime: Duration
    partition: str
    account: str
    qos: str
    constraint: str
    gres: str
    sbatch: str | Sequence[str]
    keep_slurm_env: bool
    max_pilots: int
    min_pilots: int
    max_pending: int
    min_work: Duration
    idle: Duration


class Pools:
    """Pilots that an engine, such as Slurm, starts when there is work. A pool's owner and admins may change it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> builtins.list[Pool]:
        """Return all pools by name, with their allocations that have not ended."""
        from orchestra.interface.pools import ListPools

        return [*self._session(ListPools())]

    def get(self, name: str | Pool) -> Pool:
        """Return a pool as it is now.

        Raises:
            NotFound: there is none with that name; suggests a similar one.
        """
        return self.show(name, last=0).pool

    def show(self, name: str | Pool, *, last: int = 5) -> PoolReport:
        """Return a pool with the `last` ones of its allocations that have ended.

        Raises:
            NotFound: there is none with that name; suggests a similar one.
        """
        from orchestra.interface.pools import ShowPool

        return self._session(ShowPool(name_of(name), words.whole("last", last, least=0)))

    def create(self, name: str, engine: str = "slurm", **settings: Unpack[Settings]) -> Pool:
        """Create a pool, which belongs to you. Its pilots come once `maestro pool run` runs it where its engine is.

        Args:
            name: at most 40 letters, digits, ".", "_" and "-".
            engine: "slurm", or "local" for processes of the machine that runs the pool.
            settings: see `Settings`. All may be left out: the default partition, one CPU.

        Raises:
            BadInput: the name, the engine or a setting cannot be used.
            AlreadyExists: the name is taken.
        """
        from orchestra.interface.pool_changes import CreatePool

        return self._session(CreatePool(name_of(name), engine, _settings(**settings)))

    def set(
        self, name: str | Pool, *, owner: str | User | None = None, **settings: Unpack[Settings]
    ) -> Pool:
        """Change a pool's settings (see `Settings`) or its owner. Allocations that exist stay as they are.

        Raises:
            NotFound: there is no such pool, or no such user.
            BadInput: a setting cannot be used, or there is nothing to change.
            Refused: the pool belongs to somebody else, or is being deleted.
        """
        from orchestra.interface.pool_changes import SetPool

        if owner is None and not settings:
            raise BadInput("nothing to change was given: an owner or a setting.")
        whom = None if owner is None else users.name_of(owner)
        return self._session(SetPool(name_of(name), _settings(**settings), whom))

    def pause(self, name: str | Pool, reason: str | None = None) -> Pool:
        """Submit nothing more for a pool: what is pending is withdrawn, and what runs goes on.

        Raises:
            NotFound, Refused: there is no such pool, or it belongs to somebody else.
        """
        from orchestra.interface.pool_changes import PausePool

        return self._session(PausePool(name_of(name), reason))

    def resume(self, name: str | Pool) -> bool:
        """Submit for a pool again, also where a refusal has made it wait. Return whether anything held it back.

        Raises:
            NotFound, Refused: there is no such pool, or it belongs to somebody else.
        """
        from orchestra.interface.pool_changes import ResumePool

        return self._session(ResumePool(name_of(name)))

    def delete(self, name: str | Pool, *, drain: bool = False, now: bool = False) -> bool:
        """Delete a pool. Return whether it is gone: it stays until its allocations have ended.

        Args:
            name: the pool, or its name.
            drain: let running jobs end first; its pilots take no new ones.
            now: end its allocations; their jobs run again elsewhere. There is no question.

        Raises:
            NotFound: there is none with that name.
            Refused: it belongs to somebody else, or has allocations and neither is given.
        """
        from orchestra.interface.pool_changes import DeletePool

        if drain and now:
            raise BadInput("drain and now cannot both be given.")
        how = "now" if now else "drain" if drain else None
        return self._session(DeletePool(name_of(name), how)) is None  # type: ignore[arg-type]


def name_of(pool: str | Pool) -> str:
    """Return a pool's name.

    Raises:
        BadInput: it is neither.
    """
    name = pool.name if isinstance(pool, Pool) else pool
    return words.text("a pool, or its name,", name)


def _settings(**given: Unpack[Settings]) -> PoolSettings:
    memory, walltime, queue = given.get("memory"), given.get("walltime"), given.get("queue")
    return PoolSettings(
        queue=None if queue is None else words.queue(queue),
        partition=_text("partition", given.get("partition")),
        account=_text("account", given.get("account")),
        qos=_text("qos", given.get("qos")),
        constraint=_text("constraint", given.get("constraint")),
        gres=_text("gres", given.get("gres")),
        cpus=_whole("cpus", given.get("cpus")),
        memory_bytes=0 if memory in (0, "none") else words.size("memory", memory),
        gpus=_whole("gpus", given.get("gpus")),
        nodes=_whole("nodes", given.get("nodes")),
        sbatch=_sbatch(given.get("sbatch")),
        keep_slurm_env=given.get("keep_slurm_env"),
        max_pilots=_whole("max_pilots", given.get("max_pilots")),
        min_pilots=_whole("min_pilots", given.get("min_pilots")),
        max_pending=_whole("max_pending", given.get("max_pending")),
        walltime=_walltime(walltime),
        min_work=_seconds("min_work", given.get("min_work")),
        idle=_seconds("idle", given.get("idle")),
    )


def _text(name: str, given: str | None) -> str | None:
    if given in (None, "", "none"):
        return None if given is None else ""
    return words.text(name, given)


def _whole(name: str, given: int | None) -> int | None:
    return None if given is None else words.whole(name, given, least=0)


def _seconds(name: str, given: Duration | None) -> float | None:
    return None if given is None else words.seconds(name, given)


def _walltime(given: Duration | None) -> float | None:
    if given is None or given in (0, "none"):
        return None if given is None else 0.0
    return parse_walltime(given) if isinstance(given, str) else words.seconds("walltime", given)


def _sbatch(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None or given == "none":
        return None if given is None else ()
    try:
        return tuple(shlex.split(given) if isinstance(given, str) else given)
    except ValueError:
        raise BadInput(f"sbatch={given!r} has a quote too many.", field="sbatch") from None
