"""The content of a mail as blocks, and its two forms with the same content: plain text and HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from textwrap import wrap
from typing import Any, assert_never

from orchestra.domain.escaping import escaped
from orchestra.domain.human import one_line

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
    title = escape(pages[0].subject if not titled else f"{len(pages)} notifications")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f'<body><div style="{_BODY}">\n' + "\n<hr>\n".join(parts) + "\n</div></body></html>\n"
    )


def _html_of(page: Page, *, titled: bool) -> str:
    head = f'<h2 style="font-size:17px">{escape(page.subject)}</h2>\n' if titled else ""
    return head + "\n".join(_html_block(block) for block in page.blocks)


def _html_block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Finding(what, where, log):
            tail = f'<pre style="{_LOG}">{escape(chr(10).join(log))}</pre>' if log else ""
            return f"<p><b>{escape(what)}</b><br>{escape(where)}</p>{tail}"
        case Table():
            return _html_table(block)
        case Location(label, path):
            return f'<p>{escape(label)}: <code style="{_MONO}">{escape(path)}</code></p>'
        case Command(why, command):
            return f'<p>{escape(why)}:<br><code style="{_MONO}"><b>{escape(command)}</b></code></p>'
        case _:
            assert_never(block)


def _html_table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return (
            "<tr>" + "".join(f'<{tag} style="{_CELL}">{escape(c)}</{tag}>' for c in cells) + "</tr>"
        )

    rows = row(table.columns, "th") + "".join(row(cells, "td") for cells in table.rows)
    return f"<p>{escape(table.title)}:</p><table>{rows}</table>"


def line(text: str) -> str:
    """Return any text as one line that can be shown."""
    return one_line(text, WIDTH)
