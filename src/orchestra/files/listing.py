"""The files below a folder, with checks of their names and types."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from orchestra.domain.errors import BadInput
from orchestra.domain.human import count
from orchestra.domain.models.jobs import ATTEMPTS


class FolderListing:
    """The files below a folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.names: list[str] = []
        self.hidden = 0
        self.outputs: list[str] = []

    def walk(self, below: str, above: tuple[tuple[int, int], ...]) -> None:
        """Add the files of the folder `below`; `above` identifies its parents."""
        folder = str(Path(self.root, below))
        try:
            itself = Path(folder).stat()
            found = list(os.scandir(folder))
        except OSError as error:
            raise unreadable(folder, error) from error
        me = (itself.st_dev, itself.st_ino)
        if me in above:
            raise BadInput(f"{folder} is a symlink to one of its own parents.")
        if below and any(entry.name == ATTEMPTS for entry in found):
            self.outputs.append(below)
            return
        for entry in found:
            if entry.name.startswith("."):
                self.hidden += 1
            else:
                self._add(entry, f"{below}/{entry.name}" if below else entry.name, (*above, me))

    def left_out(self) -> str | None:
        """A sentence about what was left out, or None."""
        if self.outputs:
            return f"Outputs of tasks were left out: {self.outputs[0]}. To register them, name that folder."
        return f"It has {count(self.hidden, 'hidden one')}, left out." if self.hidden else None

    def _add(self, entry: os.DirEntry[str], name: str, above: tuple[tuple[int, int], ...]) -> None:
        check_path_text(entry.path)
        try:
            if entry.is_file():
                self.names.append(name)
            elif entry.is_dir():
                self.walk(name, above)
            else:
                check_regular(entry.path, entry.stat().st_mode)
        except OSError as error:
            raise unreadable(entry.path, error) from error


def check_path_text(path: str) -> None:
    # isprintable is false for line breaks, control characters and bytes that are not UTF-8.
    if path.isprintable():
        return
    if any("\ud800" <= char <= "\udfff" for char in path):
        name = _bytes_of(path)
        _check_encoding(name)
        raise BadInput(f"the name {name!r} is not valid UTF-8 text.", hint="Rename it.")
    if any(_is_control_character(char) for char in path):
        raise BadInput(
            f"the name {path!r} contains a line break or another control character.",
            hint="Rename it.",
        )


def _check_encoding(name: bytes) -> None:
    """Refuse a UTF-8 name that was decoded otherwise. `maestro` sets the encoding, other programs may not."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return
    raise BadInput(
        f"the name {name!r} is UTF-8, but this Python reads names as {sys.getfilesystemencoding()}.",
        hint="Start it with PYTHONUTF8=1, or in a locale such as C.UTF-8.",
    )


def _bytes_of(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # a lone surrogate that did not come from a file name
        return path.encode("utf-8", "surrogatepass")


def _is_control_character(char: str) -> bool:
    return ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029"


def check_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path} is neither a file nor a folder.")


def unreadable(path: str, error: OSError) -> BadInput:
    if isinstance(error, FileNotFoundError):
        gone = Path(path).is_symlink()
        return BadInput(
            f"{path} is a dangling symlink." if gone else f"there is no file or folder {path}."
        )
    return BadInput(f"{path} cannot be read: {error.strerror}.")
