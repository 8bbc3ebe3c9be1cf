"""Which environment variables an engine's commands, the pilots in its allocations, and their jobs get. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestra.domain.models.pools import EngineName
from orchestra.domain.secrets import without_secrets

# Slurm sets them in allocations, and its commands read some of them as options: a job that reads SLURM_ARRAY_TASK_ID,
# or an srun in a job that reads SLURM_NTASKS, would take the pilot's allocation for its own. "INPUT ENVIRONMENT
# VARIABLES" and "OUTPUT ENVIRONMENT VARIABLES" in sbatch(1), srun(1); the gres plugins set the last three.
_ALLOCATION = re.compile(
    r"(SLURM|SBATCH|SRUN|SALLOC|SQUEUE|SCANCEL|PMI).*"
    r"|GPU_DEVICE_ORDINAL|ROCR_VISIBLE_DEVICES|ZE_AFFINITY_MASK",
    re.DOTALL,
)
_LOCAL = re.compile(r"ORCHESTRA_LOCAL_\w+")

# Where Slurm is, and how to prove who asks. SLURM_CLUSTERS: some sites have several, and squeue and scancel must ask
# the one to which sbatch submits.
_WHERE = re.compile(r"SLURM_(CONF(_SERVER)?|CLUSTERS|JWT|SACK\w*)")
# What people set for all of their submissions.
_DEFAULTS = re.compile(r"SBATCH_(ACCOUNT|PARTITION|QOS|CONSTRAINT|RESERVATION|WCKEY)")
# They belong to one session on the machine where the pool runs, or to the allocation that it runs in.
_SESSION = re.compile(
    r"TMPDIR|XDG_(RUNTIME_DIR|SESSION_\w+|SEAT|VTNR)|DBUS_\w+|WAYLAND_DISPLAY|DISPLAY|XAUTHORITY|SSH_\w+|TMUX\w*|STY|WINDOW"
    r"|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|LISTEN_\w+|SYSTEMD_\w+|OLDPWD|PWD|SHLVL|HOST|HOSTNAME|_"
    r"|CUDA_VISIBLE_DEVICES|NVIDIA_VISIBLE_DEVICES|HIP_VISIBLE_DEVICES"
)


def is_allocations(engine: EngineName, name: str) -> bool:
    """Return whether a variable belongs to the allocation that a pilot is in, so that its jobs do not inherit it."""
    return bool((_ALLOCATION if engine == "slurm" else _LOCAL).fullmatch(name))


def for_commands(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which Slurm's commands answer the same everywhere: in English and UTC, unabridged."""
    return {
        **_cleaned(environ, _WHERE),
        "LC_ALL": "C",
        "TZ": "UTC0",
        "SLURM_TIME_FORMAT": "standard",
    }


def for_pilots(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for pilots elsewhere: that of the process that submits them, less its session and secrets.

    So modules that were loaded there are loaded here, as with any `sbatch`. A pilot itself needs nothing of it.
    """
    kept = _cleaned(environ, re.compile(f"{_WHERE.pattern}|{_DEFAULTS.pattern}"))
    return {name: value for name, value in kept.items() if not _SESSION.fullmatch(name)}


def _cleaned(environ: Mapping[str, str], kept: re.Pattern[str]) -> dict[str, str]:
    cleaned = {
        name: value
        for name, value in without_secrets(environ).items()
        if kept.fullmatch(name) or not (_ALLOCATION.fullmatch(name) or _LOCAL.fullmatch(name))
    }
    # sbatch prefers this one; the other commands do not know it.
    if clusters := environ.get("SBATCH_CLUSTERS"):
        cleaned["SLURM_CLUSTERS"] = clusters
    return cleaned
