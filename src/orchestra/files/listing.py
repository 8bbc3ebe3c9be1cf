"""The files below a folder, with checks of their names and types."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestra.domain import file_choice
from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line
from orchestra.domain.models.datasets import USUAL, FileChoice
from orchestra.domain.models.jobs import ATTEMPTS
from orchestra.domain.naming import natural_key
from orchestra.domain.wording import Field, Sentence, Term, words

_NAMED = 3
"""Skipped files that a sentence names."""


class FolderListing:
    """The files below a folder that a choice takes, and what it leaves out.

    Args:
        skipped: files, and folders with a "/", that only `all_files` takes.
        passed_over: files, and folders as a whole, that the patterns do not allow.
        outputs: folders with outputs of tasks.
    """

    def __init__(self, root: str, choice: FileChoice = USUAL) -> None:
        self.root = root
        self.choice = choice
        self.names: list[str] = []
        self.skipped: list[str] = []
        self.passed_over: list[str] = []
        self.outputs: list[str] = []

    def read(self) -> None:
        """Read the folder and those below it; the results are in natural order.

        Raises:
            BadInput: something cannot be read, or is neither a file nor a folder.
        """
        self._walk("", ())
        beside = set(file_choice.companions(self.choice, self.names, self.names))
        self.skipped.extend(beside)
        self.names = [name for name in self.names if name not in beside] if beside else self.names
        for found in (self.names, self.skipped, self.passed_over, self.outputs):
            found.sort(key=natural_key)

    def nothing(self) -> BadInput:
        """Return the error for a folder without a file for a data set."""
        if self.passed_over:
            number, first = len(self.passed_over), printable(self.passed_over[0])
            others = f"it has {first}" + (f" and {number - 1:,} more" if number > 1 else "")
            return BadInput(
                words(
                    f"no file in {self.root} remains with ", *_patterns(self.choice), f"; {others}."
                ),
                hint="A pattern without a slash is compared with names, one with a slash with paths below the folder.",
            )
        return BadInput(f"the folder {self.root} has no files.", hint=self._left_out())

    def _left_out(self) -> Sentence | None:
        if self.outputs:
            return f"Outputs of tasks were left out: {self.outputs[0]}. To register them, name that folder."
        return skipped_sentence(self.skipped)

    def _walk(self, below: str, above: tuple[tuple[int, int], ...]) -> None:
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
            self._add(entry, f"{below}/{entry.name}" if below else entry.name, (*above, me))

    def _add(self, entry: os.DirEntry[str], name: str, above: tuple[tuple[int, int], ...]) -> None:
        try:
            is_folder = entry.is_dir()
            if file_choice.excludes(self.choice, name):
                self.passed_over.append(name)
            elif file_choice.skips(self.choice, name, is_folder=is_folder):
                self._skip(name, is_folder=is_folder)
            elif is_folder:
                check_path_text(entry.path)
                self._walk(name, above)
            elif file_choice.takes(self.choice, name):
                check_path_text(entry.path)
                if not entry.is_file():
                    check_regular(entry.path, entry.stat().st_mode)
                self.names.append(name)
            else:
                self.passed_over.append(name)
        except OSError as error:
            raise unreadable(entry.path, error) from error

    def _skip(self, name: str, *, is_folder: bool) -> None:
        """Note what was skipped, except for what the patterns leave out anyway."""
        if is_folder and not self.choice.include:
            self.skipped.append(f"{printable(name)}/")
        elif not is_folder and file_choice.takes(self.choice, name):
            self.skipped.append(printable(name))


def skipped_sentence(names: Sequence[str]) -> Sentence | None:
    """Say what was skipped, and how to have it; None if nothing was."""
    if not names:
        return None
    return words(
        f"Skipped {listed(names, most=_NAMED)}; ",
        Field.ALL_FILES(True),
        " registers such files, too.",
    )


def printable(name: str) -> str:
    """Return a name that may not be text as it can be shown."""
    return name if name.isprintable() else ascii(name)


def _patterns(choice: FileChoice) -> Iterator[str | Term]:
    given = [
        *((Field.INCLUDE, pattern) for pattern in choice.include),
        *((Field.EXCLUDE, pattern) for pattern in choice.exclude),
    ]
    for number, (field, pattern) in enumerate(given):
        yield " and " if number else ""
        yield Term(field=field)
        yield f' "{one_line(pattern)}"'


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
