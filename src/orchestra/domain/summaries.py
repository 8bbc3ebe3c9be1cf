"""Mean and standard deviation of numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """How many numbers there are, their mean, and their sample standard deviation.

    The deviation divides by n - 1, so that one number has none; without numbers there is no mean, either.
    """

    n: int
    mean: float | None = None
    std: float | None = None


def summary(numbers: Sequence[int | float]) -> Summary:
    """Summarize finite numbers.

    The deviations are taken from the mean (two passes), which is corrected by their mean; each sum is exactly rounded.
    Numbers are scaled by a power of two, which changes no digit, so that the squares of large ones do not overflow.
    """
    count = len(numbers)
    if not count:
        return Summary(0)
    exponent = math.frexp(max(map(abs, numbers)))[1]
    scaled = [math.ldexp(number, -exponent) for number in numbers]
    mean = math.fsum(scaled) / count
    mean += math.fsum(each - mean for each in scaled) / count
    if count == 1:
        return Summary(1, float(numbers[0]))
    squares = math.fsum((each - mean) ** 2 for each in scaled)
    return Summary(count, _back(mean, exponent), _back(math.sqrt(squares / (count - 1)), exponent))


def _back(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:  # only the deviation of two numbers that are nearly the largest
        return math.inf
