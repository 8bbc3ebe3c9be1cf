"""HTML and SVG as text in which everything that is not markup has been escaped. Pure."""

from __future__ import annotations

from html import escape

from orchestra.domain.escaping import escaped

_VOID = frozenset({"br", "hr", "meta", "circle", "line", "path", "rect", "polyline"})
"""Elements without content."""


class Markup(str):
    """Markup that may be put into a document as it is; only this module makes it of other text."""

    __slots__ = ()


Content = Markup | str | None
"""Markup, text to be escaped, or nothing."""


def text(content: str) -> Markup:
    """Escape text: markup characters, and characters that are not printable except newlines and tabs."""
    return Markup(escape(escaped(content, keep="\n\t")))


def element(name: str, *contents: Content, **attributes: str | float | None) -> Markup:
    """Return an element. Attributes are escaped; `_` in their names is `-`, and one at the end is dropped: `class_`.

    An attribute that is None is left out. Numbers have at most two decimals, which are enough for pixels.
    """
    within = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{within}/>")
    return Markup(f"<{name}{within}>{join(*contents)}</{name}>")


def join(*contents: Content, between: str = "") -> Markup:
    """Return contents one after the other."""
    return Markup(
        between.join(
            each if isinstance(each, Markup) else text(each)
            for each in contents
            if each is not None
        )
    )


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
