"""A job's environment: the pilot's, less what is the pilot's alone, plus what the job is told."""

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

# The pilot's secrets, the words that belong to one job,
# and what points Python at the pilot's virtual environment.
_LEFT_OUT = re.compile(
    VARIABLES + r"|ORCHESTRA_.*|VIRTUAL_ENV(_PROMPT)?|PYTHONHOME|__PYVENV_LAUNCHER__",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class JobValues:
    """What a job is told.

    Args:
        task: the task's number; with `job` it makes the address `TASK/N`.
        data, config, out: the paths behind %DATA, %IN and %OUT.
        token: the attempt's; None where the keeper sets it itself.
        devices: the GPUs that it was given, as CUDA_VISIBLE_DEVICES takes them; empty on the cpu queue.
        cores: what it may keep busy.
        given: the task's `--env`, checked (domain.variables.check_variable).
    """

    task: int
    job: int
    attempt: int
    data: str
    config: str
    out: str
    volume: str
    token: str | None = None
    devices: str = ""
    cores: int = 1
    given: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def own_prefix() -> str | None:
    """The folder of the virtual environment that this program runs in, if it does."""
    return sys.prefix if sys.prefix != sys.base_prefix else None


def inherited(base: Mapping[str, str], *, prefix: str | None = None) -> dict[str, str]:
    """What jobs have of the pilot's environment `base`.

    Args:
        prefix: the folder of the virtual environment that the pilot runs in, if it does; its programs leave PATH,
            and so do those of VIRTUAL_ENV.
    """
    result = {name: value for name, value in base.items() if not _LEFT_OUT.fullmatch(name)}
    if "PATH" in base:
        result["PATH"] = _path_without(base["PATH"], base.get("VIRTUAL_ENV"), prefix)
    return result


def environment(base: Mapping[str, str], job: JobValues) -> dict[str, str]:
    """All variables of a job's process.

    From the weakest: thread counts, what is `inherited` from the pilot (`base`), the other defaults, `--env`, and what
    names the job and its GPUs.
    """
    result = dict.fromkeys(THREAD_COUNTS, str(job.cores)) | dict(base)
    result |= {
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "VOLUME": job.volume,
    }
    result |= job.given
    return result | _told(job)


def _told(job: JobValues) -> dict[str, str]:
    told = {
        "ORCHESTRA_TASK": str(job.task),
        "ORCHESTRA_JOB": str(job.job),
        "ORCHESTRA_ATTEMPT": str(job.attempt),
        "ORCHESTRA_DATA": job.data,
        "ORCHESTRA_IN": job.config,
        "ORCHESTRA_OUT": job.out,
        # An empty value would show all devices to some programs; -1 is no device to every one.
        "CUDA_VISIBLE_DEVICES": job.devices or "-1",
    }
    return told | ({"ORCHESTRA_TOKEN": job.token} if job.token else {})


def _path_without(path: str, *virtual: str | None) -> str:
    gone = {os.path.realpath(f"{folder}/bin") for folder in virtual if folder}
    return ":".join(
        part for part in path.split(":") if not part or os.path.realpath(part) not in gone
    )
