"""A pilot in an allocation of a pool: the file that says which, and how the pilot is run.

The process that submits for a pool writes the file, with mode 0600, because it contains the whole configuration: a
batch script or a list of processes must not show a password. The pilot keeps a copy in its folder for the one that a
keeper starts after its death, which must end the jobs with or without that file and the database.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

from orchestra.domain.errors import ConfigurationError
from orchestra.domain.models.pools import AllocationHello, EngineName
from orchestra.domain.pools import ending, names
from orchestra.domain.states import Queue

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.config import Settings
    from orchestra.pilot.lent import Lent
    from orchestra.pools.engines.inside import Inside


@dataclass(frozen=True, slots=True)
class AllocationFile:
    """What the file says.

    Args:
        settings: every value of the configuration, as JSON.
        queue: whose jobs are run.
        serve_all, allow_root: as of `pilot run`.
        keep_slurm_env: jobs get the variables that describe the allocation.
        kill_wait: seconds between TERM and KILL of the engine.
        ending: seconds before the end of the allocation at which the engine sends TERM.
        cluster: the id of the database; None before the first pilot has asked.
    """

    allocation: UUID
    pool: str
    engine: EngineName
    settings: Mapping[str, object]
    queue: Queue = Queue.CPU
    serve_all: bool = False
    allow_root: bool = False
    keep_slurm_env: bool = False
    kill_wait: float = ending.KILL_WAIT
    ending: float = ending.MARGIN
    cluster: str | None = None


def read(path: Path) -> AllocationFile:
    """Read the file; what a later version has added is left out.

    Raises:
        ConfigurationError: there is none, or it is not one of an allocation, or another account could have written it:
            whoever chooses the database chooses what runs.
    """
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o022:
                raise ConfigurationError(f"{path} could be another account's.")
            return _parse(json.load(file))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} does not describe an allocation: {error!r}.") from None


def _parse(record: Mapping[str, Any]) -> AllocationFile:
    known = {name: record[name] for name in AllocationFile.__slots__ if name in record}
    if known["engine"] not in get_args(EngineName):
        raise ValueError("engine")
    known |= {"allocation": UUID(known["allocation"]), "queue": Queue(known.get("queue", "cpu"))}
    return AllocationFile(**known)


def keep_copy(file: AllocationFile, folder: Path) -> Path:
    """Write the file into a pilot's folder, which only its account can access."""
    from orchestra.pilot.lent_files import COPY

    path, beside = folder / COPY, folder / f"{COPY}.new"
    record = {name: getattr(file, name) for name in AllocationFile.__slots__}
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(record | {"allocation": str(file.allocation)}, out)
    beside.replace(path)
    return path


def run(path: Path, *, draining: bool, started_by_keeper: bool, foreground: bool) -> int:
    """Serve the node of an allocation until that ends, or there is nothing to do; return the exit status.

    Raises:
        OrchestraError: it could not start.
    """
    from orchestra.pilot import state_folder
    from orchestra.pools.engines.inside import inside
    from orchestra.wiring.folders import pilot_folder
    from orchestra.wiring.pilot import PilotSpec, run_pilot

    file = read(path)
    settings = _settings(file)
    here = inside(file.engine, os.environ)
    cluster = file.cluster
    if cluster is None or (os.geteuid() == 0 and not (draining or started_by_keeper)):
        cluster = _cluster(settings, file)
    node = names.node_name(file.pool, here.engine_id, here.restart, here.host)
    folder = pilot_folder(settings, cluster, node)
    state_folder.make_private(folder)
    spec = PilotSpec(
        node=node,
        serve_all=file.serve_all,
        draining=draining,
        started_by_keeper=started_by_keeper,
        allow_root=file.allow_root,
        allocation=keep_copy(replace(file, cluster=cluster), folder),
    )
    return run_pilot(settings, cluster, spec, foreground=foreground, lent=_lent(file, here))


def _settings(file: AllocationFile) -> Settings:
    """Return the configuration of the file alone: that of this machine is another's."""
    from orchestra.config import load
    from orchestra.wiring.database import use_programs
    from orchestra.wiring.sharing import without_own_share

    nobody = {"HOME": "/nonexistent", "MAESTRO_SYSTEM_CONFIG": ""}
    settings = load(environ=nobody, given=file.settings)
    use_programs(settings)
    return without_own_share(settings)


def _cluster(settings: Settings, file: AllocationFile) -> str:
    """Return the id of the database, and check what root may do there.

    Raises:
        OrchestraError: it cannot be reached, or root may not run everybody's jobs.
    """
    from orchestra.services.database import admin
    from orchestra.wiring.database import connect
    from orchestra.wiring.pilot import check_root

    with closing(connect(settings)) as conn:
        check_root(settings, conn, allowed=file.allow_root, serve_all=file.serve_all)
        return admin.cluster_id(conn)


def _lent(file: AllocationFile, here: Inside) -> Lent:
    from orchestra.pilot.lent import Lent
    from orchestra.pools.engines.inside import is_allocations

    def is_hidden(variable: str) -> bool:
        return not file.keep_slurm_env and is_allocations(file.engine, variable)

    return Lent(
        AllocationHello(file.allocation, here.engine_id, here.restart, here.host),
        queue=file.queue,
        cpus=here.cpus,
        memory_bytes=here.memory_bytes,
        read_end=_end_of(file.engine, here),
        is_allocations=is_hidden,
        kill_wait=file.kill_wait,
        ending=file.ending,
    )


def _end_of(engine: EngineName, here: Inside) -> Callable[[], datetime | None]:
    from orchestra.pools.engines.inside import ends_at

    return lambda: ends_at(engine, here, os.environ)
