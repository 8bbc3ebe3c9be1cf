"""The limits of a user: what their running jobs may take together. Pure."""

from __future__ import annotations

import re

from orchestra.domain.errors import BadInput
from orchestra.domain.fair_share import Load
from orchestra.domain.human import count, one_line
from orchestra.domain.models.users import NewLimits, UserLimit, UserLimits
from orchestra.domain.resources import WHOLE, Request
from orchestra.domain.storable import LARGEST

MOST_SHARES = 1_000_000.0
_GPUS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")


def in_words(limits: UserLimits) -> str:
    """What the limits are: `40 CPU slots, 2.5 GPUs, 500 jobs`; empty without limits."""
    said = []
    if limits.cpus is not None:
        said.append(count(limits.cpus, "CPU slot"))
    if limits.gpu_milli is not None:
        said.append(gpus(limits.gpu_milli))
    if limits.running is not None:
        said.append(count(limits.running, "job"))
    return ", ".join(said)


def shares_in_words(shares: float) -> str:
    """A number of shares: `1 share`, `2.5 shares`."""
    return "1 share" if shares == 1 else f"{shares:g} shares"


def parse_gpus(text: str) -> int:
    """Parse a number of GPUs, such as `4` or `0.5`, into thousandths.

    Raises:
        BadInput: it is no number with at most three decimals.
    """
    if not _GPUS.fullmatch(text.strip()):
        raise BadInput(
            f'"{one_line(text)}" is not a number of GPUs.', hint="For example 4, or 0.5."
        )
    return round(float(text) * WHOLE)


def check_new(new: NewLimits) -> None:
    """Refuse limits that cannot be stored.

    Raises:
        BadInput: a value is out of range, given and removed at once, or there is none.
    """
    limits = {
        UserLimit.CPUS: new.cpus,
        UserLimit.GPUS: new.gpu_milli,
        UserLimit.RUNNING: new.running,
    }
    for limit, value in limits.items():
        if value is not None and not 0 <= value <= LARGEST:
            raise BadInput(f"{value:,} is out of range for the limit {limit}.")
        if value is not None and limit in new.removed:
            raise BadInput(f"the limit {limit} cannot be set and removed at once.")
    if new.shares is not None and not 0 < new.shares <= MOST_SHARES:
        raise BadInput(f"a user's shares are a number above 0, up to {MOST_SHARES:,.0f}.")
    if new.shares is None and not new.removed and not any(v is not None for v in limits.values()):
        raise BadInput("nothing to change was given: cpus, gpus, running or shares.")


def gpus(milli: int) -> str:
    """A number of GPUs: `1 GPU`, `2.5 GPUs`."""
    return "1 GPU" if milli == WHOLE else f"{milli / WHOLE:g} GPUs"


def reached(limits: UserLimits, taken: Load, request: Request) -> str | None:
    """Return the limit that keeps a further job from starting; None if all allow it."""
    more = Load.of(request)
    if limits.running is not None and taken.jobs + 1 > limits.running:
        return count(limits.running, "job")
    if limits.cpus is not None and more.cpus and taken.cpus + more.cpus > limits.cpus:
        return count(limits.cpus, "CPU slot")
    milli = taken.gpu_milli + more.gpu_milli
    if limits.gpu_milli is not None and more.gpu_milli and milli > limits.gpu_milli:
        return gpus(limits.gpu_milli)
    return None
