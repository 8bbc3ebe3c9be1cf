"""Numbers formatted for people: `12 min 40 s`, `4.1 kB`, `36 files`, `in 4 min`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from orchestra.domain.escaping import escaped

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def duration(seconds: float) -> str:
    """A duration in at most two units: `0.4 ms`, `8.2 s`, `12 min 40 s`, `3 h 5 min`, `2 d`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds == 0:
        return "0 s"
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return _in_two_units(seconds)


def _in_two_units(seconds: float) -> str:
    # Rounded to the smaller of the two units shown, so that 59 min 59.9 s is 1 h.
    whole = _rounded(seconds)
    for (unit, size), (smaller, smaller_size) in pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def _rounded(seconds: float) -> int:
    step = 1
    for size, smaller in ((86400, 3600), (3600, 60)):
        if seconds >= size - smaller / 2:
            step = smaller
            break
    return int(seconds / step + 0.5) * step


def about(seconds: float) -> str:
    """A duration in one unit, for tables: `4 min`, `3 h`, `2 d`."""
    seconds = abs(seconds)
    for unit, size in _UNITS:
        # "1 h" could mean anything up to an hour and a half, so hours and days start at two.
        if seconds >= size * (1 if unit in ("s", "min") else 2):
            return f"{int(seconds / size + 0.5)} {unit}"
    return "0 s"


def relative(seconds: float) -> str:
    """A moment relative to now; the future is positive: `in 4 min`, `3 h ago`, `now`."""
    if abs(seconds) < 1:
        return "now"
    return f"in {about(seconds)}" if seconds > 0 else f"{about(seconds)} ago"


def compute_time(seconds: float, unit: str = "CPU") -> str:
    """Compute time: `1.6 CPU hours`, `40 CPU seconds`, `2 GPU days`."""
    for word, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        # A day and a half is still shown in hours.
        if seconds >= size * (2 if word == "day" else 1):
            return _plural_number(seconds / size, f"{unit} {word}")
    return _plural_number(seconds, f"{unit} second")


def _plural_number(value: float, noun: str) -> str:
    text = f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def size(count: float) -> str:
    """Bytes in powers of 1000: `812 B`, `4.1 kB`, `210 MB`."""
    value = float(count)
    units = iter(_SIZES)
    unit = next(units)
    while value >= 999.5 and unit != _SIZES[-1]:
        value, unit = value / 1000, next(units)
    text = f"{value:.1f}".removesuffix(".0") if value < 9.95 and unit != "B" else f"{value:.0f}"
    return f"{text} {unit}"


def number(value: int) -> str:
    """A count with thousands separators: `1,000,000`."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """`36 files`, `1 file`, `100,000 jobs`; `plural` if it is not the noun plus an s."""
    return f"1 {noun}" if value == 1 else f"{value:,} {plural or noun + 's'}"


def rate(per_second: float, noun: str) -> str:
    """How often something happens: `38 jobs/min`, `4.5 jobs/h`."""
    minutes = per_second * 60
    value, unit = (minutes, "min") if minutes >= 1 else (minutes * 60, "h")
    text = f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"
    return f"{text} {noun if text == '1' else noun + 's'}/{unit}"


def percent(part: float, whole: float) -> str:
    """`64 %`; 0 % and 100 % only for exactly nothing and all."""
    if whole <= 0:
        return "0 %"
    if part <= 0 or part >= whole:
        return "0 %" if part <= 0 else "100 %"
    return f"{min(99, max(1, round(100 * part / whole)))} %"


def listed(words: Sequence[str], *, most: int | None = None, last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; with `most`, `a, b and 3 more`."""
    shown = list(words)
    if most is not None and len(shown) > most:
        shown = [*shown[:most], f"{len(words) - most:,} more"]
    return (
        shown[0]
        if len(shown) == 1
        else f"{', '.join(shown[:-1])} {last} {shown[-1]}"
        if shown
        else ""
    )


def sentence(text: str) -> str:
    """Return a text with a full stop at its end, unless it ends like a sentence."""
    return text if text.endswith((".", "!", "?", '."', ".)", "?)")) else f"{text}."


def one_line(text: str, width: int = 80) -> str:
    """Untrusted text on one line, safe to print: control characters are escaped, the end is cut with `...`."""
    clean = escaped(text)
    return clean if len(clean) <= width else clean[: max(0, width - 3)] + "..."
