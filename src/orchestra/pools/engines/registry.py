"""The engines, by name."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from orchestra.domain.errors import Refused
from orchestra.domain.models.pools import EngineName
from orchestra.pools.engines import Engine
from orchestra.pools.engines.local import LocalEngine
from orchestra.pools.engines.slurm import PROGRAMS, SlurmEngine


def missing(name: EngineName, environ: Mapping[str, str]) -> str | None:
    """Return which program of an engine is not on the PATH; None if the engine is here."""
    if name != "slurm":
        return None
    path = environ.get("PATH")
    return next((each for each in PROGRAMS if shutil.which(each, path=path) is None), None)


def engine(name: EngineName, environ: Mapping[str, str], *, reuse: float = 0.0) -> Engine:
    """Return an engine. Its answers about ids may be `reuse` seconds old.

    Raises:
        Refused: its commands are not on this machine.
    """
    if program := missing(name, environ):
        raise Refused(
            f"Slurm is not on this machine: there is no {program} on the PATH.",
            hint="Run it where you would run sbatch.",
        )
    return SlurmEngine(environ, reuse=reuse) if name == "slurm" else LocalEngine(environ)
