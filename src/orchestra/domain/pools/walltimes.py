"""Time limits as people type them: as durations of Orchestra, or as Slurm's `--time`. Pure.

Slurm's forms are in sbatch(1): minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes and
days-hours:minutes:seconds.
"""

from __future__ import annotations

import re

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.quantities import parse_duration

_CLOCK = re.compile(r"(?:(\d{1,5})-)?(\d{1,7})(?::(\d{1,2}))?(?::(\d{1,2}))?")


def parse_walltime(text: str) -> float:
    """Return the seconds of a time limit: `4h`, `1d12h`, `1-12:00:00`, `04:00:00`, `90` (minutes).

    Raises:
        BadInput: it is none.
    """
    found = _CLOCK.fullmatch(text.strip())
    try:
        return _seconds(found) if found else parse_duration(text)
    except BadInput:
        raise BadInput(
            f'"{one_line(text)}" is not a time limit.', hint="For example 4h, 1d12h, 04:00:00."
        ) from None


def is_in_minutes(text: str) -> bool:
    """Whether a time limit is a bare number, which is minutes in Slurm and seconds elsewhere in Orchestra."""
    return text.strip().isdecimal()


def _seconds(found: re.Match[str]) -> float:
    days, *parts = found.groups()
    numbers = [int(each) for each in parts if each is not None]
    if days is None and len(numbers) < 3:
        numbers.insert(0, 0)  # minutes, or minutes and seconds
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return float(((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)
