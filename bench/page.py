"""Where figures go: docs/performance.md, a picture beside it, and the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.machine import Watch
from bench.table import Section, render, replace_section

DOCS = Path(__file__).parents[1] / "docs"
_PAGE = """# Performance

What Orchestra costs, measured by `make bench` beside its peers in the same run, the contenders taking turns; figures
are medians of several rounds. A ratio carries over to other machines, an absolute figure does not. The bounds are
those that the project has set itself.
"""


def command_line(text: str | None) -> argparse.ArgumentParser:
    """Give a benchmark's command line with what each of them takes: `--folder` and `--docs`."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="on a local disk; by default the system's for temporary files"
    )
    parser.add_argument("--docs", type=Path, nargs="?", const=DOCS, help="write the page, too")
    return parser


def publish(section: Section, watch: Watch, docs: Path | None) -> None:
    """Print a section, and put it into the page in the folder `docs`, if there is one."""
    body = render(section, str(watch))
    print(body, flush=True)
    if docs is None:
        return
    docs.mkdir(exist_ok=True)
    if section.bars:
        from bench.picture import draw

        draw(section.bars, docs / f"performance-{section.key}.png")
    page = docs / "performance.md"
    before = page.read_text(encoding="utf-8") if page.exists() else _PAGE
    page.write_text(replace_section(before, section.key, body), encoding="utf-8")
