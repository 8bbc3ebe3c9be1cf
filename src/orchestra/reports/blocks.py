"""What the sections of a report consist of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from orchestra.reports.markup import Content, Markup, element, join


def moment(at: datetime) -> Markup:
    utc = at.astimezone(UTC)
    return element("time", f"{utc:%Y-%m-%d %H:%M:%S} UTC", datetime=f"{utc:%Y-%m-%dT%H:%M:%SZ}")


def code(text: str) -> Markup:
    return element("code", text)


def facts(pairs: Iterator[tuple[str, Content]]) -> Markup:
    return element(
        "dl", *(join(element("dt", name), element("dd", value)) for name, value in pairs)
    )


def table(
    title: str, names: Sequence[str], rows: Sequence[Sequence[Content]], kinds: Sequence[str] = ()
) -> Markup:
    """A table that scrolls by itself on narrow screens, also with the keyboard.

    The kind of a column is "number", "fold" (its cells may have several lines) or empty.
    """
    classes = [kinds[place] or None if kinds else None for place in range(len(names))]

    def line(cells: Sequence[Content], tag: str, scope: str | None = None) -> Markup:
        pairs = zip(cells, classes, strict=True)
        return element(
            "tr", *(element(tag, each, class_=kind, scope=scope) for each, kind in pairs)
        )

    head = element("thead", line(list(names), "th", "col"))
    body = element("tbody", *(join("\n", line(cells, "td")) for cells in rows))
    found = element("table", element("caption", title), head, body)
    return element("div", found, class_="wide", role="region", tabindex="0", aria_label=title)
