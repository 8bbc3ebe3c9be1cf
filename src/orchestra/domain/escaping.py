"""Untrusted text (rows, files, names, server messages) made safe to show in terminals, mails and tables.

A control character can move the cursor, change the title or forge a line; one that reverses the writing direction makes
a name look like another. They are written as Python escapes: \\x1b, \\n, \\u202e.
"""

from __future__ import annotations


def escaped(text: str, *, keep: str = "") -> str:
    """Escape all characters that are not printable, including lone surrogates, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in keep
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
