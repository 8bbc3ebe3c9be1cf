"""Pools: the process that submits for them, and what their pilots need to know."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from orchestra.config import Settings
from orchestra.domain.errors import OrchestraError
from orchestra.wiring.database import reconnect, uses_server
from orchestra.wiring.identity import account_name, host_name, user_name
from orchestra.wiring.submissions import allocation_files, engine_here, submission

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from orchestra.domain.models.pools import Pool
    from orchestra.pools.duty import PoolDuty
    from orchestra.pools.engines import Engine

AGAIN_AFTER = 30.0
"""Seconds after which a process looks again for pools of its account, if it had none or could not run them."""
log = logging.getLogger(__name__)

_OWN = frozenset({"node", "pool_folder", "pool_poll", "postgres_file"})
"""Settings that are about this machine or this process."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Whose jobs the pilots of a process's pools run, besides those of its account.

    Args:
        everybody: everybody's, under this account.
        allow_root: everybody's also if the account is root.
    """

    everybody: bool = False
    allow_root: bool = False

    @property
    def all(self) -> bool:
        """Whether they run everybody's."""
        return self.everybody or (self.allow_root and os.geteuid() == 0)


def configuration(
    settings: Settings, cluster: str, pool: Pool, allocation: UUID, serving: Serving
) -> dict[str, object]:
    """Return what the pilots of an allocation need to know, as JSON: every setting that is not the default."""
    return {
        "allocation": str(allocation),
        "pool": pool.name,
        "cluster": cluster,
        "engine": pool.engine,
        "queue": pool.spec.queue.value,
        "settings": _settings_as_json(settings),
        "serve_all": serving.everybody,
        "allow_root": serving.allow_root,
        "keep_slurm_env": pool.spec.keep_slurm_env,
        "idle": pool.limits.idle,
    }


def _settings_as_json(settings: Settings) -> dict[str, object]:
    values = {
        each.name: _as_json(getattr(settings, each.name))
        for each in fields(Settings)
        if each.metadata and each.name not in _OWN and getattr(settings, each.name) != each.default
    }
    if url := shared_address(settings):
        values["postgres"] = url
    return values


def _as_json(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def shared_address(settings: Settings) -> str | None:
    """Return the address under which other machines reach the embedded database; None if it is not shared."""
    from orchestra.wiring.sharing import shared

    share = shared(settings)
    if share is None:
        return None
    try:
        return Path(share.url_file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def is_within_reach(settings: Settings) -> bool:
    """Whether other machines can reach the database."""
    return uses_server(settings) or shared_address(settings) is not None


def run_pools(
    settings: Settings,
    stop: threading.Event,
    cluster: str,
    names: Collection[str] | None = None,
    serving: Serving | None = None,
    *,
    out: TextIO | None = None,
) -> None:
    """Run pools until `stop` is set; some by name, until they are deleted, or all of this account whose engine is here.

    Args:
        out: gets the log.
    """
    from orchestra.pools.runner import PoolRunner
    from orchestra.pools.wake import Alarm

    if out is not None:
        logging.basicConfig(stream=out, format="%(asctime)s %(message)s", level=logging.INFO)
    alarm = Alarm()
    whom = serving or Serving(allow_root=settings.allow_root)
    engines = Engines(settings.pool_poll)
    runner = PoolRunner(
        lambda: reconnect(settings, name="maestro pools"),
        stop,
        of_account(settings) if names is None else _named(names),
        lambda pool: _duty(settings, cluster, pool, engines, alarm.wake, whom),
        alarm,
        lasts=names is None,
    )
    try:
        runner.run()
    finally:
        alarm.close()


def run_own_pools(settings: Settings, stop: threading.Event) -> threading.Thread:
    """Run the pools of this account in a thread, which ends when `stop` is set. One that fails is started again."""

    def run() -> None:
        while not stop.is_set():
            try:
                _run_own_pools(settings, stop)
            except OrchestraError as error:
                log.warning("pools: they are not run: %s", error)
            except Exception:
                log.exception("pools: they are run again in %.0f s", AGAIN_AFTER)
            stop.wait(AGAIN_AFTER)

    thread = threading.Thread(target=run, name="pools", daemon=True)
    thread.start()
    return thread


def _run_own_pools(settings: Settings, stop: threading.Event) -> None:
    """Run the pools of this account, if it has any.

    Raises:
        Refused: their pilots would be refused, because this is root.
    """
    from orchestra.services.database import admin
    from orchestra.wiring.pilot import check_root

    if engine_here("slurm") is None:
        return
    with reconnect(settings, name="maestro pools") as conn:
        if not of_account(settings)(conn):
            return
        check_root(settings, conn, allowed=False)
        cluster = admin.cluster_id(conn)
    run_pools(settings, stop, cluster)


def _named(names: Collection[str]) -> Callable[[psycopg.Connection], list[Pool]]:
    from orchestra.store.pools import pools

    return lambda conn: [pool for name in names if (pool := pools.by_name(conn, name))]


def of_account(settings: Settings) -> Callable[[psycopg.Connection], list[Pool]]:
    """Return what finds the pools that this account has run before, or that its user owns and nobody has run.

    Only those of a batch system: the processes of the engine `local` are on the machine where it was run.
    """
    from orchestra.store.pools import pools

    account, user = account_name(os.geteuid()), user_name(settings)

    def find(conn: psycopg.Connection) -> list[Pool]:
        return [
            pool
            for pool in pools.everything(conn)
            if pool.engine != "local"
            and (pool.account == account or (pool.account is None and pool.owner == user))
        ]

    return find


class Engines:
    """The engines of one process: its pools share them, and what they answer."""

    def __init__(self, poll: float) -> None:
        self._reuse = (
            poll / 2
        )  # so that each pool's questions, `poll` seconds apart, get different answers
        self._found: dict[str, Engine] = {}

    def of(self, pool: Pool) -> Engine | None:
        """Return the engine of a pool; None if it is not here."""
        if pool.engine not in self._found and (
            found := engine_here(pool.engine, reuse=self._reuse)
        ):
            self._found[pool.engine] = found
        return self._found.get(pool.engine)


def _duty(
    settings: Settings,
    cluster: str,
    pool: Pool,
    engines: Engines,
    wake: Callable[[], None],
    serving: Serving,
) -> PoolDuty | None:
    """Return the duty of a pool; None if its engine is not here."""
    from orchestra.pools.duty import Means, PoolDuty

    engine = engines.of(pool)
    if engine is None:
        return None
    account, user = account_name(os.geteuid()), user_name(settings)
    means = Means(
        engine=engine,
        cluster=cluster,
        files=allocation_files(settings, pool.name),
        submission=partial(submission, settings),
        configuration=lambda pool, allocation: configuration(
            settings, cluster, pool, allocation, serving
        ),
        who=f"{account} on {host_name()}",
        account=account,
        serves_all=serving.all,
        may_run=lambda owner: serving.all or owner == user,
        poll=settings.pool_poll,
        wake=wake,
    )
    return PoolDuty(pool.name, means)
