"""Text from elsewhere (rows, files, names, what servers say), made safe to show. Terminals, mails and tables use this.

A control character can move the cursor, change the title or forge a line; one that turns the direction of writing has a
name read as another one. They are spelled out as Python does: \\x1b, \\n, \\u202e.
"""

from __future__ import annotations


def escaped(text: str, *, keep: str = "") -> str:
    """Spell out all that is no printable character, half characters of file names as well, but for those of `keep`."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in keep
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
