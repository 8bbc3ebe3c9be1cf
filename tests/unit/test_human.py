"""Numbers as people read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import human


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.0004, "0.4 ms"), (0.5, "500 ms"), (0.9996, "1.0 s"), (8.24, "8.2 s"), (9.96, "10 s"),
        (59.4, "59 s"), (59.6, "1 min"), (60, "1 min"), (760, "12 min 40 s"), (3599.7, "1 h"), (11100, "3 h 5 min"),
        (86399, "1 d"), (190000, "2 d 5 h"), (-90, "-1 min 30 s"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert human.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"), (0.9, "now"), (240, "in 4 min"), (-10800, "3 h ago"), (-5, "5 s ago"), (1500, "in 25 min"),
        (5400, "in 90 min"), (-200000, "2 d ago"),
    ],
)  # fmt: skip
def test_moments_seen_from_now(seconds: float, text: str) -> None:
    assert human.relative(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5760, "1.6 CPU hours"), (3600, "1 CPU hour"), (40, "40 CPU seconds"), (0, "0 CPU seconds"),
        (90, "1.5 CPU minutes"), (86400 * 3, "3 CPU days"), (86400 * 1234.5, "1,234 CPU days"),
    ],
)  # fmt: skip
def test_work_done(seconds: float, text: str) -> None:
    assert human.compute_time(seconds) == text
    assert human.compute_time(seconds, "GPU") == text.replace("CPU", "GPU")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (812, "812 B"), (999, "999 B"), (1000, "1 kB"), (4100, "4.1 kB"), (9960, "10 kB"),
        (999_499, "999 kB"), (999_500, "1 MB"), (210e6, "210 MB"), (1.5e12, "1.5 TB"), (1e22, "10000 EB"),
    ],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    assert human.size(count) == text


@given(st.floats(0, 1e18))
def test_sizes_are_short(count: float) -> None:
    assert re.fullmatch(r"([0-9]{1,3}|[0-9]\.[0-9]) ([kMGTPE]?B)", human.size(count))


def test_counts() -> None:
    assert [human.count(n, "file") for n in (0, 1, 36, 100_000)] == [
        "0 files",
        "1 file",
        "36 files",
        "100,000 files",
    ]
    assert human.count(2, "CPU hour", "CPU hours") == "2 CPU hours"
    assert human.number(1_000_000) == "1,000,000"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (1, 1000, "1 %"),
        (64, 100, "64 %"),
        (999, 1000, "99 %"),
        (9, 9, "100 %"),
    ],
)
def test_percentages(part: int, whole: int, text: str) -> None:
    assert human.percent(part, whole) == text


def test_lists() -> None:
    assert human.listed([]) == ""
    assert human.listed(["a"]) == "a"
    assert human.listed(["a", "b"]) == "a and b"
    assert human.listed(["a", "b", "c"], last="or") == "a, b or c"
    assert human.listed(list("abcde"), most=2) == "a, b and 3 more"


def test_text_from_elsewhere_stays_on_its_line() -> None:
    assert human.one_line("a\nb\x1b[31m é") == "a\\nb\\x1b[31m é"
    assert human.one_line("x" * 100, width=10) == "xxxxxxx..."
