"""The README tells the truth: its commands run as they stand, and what it shows is what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.maestro import Maestro

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = TEXT[TEXT.index("## Five minutes") : TEXT.index("## Several machines")]
BLOCKS: list[tuple[str, str]] = re.findall(
    r"^```(bash|console)\n(.*?)^```", TOUR, flags=re.M | re.S
)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Maestro]:
    home = tmp_path / "home"
    (home / "tour").mkdir(parents=True)
    maestro = Maestro(home, home / "tour")
    maestro.env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MAESTRO_NODE": "gauss",
        "MAESTRO_DATA_DIR": str(home / ".local/share/orchestra"),
        "MAESTRO_STATE_DIR": str(tmp_path / "state"),
        "MAESTRO_EMAIL": "ana@gauss",
    }
    yield maestro
    maestro.line("down --kill --yes", status=None)
    maestro.end()


def _typed(reader: Maestro, text: str) -> str:
    done = subprocess.run(
        ["bash", "-c", text],
        check=False,
        cwd=reader.folder,
        env=reader.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout.replace(str(reader.home), "/home/ana").rstrip()


def _shape(text: str) -> list[str]:
    """What does not depend on the machine and the hour: numbers, units and runs of spaces are all alike."""
    # How many states `task wait` gets to see depends on the hour, too.
    text = re.sub(r"^task \d+ \(\S+\) is [A-Z]+$", "", text, flags=re.M)
    text = re.sub(r"registered by ana from \S+", "registered by ana from gauss", text)
    text = re.sub(r"\d+(\.\d+)?( (ms|s|min|h)\b)?", "N", text)
    text = re.sub(r"(N )+N\b", "N", text)
    return sorted({" ".join(line.split()) for line in text.splitlines() if line.strip()})


def test_the_tour_shows_what_happens(reader: Maestro) -> None:
    shown = 0
    for kind, block in BLOCKS:
        if kind == "bash":
            assert _typed(reader, block) == ""
            continue
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            printed = _typed(reader, command)
            assert _shape(printed) == _shape(expected), f"$ {command}\n{printed}"
            shown += 1
    assert shown == 10


def test_it_opens_with_the_two_commands() -> None:
    first = TEXT.partition("```\n")[2].partition("```")[0]
    assert re.findall(r"^make \w+", first, flags=re.M) == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, flags=re.M)
    assert re.search(r"^test:", makefile, flags=re.M)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
