"""The content of a mail as blocks, and its two forms with the same content: plain text and HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from textwrap import wrap
from typing import Any, assert_never

from orchestra.domain.escaping import escaped
from orchestra.domain.human import one_line
from orchestra.reports.markup import Markup, element, join

WIDTH = 160
"""Characters after which a line of a log is cut."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of failure: what, where, and the last lines of a log."""

    what: str
    where: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Location:
    """The path of something."""

    label: str
    path: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command to type next, and why."""

    why: str
    command: str


Block = Paragraph | Finding | Table | Location | Command


@dataclass(frozen=True, slots=True)
class Page:
    """One notification. `subject` is one line without the program's name."""

    subject: str
    blocks: tuple[Block, ...]


def as_text(pages: Sequence[Page]) -> str:
    """Return the plain text of one page, or of several, each under its subject."""
    pages = [_safe(page) for page in pages]
    if len(pages) == 1:
        return _text_of(pages[0])
    parts = [
        f"{page.subject}\n{'-' * min(len(page.subject), 78)}\n{_text_of(page)}" for page in pages
    ]
    listing = "".join(f"  {page.subject}\n" for page in pages)
    return f"{len(pages)} notifications:\n\n{listing}\n\n" + "\n\n".join(parts)


def _safe(page: Page) -> Page:
    """Escape control characters in all text, which may come from users' files: the one place for all mail."""
    return Page(escaped(page.subject), tuple(map(_safe_block, page.blocks)))


def _safe_block(block: Block) -> Block:
    values = {each.name: _safe_value(getattr(block, each.name)) for each in fields(block)}
    return replace(block, **values)


def _safe_value(value: str | tuple[Any, ...]) -> Any:
    return escaped(value) if isinstance(value, str) else tuple(map(_safe_value, value))


def _text_of(page: Page) -> str:
    lines: list[str] = []
    before: Block | None = None
    for block in page.blocks:
        # Blocks that belong together have no empty line in between.
        together = type(block) is type(before) and not isinstance(block, Paragraph)
        together |= isinstance(block, Command) and isinstance(before, Location)
        if before is not None and not together:
            lines.append("")
        lines.extend(_text_lines(block))
        before = block
    return "\n".join(lines) + "\n"


def _text_lines(block: Block) -> Iterable[str]:
    match block:
        case Paragraph(text):
            return wrap(text, 78, break_long_words=False, break_on_hyphens=False)
        case Finding(what, where, log):
            return [f"  {what}", f"     {where}", *(f"     | {line}" for line in log)]
        case Table():
            return _text_table(block)
        case Location(label, path):
            return [f"{label}: {path}"]
        case Command(why, command):
            return [f"{why}: {command}"]
        case _:
            assert_never(block)


def _text_table(table: Table) -> list[str]:
    rows = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    aligned = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [f"{table.title}:", *(f"  {line}" for line in aligned)]


_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px"
_SANS = "font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:15px;line-height:1.45"
_BODY = f"{_SANS};color:#1b1f24;max-width:46em"
_BOX = "border-left:3px solid #c4c9d0;margin:4px 0 12px 0;padding:6px 10px;white-space:pre-wrap"
_LOG = f"{_MONO};background:#f3f4f6;{_BOX}"
_CELL = "padding:2px 14px 2px 0;text-align:left"


def as_html(pages: Sequence[Page]) -> str:
    """Return the same as HTML, without scripts, pictures or external content."""
    pages = [_safe(page) for page in pages]
    titled = len(pages) > 1
    parts = [_html_of(page, titled=titled) for page in pages]
    title = element("title", pages[0].subject if not titled else f"{len(pages)} notifications")
    body = element("div", "\n", join(*parts, between="\n<hr/>\n"), "\n", style=_BODY)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>{title}</head>\n'
        f"<body>{body}</body></html>\n"
    )


def _html_of(page: Page, *, titled: bool) -> Markup:
    head = element("h2", page.subject, style="font-size:17px") if titled else None
    return join(head, *map(_html_block, page.blocks), between="\n")


def _html_block(block: Block) -> Markup:
    match block:
        case Paragraph(text):
            return element("p", text)
        case Finding(what, where, log):
            told = element("p", element("b", what), element("br"), where)
            return join(told, element("pre", "\n".join(log), style=_LOG) if log else None)
        case Table():
            return _html_table(block)
        case Location(label, path):
            return element("p", f"{label}: ", element("code", path, style=_MONO))
        case Command(why, command):
            typed = element("code", element("b", command), style=_MONO)
            return element("p", f"{why}:", element("br"), typed)
        case _:
            assert_never(block)


def _html_table(table: Table) -> Markup:
    def row(cells: Sequence[str], tag: str) -> Markup:
        return element("tr", *(element(tag, cell, style=_CELL) for cell in cells))

    rows = (row(cells, "td") for cells in table.rows)
    return join(element("p", f"{table.title}:"), element("table", row(table.columns, "th"), *rows))


def line(text: str) -> str:
    """Return any text as one line that can be shown."""
    return one_line(text, WIDTH)
