"""Durations, sizes and failure limits as people type them: `10m`, `2GiB`, `5%`."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.models.tasks import Limit

LARGEST_SIZE = 2**60

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONG_UNITS = {
    "sec": "s",
    "second": "s",
    "min": "m",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
}
_MAX_DURATION = 100 * 365 * 86400.0
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_duration(text: str) -> float:
    """Parse `30s`, `10m`, `2h`, `1d12h`, `1.5 h` or plain seconds into seconds."""
    compact = re.sub(r"(?<=[0-9])\s+(?=[a-z])|(?<=[a-z])\s+(?=[0-9])", "", text.strip().lower())
    amount = r"([0-9]+(?:\.[0-9]+)?)"
    if re.fullmatch(amount, compact):
        compact += "s"
    if not re.fullmatch(f"(?:{amount}[a-z]+)+", compact):
        raise _not_a_duration(text)
    seconds = 0.0
    for number, unit in re.findall(f"{amount}([a-z]+)", compact):
        word = unit if unit in _SECONDS else _LONG_UNITS.get(unit.removesuffix("s"), "")
        if not word:
            raise _not_a_duration(text)
        seconds += float(number) * _SECONDS[word]
    if seconds > _MAX_DURATION:
        raise BadInput(f'"{one_line(text)}" is longer than 100 years.')
    return seconds


def typed_duration(seconds: float) -> str:
    """Return what `parse_duration` reads as this: `2h`, `90m`, `1.5s`."""
    for unit, size in reversed(_SECONDS.items()):
        if unit != "w" and seconds and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def parse_since(text: str, now: datetime) -> datetime:
    """Parse a time in the past: a duration before `now` (`2h`), or a date, or date and time, in the zone of `now`."""
    try:
        return now - timedelta(seconds=parse_duration(text))
    except BadInput:
        if not re.search(r"[0-9]-[0-9]", text):
            raise _not_a_time(text) from None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _not_a_time(text) from None
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)


def _not_a_time(text: str) -> BadInput:
    return BadInput(
        f'"{one_line(text)}" is neither a duration nor a date.',
        hint='For example 30m, 2h, 7d, 2026-11-20 or "2026-11-20 14:30".',
    )


def _not_a_duration(text: str) -> BadInput:
    return BadInput(
        f'"{one_line(text)}" is not a duration.', hint="For example 30s, 10m, 2h, 1d12h."
    )


def parse_limit(text: str) -> Limit:
    """Parse a number of jobs (`3`) or a percentage of a task's jobs (`5%`), above 0."""
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(%?)\s*", text)
    if not found or ("." in found[1] and not found[2]):
        raise BadInput(
            f'"{one_line(text)}" is neither a number of jobs nor a percentage.',
            hint="For example 3 or 5%.",
        )
    value = float(found[1])
    if value == 0:
        raise BadInput(
            f'"{one_line(text)}" would be reached at once.', hint="1 stops at the first failure."
        )
    if not found[2]:
        return Limit(count=int(value))
    if value > 100:
        raise BadInput(f'"{one_line(text)}" is more than 100 %.')
    return Limit(percent=value)


def typed_limit(limit: Limit) -> str:
    """Return what `parse_limit` reads as this: `3`, `5%`."""
    if limit.percent is None:
        return str(limit.count)
    return f"{limit.percent:.9f}".rstrip("0").rstrip(".") + "%"


def parse_gpus(text: str) -> tuple[int, int | None]:
    """Parse a number of whole GPUs (`2` is 2, None), or a part of one (`0.5` is 1, 500: thousandths of one GPU)."""
    found = re.fullmatch(r"\s*([0-9]{1,9})(?:\.([0-9]{1,9}))?\s*", text)
    if not found:
        raise BadInput(
            f'"{one_line(text)}" is not a number of GPUs.',
            hint="For example 2, or 0.5 for half of one.",
        )
    whole, part = int(found[1]), (found[2] or "").rstrip("0")
    if not part:
        return whole, None
    if whole:
        raise BadInput(f'"{one_line(text)}" GPUs cannot be had: more than one must be whole.')
    if len(part) > 3:
        raise BadInput(
            f'"{one_line(text)}" of a GPU is too fine: it can be shared in thousandths.',
            hint="For example 0.125.",
        )
    return 1, int(part.ljust(3, "0"))


def typed_gpus(gpus: int, milli: int | None) -> str:
    """Return what `parse_gpus` reads as this: `2`, `0.5`."""
    return str(gpus) if milli is None else f"{milli / 1000:.3f}".rstrip("0")


def parse_size(text: str) -> int:
    """Parse `4.1 kB`, `512M`, `2G` (powers of 1000) or `2GiB` (powers of 1024) into bytes."""
    found = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if not found or (found[3] and not found[2]):
        raise BadInput(f'"{one_line(text)}" is not a size.', hint="For example 500M, 4 GB or 2GiB.")
    factor = _BINARY_BYTES[found[2]] if found[3] else _BYTES[found[2]]
    size = math.ceil(float(found[1]) * factor)
    if size > LARGEST_SIZE:
        raise BadInput(f'"{one_line(text)}" is more than any machine has.')
    return size


def typed_size(size: int) -> str:
    """Return what `parse_size` reads as this: `4G`, `2GiB`, `1234`."""
    for unit in ("T", "G", "M", "k"):
        for factors, ending in ((_BYTES, ""), (_BINARY_BYTES, "iB")):
            if size and size % factors[unit.lower()] == 0:
                return f"{size // factors[unit.lower()]}{unit}{ending}"
    return str(size)
