"""What the engine of a pool is asked for, and what it says to that. Needs no database."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.config import Settings
from orchestra.homefolder import home_folder

if TYPE_CHECKING:
    from uuid import UUID

    from orchestra.domain.models.pools import EngineName, Pool, Refusal, Submission
    from orchestra.pools.engines import Engine
    from orchestra.pools.files import AllocationFiles


def engine_here(name: EngineName, *, reuse: float = 0.0) -> Engine | None:
    """Return an engine, whose answers about ids may be `reuse` seconds old; None where its programs are missing."""
    from orchestra.pools.engines import registry

    if registry.missing(name, os.environ):
        return None
    return registry.engine(name, os.environ, reuse=reuse)


def missing_program(name: EngineName) -> str | None:
    """Return which program of an engine is not on this machine; None if the engine is here."""
    from orchestra.pools.engines import registry

    return registry.missing(name, os.environ)


def check_engine(name: EngineName) -> None:
    """Check that an engine is on this machine.

    Raises:
        Refused: its programs are missing.
    """
    from orchestra.pools.engines import registry

    registry.engine(name, os.environ)


def allocation_files(settings: Settings, pool: str) -> AllocationFiles:
    """Return where the files of a pool's allocations are, on every machine."""
    from orchestra.pools.files import AllocationFiles

    folder = settings.pool_folder or (home_folder(os.environ) or Path("/")) / ".orchestra/pools"
    return AllocationFiles(folder.absolute() / pool)


def submission(settings: Settings, pool: Pool, allocation: UUID) -> Submission:
    """Return what the engine of a pool is asked to start. It has no secret: that is in the file that it names."""
    from orchestra.domain.models.pools import Submission
    from orchestra.domain.pools.ending import told_before

    files = allocation_files(settings, pool.name)
    words = [sys.executable, "-P", "-m", "orchestra.cli.main", "pilot", "run", "--allocation"]
    return Submission(
        id=allocation,
        spec=pool.spec,
        walltime=pool.limits.walltime,
        command=(*words, str(files.configuration(allocation))),
        log=str(files.log(allocation)),
        ending=told_before(pool.limits.walltime),
    )


def script(settings: Settings, pool: Pool) -> str:
    """Return what an allocation of a pool runs, for people; for Slurm the batch script with its sbatch command."""
    from uuid import UUID

    asked = submission(settings, pool, UUID(int=0))
    if pool.engine != "slurm":
        return f"{shlex.join(asked.command)}\n"
    from orchestra.pools.engines.slurm_script import shown

    return shown(asked)


def refusal(settings: Settings, pool: Pool) -> Refusal | None:
    """Ask the engine of a pool whether it would accept a submission; None if it would, or is not on this machine.

    The answer is a sentence; that the engine does not answer is one that may change.
    """
    from uuid import UUID

    from orchestra.domain.models.pools import Refusal
    from orchestra.pools.engines import EngineSilent

    engine, name = engine_here(pool.engine), pool.engine.capitalize()
    if engine is None:
        return None
    try:
        refused = engine.check(submission(settings, pool, UUID(int=0)))
    except EngineSilent as silent:
        said = f"{name} does not answer, so it is unknown whether it accepts this: {silent}"
        return Refusal(said)
    return refused and Refusal(f"{name} refuses this: {refused.words}", refused.is_fatal)
