"""Figures become tables, and tables stand in the page where they stood before."""

from __future__ import annotations

import math

import pytest

from bench.table import (
    Section,
    markdown,
    median,
    number,
    percentile,
    render,
    replace_section,
    spread,
    verdict,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234.5, "1,234"), (100, "100"), (99.94, "99.9"), (3.14159, "3.14"), (math.nan, "-")],
)
def test_figures_have_the_digits_that_they_deserve(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_percentile_is_a_value_that_was_seen() -> None:
    values = list(range(1, 101))
    assert percentile(values, 99) == 99
    assert percentile(values, 50) == 50
    assert percentile([7.0], 99) == 7.0
    assert math.isnan(percentile([], 50))
    assert math.isnan(median([]))


def test_a_bound_is_kept_or_missed_on_its_own_side() -> None:
    assert verdict(0.5, 0.5, at_least=True) == "kept"
    assert verdict(0.49, 0.5, at_least=True) == "**missed**"
    assert verdict(21, 20, at_least=False) == "**missed**"


def test_a_table_keeps_its_columns_whatever_is_in_a_cell() -> None:
    lines = markdown(["what", "ms"], [["a | b", "1"]]).splitlines()
    assert lines == ["| what | ms |", "| --- | ---: |", "| a \\| b | 1 |"]


def test_the_spread_is_from_the_lowest_to_the_highest() -> None:
    assert spread([3, 1, 2]) == "1.00 to 3.00"
    assert spread([]) == "-"


def test_a_section_shows_its_picture_only_if_there_is_one() -> None:
    section = Section("idle", "Idle", "How.", [(["a", "b"], [["1", "2"]])], notes=["One."])
    shown = render(section, "*2 cores*")
    assert shown.startswith("## Idle\n\nHow.\n\n*2 cores*\n\n| a | b |")
    assert "png" not in shown
    assert shown.endswith("- One.")


def test_a_section_is_replaced_and_nothing_beside_it() -> None:
    page = replace_section("# Page\n", "one", "first")
    page = replace_section(page, "two", "second")
    again = replace_section(page, "one", "other")
    assert again == page.replace("first", "other")
    assert again.index("other") < again.index("second")


def test_a_page_whose_marker_was_broken_is_left_alone() -> None:
    with pytest.raises(ValueError, match="one: end"):
        replace_section("<!-- one: begin -->\ntext", "one", "new")
