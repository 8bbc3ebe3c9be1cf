"""The README's commands run as they stand, and print what it shows."""

from __future__ import annotations

import re
from pathlib import Path

from support import pages
from support.maestro import Maestro

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = TEXT[TEXT.index("## Five minutes") : TEXT.index("## Several machines")]


def test_the_tour_shows_what_happens(reader: Maestro) -> None:
    assert pages.follow(reader, pages.blocks(TOUR), pages.exact) == 14


def test_it_opens_with_the_two_commands() -> None:
    first = TEXT.partition("```\n")[2].partition("```")[0]
    assert re.findall(r"^make \w+", first, flags=re.M) == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, flags=re.M)
    assert re.search(r"^test:", makefile, flags=re.M)
