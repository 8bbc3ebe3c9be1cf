"""Tables of results, as Markdown and in docs/performance.md. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a picture; `ours` has the colour of Orchestra."""

    label: str
    value: float
    ours: bool = False


Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""A header and rows of cells."""


@dataclass(frozen=True, slots=True)
class Section:
    """The result of one benchmark.

    Args:
        key: names its markers in the page and its picture.
        intro: how it was measured, in one paragraph.
        notes: one sentence each, below the tables.
        bars: a picture, by its title (with the unit); empty for none.
    """

    key: str
    title: str
    intro: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    bars: Mapping[str, Sequence[Bar]] = field(default_factory=dict)


def median(values: Sequence[float]) -> float:
    """Return the median of the values; nan if there is none."""
    return statistics.median(values) if values else float("nan")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that is not below that share of the values (the nearest-rank method)."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def spread(values: Sequence[float]) -> str:
    """Return the lowest and the highest value, for a table."""
    return f"{number(min(values))} to {number(max(values))}" if values else "-"


def number(value: float) -> str:
    """Return a number with three significant digits, or with all digits before the point."""
    if value != value:  # nan
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def verdict(value: float, bound: float, *, at_least: bool) -> str:
    """Return whether a bound is kept, as text."""
    kept = value >= bound if at_least else value <= bound
    return "kept" if kept else "**missed**"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; every column except the first is right-aligned."""
    rule = ["---", *("---:" for _ in head[1:])]
    lines = [_line(cells) for cells in (head, rule, *rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render(section: Section, circumstances: str) -> str:
    """Return a section as it stands between its markers."""
    parts = [f"## {section.title}", section.intro, circumstances]
    parts += [markdown(head, rows) for head, rows in section.tables]
    if section.bars:
        parts.append(f"![{section.title}](performance-{section.key}.png)")
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    return "\n\n".join(parts)


def replace_section(page: str, key: str, body: str) -> str:
    """Put a section's text between its markers, or at the end of the page if there are none."""
    begin, end = f"<!-- {key}: begin -->", f"<!-- {key}: end -->"
    text = f"{begin}\n{body.strip()}\n{end}"
    before, found, rest = page.partition(begin)
    if not found:
        return f"{page.rstrip()}\n\n{text}\n"
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no {end}")
    return f"{before}{text}{after}"
