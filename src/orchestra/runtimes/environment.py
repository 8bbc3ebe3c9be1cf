"""A job's environment: the pilot's, without the pilot's own variables, plus those that describe the job."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestra.domain.secrets import VARIABLES

THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

# The pilot's secrets, the variables of a job, and those of the pilot's virtual environment.
_NOT_INHERITED = re.compile(
    VARIABLES + r"|ORCHESTRA_.*|VIRTUAL_ENV(_PROMPT)?|PYTHONHOME|__PYVENV_LAUNCHER__",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class JobValues:
    """The values that describe a job in its environment.

    Args:
        task: the task's id; with `job` it forms the address `TASK/N`.
        data, config, out: the paths behind %DATA, %IN and %OUT; `data` is None for a task without %DATA.
        scratch: its folder on the node's own disk.
        token: the attempt's; None if the keeper sets it.
        devices: its GPUs, for CUDA_VISIBLE_DEVICES; empty on the cpu queue.
        cores: the number of processors that it may use.
        given: the task's `--env`, checked (domain.variables.check_variable).
    """

    task: int
    job: int
    attempt: int
    data: str | None
    config: str
    out: str
    volume: str
    scratch: str | None = None
    token: str | None = None
    devices: str = ""
    cores: int = 1
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def own_prefix() -> str | None:
    """Return the folder of the virtual environment of this program, if it runs in one."""
    return sys.prefix if sys.prefix != sys.base_prefix else None


def inherited(base: Mapping[str, str], *, prefix: str | None = None) -> dict[str, str]:
    """Return the variables that jobs inherit from the pilot's environment `base`.

    Args:
        prefix: the folder of the pilot's virtual environment, if it runs in one. Its programs are removed from PATH, as
            those of VIRTUAL_ENV are.
    """
    result = {name: value for name, value in base.items() if not _NOT_INHERITED.fullmatch(name)}
    if "PATH" in base:
        result["PATH"] = _path_without(base["PATH"], base.get("VIRTUAL_ENV"), prefix)
    return result


def environment(base: Mapping[str, str], job: JobValues) -> dict[str, str]:
    """Return all variables of a job's process.

    In order of increasing precedence: thread counts, the variables `inherited` from the pilot (`base`), other defaults,
    `--env`, and the variables that describe the job and its GPUs.
    """
    result = dict.fromkeys(THREAD_COUNTS, str(job.cores)) | dict(base)
    result |= {
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        # So that a log that is followed has what was printed; Python would keep it until it has 8 KiB.
        "PYTHONUNBUFFERED": "1",
        "VOLUME": job.volume,
    }
    result |= job.given
    return result | _description(job)


def _description(job: JobValues) -> dict[str, str]:
    variables = {
        "ORCHESTRA_TASK": str(job.task),
        "ORCHESTRA_JOB": str(job.job),
        "ORCHESTRA_ATTEMPT": str(job.attempt),
        "ORCHESTRA_IN": job.config,
        "ORCHESTRA_OUT": job.out,
        # Some programs see all devices if the value is empty; all see none with -1.
        "CUDA_VISIBLE_DEVICES": job.devices or "-1",
    }
    if job.data is not None:
        variables["ORCHESTRA_DATA"] = job.data
    if job.scratch is not None:
        variables["ORCHESTRA_SCRATCH"] = job.scratch
    if job.token:
        variables["ORCHESTRA_TOKEN"] = job.token
    return variables


def _path_without(path: str, *virtual: str | None) -> str:
    removed = {os.path.realpath(f"{folder}/bin") for folder in virtual if folder}
    return ":".join(
        part for part in path.split(":") if not part or os.path.realpath(part) not in removed
    )
