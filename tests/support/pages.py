"""Follows a page of documentation: runs its shell blocks in order, and compares their output with what it shows.

- A block ```console contains commands after "$ ", each with its output. A line "..." stands for anything.
- A block ```bash contains commands that print nothing.
- A block whose first line is a comment with the name of a file (`# grid.yaml`, `-- roles.sql`) is that file.
- `<!-- not run: REASON -->` above a block skips it.
- The commands in `<!-- first: COMMANDS -->` are run and not shown: what a page takes for granted.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from support.maestro import Maestro

_PIECE = re.compile(
    r"<!-- first:(?P<first>.*?)-->"
    r"|(?:^<!-- not run: (?P<reason>\S[^>]*) -->\n+)?^(?P<fence>`{3,})(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$",
    flags=re.M | re.S,
)
_LOOKS_TYPED = re.compile(
    r"^(\$ |(sudo )?(maestro(\.py)?|pip|systemctl|loginctl|psql|sbatch|hq|make) )", re.M
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. `reason` says why it is not run; a `hidden` one is not shown to readers."""

    language: str
    text: str
    reason: str | None = None
    hidden: bool = False

    @property
    def is_run(self) -> bool:
        """Whether it is run."""
        return self.hidden or (self.language in ("bash", "console") and self.reason is None)

    @property
    def file(self) -> str | None:
        """The name of the file that it contains, or None."""
        named = re.match(r"(?:#|--) ([\w-]+\.\w+)\n", self.text)
        return named[1] if named and not self.is_run else None

    @property
    def unmarked(self) -> bool:
        """Whether it looks like commands that are not run, without a reason."""
        return self.reason is None and not self.is_run and bool(_LOOKS_TYPED.search(self.text))


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, and its hidden commands, in order."""
    found = []
    for piece in _PIECE.finditer(page):
        if piece["first"] is not None:
            found.append(Block("bash", piece["first"], hidden=True))
        else:
            found.append(Block(piece["language"], piece["text"], piece["reason"]))
    return found


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with its expected output; a backslash continues a command."""
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            more, _, shown = shown.partition("\n")
            command += f"\n{more}"
        yield command, shown


def typed(reader: Maestro, text: str) -> tuple[int, str]:
    """Run commands in a shell, and return the exit status and the output."""
    done = subprocess.run(
        [*reader.within, "bash", "-c", text],
        check=False,
        cwd=reader.folder,
        env=reader.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    home = reader.environment()["HOME"]
    return done.returncode, done.stdout.replace(home, "/home/ana").rstrip()


def shape(text: str) -> list[str]:
    """The lines without what depends on the machine and the time: all numbers, units and runs of spaces are alike."""
    text = re.sub(r"\d+(\.\d+)?( (ms|s|min|h)\b)?", "N", _settled(text))
    text = re.sub(r"(N )+N\b", "N", text)
    return sorted(set(_lines(text)))


def exact(text: str) -> list[str]:
    """The lines in order, with all numbers except times of day, durations and the slots of the machine."""
    varying = r"\d\d:\d\d:\d\d|\d+(\.\d+)? (ms|s|min|h|[CG]PU (slots|seconds))\b"
    return _lines(re.sub(r"(N )+N\b", "N", re.sub(varying, "N", _settled(text))))


def _settled(text: str) -> str:
    # The states that `task wait` sees depend on the time; the host, its Python and its free ports are the machine's.
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:8765", text)
    text = re.sub(r"^task \d+ \(\S+\) is [A-Z]+$", "", text, flags=re.M)
    text = re.sub(r"(?<=[ (])/\S+/bin/python3", "/usr/bin/python3", text)
    return re.sub(r"registered by ana from \S+", "registered by ana from gauss", text)


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def follow(
    reader: Maestro, page: list[Block], compared_by: Callable[[str], list[str]] = shape
) -> int:
    """Type all that is to be run; return the number of commands in console blocks.

    Raises:
        AssertionError: the output of a command differs from the page.
    """
    compared = 0
    for block in page:
        if block.file:
            (reader.folder / block.file).write_text(block.text)
        if not block.is_run:
            continue
        if block.language == "bash":
            status, printed = typed(reader, block.text)
            assert status == 0, f"{block.text}\n{printed}"
            assert block.hidden or printed == "", f"{block.text}\n{printed}"
            continue
        for command, shown in commands(block):
            printed = typed(reader, command)[1]
            there, wanted = compared_by(printed), compared_by(shown)
            if "..." in wanted:
                wanted.remove("...")
                there = [line for line in there if line in wanted]
            assert there == wanted, f"$ {command}\n{printed}\n--- the page shows\n{shown}"
            compared += 1
    return compared
