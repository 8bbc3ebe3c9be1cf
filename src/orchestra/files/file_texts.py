"""The texts of a data set's small files. The database stores them, since not all users may read the files.

Any data set may serve as configs, so the texts of all files that may hold values are kept: files with a known extension
or that start like JSON. They are parsed only when shown.
"""

from __future__ import annotations

import threading

from orchestra.domain import documents
from orchestra.domain.manifests import ALL_TEXTS_AT_MOST


class FileTexts:
    """Collects the texts of files, which several threads read in any order."""

    def __init__(self, most: int = ALL_TEXTS_AT_MOST) -> None:
        self._texts: dict[int, str] = {}
        self._left = most
        self._lock = threading.Lock()
        self._first_left_out: int | None = None

    def add(self, place: int, name: str, content: bytes | None) -> None:
        """Add the text of a small file; `content` is None for a large one."""
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
        """The texts of the first files, and whether others were left out."""
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
