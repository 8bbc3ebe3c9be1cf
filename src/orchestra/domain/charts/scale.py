"""Scales and their ticks, for whoever draws without a library."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_MARGIN = 0.04
"""Empty space at both ends, as a share of the span."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps numbers to places from 0 to 1; those outside are at the ends."""

    low: float
    high: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """The place of a number."""
        low, high, at = (self._on_scale(each) for each in (self.low, self.high, value))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def _on_scale(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.is_log else value

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the scale, about so many; powers of ten (and 2, 5) on a logarithmic one."""
        found = _log_ticks(self.low, self.high, about) if self.is_log else []
        return found or _linear_ticks(self.low, self.high, about)


def scale_of(values: Iterable[float], *, is_log: bool = False, zero: bool = False) -> Scale:
    """Return a scale with all the numbers and a margin; with `zero`, it begins at zero.

    A logarithmic one needs numbers above zero.
    """
    found = list(values)
    low, high = min(found), max(found)
    if is_log:
        low, high = math.log10(low), math.log10(high)
        margin = _MARGIN * max(high - low, 0.3)
        return Scale(10 ** (low - margin), 10 ** (high + margin), is_log)
    margin = _MARGIN * (high - low) or abs(high) / 20 or 1e-9
    return Scale(0.0 if zero else low - margin, high + margin)


def _linear_ticks(low: float, high: float, about: int) -> list[float]:
    """May be empty where neighbouring floats are further apart than ticks."""
    step = _nice_step((high - low) / about)
    first = math.ceil(low / step)
    # Rounded, so that 3 * 0.1 is 0.3.
    ticks = (float(f"{number * step:.12g}") for number in range(first, first + 3 * about + 1))
    return [tick for tick in dict.fromkeys(ticks) if low <= tick <= high]


def _nice_step(step: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    magnitude = 10.0 ** math.floor(math.log10(step))
    return next(
        (each * magnitude for each in (1, 2, 5) if each * magnitude >= step), 10 * magnitude
    )


def _log_ticks(low: float, high: float, about: int) -> list[float]:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    powers = range(first, last + 1)
    if len(powers) > about:
        return [10.0**each for each in powers[:: -(-len(powers) // about)]]
    if len(powers) >= 3:
        return [10.0**each for each in powers]
    digits = (1, 2, 5) if len(powers) or high / low > 2 else ()
    every = (digit * 10.0**each for each in range(first - 1, last + 1) for digit in digits)
    found = [float(f"{each:.6g}") for each in every if low <= each <= high]
    return found if len(found) > 1 else []


def short(value: float) -> str:
    """A number for an axis or a cell: `0.001`, `1e-5`, `12,000`, `0.9822`."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        text = f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        return text.replace("-", "\u2212")
    digits, _, exponent = f"{value:.3g}".partition("e")
    return f"{digits}e{int(exponent)}".replace("-", "\u2212") if exponent else digits
