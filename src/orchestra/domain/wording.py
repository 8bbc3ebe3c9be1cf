"""Numbers in words for people: short, with units, never more exact than useful."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

from orchestra.domain.errors import BadInput

_SIZES = ("kB", "MB", "GB", "TB", "PB")


def plural(number: int, noun: str, many: str | None = None) -> str:
    """Give "1 job", "2 jobs"; `many` is for nouns that take more than an s."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}".replace(",", " ")


def size(number: int) -> str:
    """Give bytes in powers of 1000: "812 B", "4.1 kB", "210 MB"."""
    if number < 1000:
        return f"{number} B"
    value = float(number)
    for unit in _SIZES:
        value /= 1000
        if value < 999.5 or unit == _SIZES[-1]:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def duration(seconds: float) -> str:
    """Give seconds as at most two units: "8.2 s", "12 min 40 s", "3 h 5 min", "2 d 4 h"."""
    if seconds < 0:
        return "0 s"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, length, smaller, part in (
        ("min", 60, "s", 1),
        ("h", 3600, "min", 60),
        ("d", 86400, "h", 3600),
    ):
        if whole < {"min": 3600, "h": 86400}.get(unit, whole + 1):
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    raise AssertionError("days have no upper end")


_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """Read a duration: "90", "90 s", "15 min", "1h30m", "2 d"; a bare number is seconds.

    Raises:
        BadInput: it is none, or not more than zero.
    """
    parts = re.findall(r"([\d.]+)\s*([a-z]*)", text.strip().lower())
    whole = re.fullmatch(r"(?:[\d.]+\s*[a-z]*\s*)+", text.strip().lower())
    try:
        total = math.fsum(float(number) * _UNITS[unit] for number, unit in parts)
    except (ValueError, KeyError):
        total = 0.0
    if whole is None or not 0 < total < math.inf:
        raise BadInput(f'"{text}" is no duration; write it like "90 s", "15 min", "12 h" or "2 d".')
    return total


def brief(seconds: float) -> str:
    """Give seconds as one unit, for tables: "40 s", "12 min", "3 h", "2 d"."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit != "min" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def ago(then: datetime, now: datetime) -> str:
    """Give how long ago something was: "just now", "4 min ago"."""
    seconds = (now - then).total_seconds()
    return "just now" if seconds < 2 else f"{brief(seconds)} ago"


def listing(words: Sequence[str], last: str = "and") -> str:
    """Give "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Give the known word that was probably meant, if there is one."""
    import difflib

    lower = {name.lower(): name for name in known}
    if word.lower() in lower:
        return lower[word.lower()]
    close = difflib.get_close_matches(word.lower(), list(lower), n=1, cutoff=0.6)
    return lower[close[0]] if close else None
