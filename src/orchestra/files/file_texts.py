"""What the small files of a data set say, kept in the database when they are registered: not everybody may open them.

Any data set may be a task's configs, so what is kept is whatever may have values: files that end as such, or that begin
as JSON does. It is read only when it is shown.
"""

from __future__ import annotations

import threading

from orchestra.domain import documents
from orchestra.domain.manifests import ALL_TEXTS_AT_MOST


class Texts:
    """The texts of files that are read in some order, by several threads."""

    def __init__(self, most: int = ALL_TEXTS_AT_MOST) -> None:
        self._texts: dict[int, str] = {}
        self._left = most
        self._lock = threading.Lock()
        self._first_left_out: int | None = None

    def add(self, place: int, name: str, content: bytes | None) -> None:
        """Take in what a file says, where it is small."""
        text = _text(name, content) if content else None
        if text is None:
            return
        with self._lock:
            self._left -= len(text)
            if self._left >= 0:
                self._texts[place] = text
            elif self._first_left_out is None or place < self._first_left_out:
                self._first_left_out = place

    def kept(self) -> tuple[dict[int, str], bool]:
        """Give the texts of the first files, and whether others were left out."""
        end = self._first_left_out
        if end is None:
            return self._texts, False
        return {place: text for place, text in self._texts.items() if place < end}, True


def _text(name: str, content: bytes) -> str | None:
    if not name.lower().endswith(documents.SUFFIXES) and not content.lstrip().startswith(b"{"):
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
