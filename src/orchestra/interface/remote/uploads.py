"""The uploads of a server, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from orchestra.domain.uploads import Content, Part
from orchestra.interface import codec
from orchestra.interface.uploads import (
    CONTENT,
    FOLDERS,
    MISSING,
    PATH,
    SEEN,
    FileList,
    NewFolder,
    Placed,
    Terms,
    Wanted,
)

Carry = Callable[[codec.Written, Any], Any]


class RemoteUploads:
    """Implements `interface.uploads.Uploads`.

    `carry` has a request carried out, repeats it if its answer was lost, and returns an answer of a type.
    """

    def __init__(self, carry: Carry) -> None:
        self._carry = carry

    def terms(self) -> Terms:
        """Return what the server does with files."""
        return self._ask(Terms, "GET", PATH)  # type: ignore[no-any-return]

    def sees(self, files: FileList) -> bool:
        """Return whether the server sees the same files at the same paths."""
        return self._ask(bool, "POST", SEEN, files)  # type: ignore[no-any-return]

    def missing(self, contents: tuple[Content, ...]) -> tuple[Content, ...]:
        """Return the contents that the server does not have."""
        return self._ask(tuple[Content, ...], "POST", MISSING, Wanted(contents))  # type: ignore[no-any-return]

    def send(self, parts: list[Part], data: bytes) -> None:
        """Send parts of contents."""
        self._carry(codec.Written("PUT", CONTENT, codec.encode(parts) + b"\n" + data), None)

    def place(self, folder: NewFolder) -> Placed:
        """Make a folder of contents that were sent."""
        return self._ask(Placed, "POST", FOLDERS, folder)  # type: ignore[no-any-return]

    def remove(self, label: str) -> int:
        """Remove the folders of a label that no data set has any more, and return how many there were."""
        return self._ask(int, "DELETE", f"{FOLDERS}/{quote(label, safe='')}")  # type: ignore[no-any-return]

    def _ask(self, kind: Any, method: str, target: str, body: object = None) -> Any:
        data = None if body is None else codec.encode(body)
        return self._carry(codec.Written(method, target, data), kind)
