"""Publish results: in docs/performance.md, as a picture beside it, and on the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.machine import Watch
from bench.table import Section, render, replace_section

DOCS = Path(__file__).parents[1] / "docs"
_PAGE = """# Performance

What Orchestra costs, measured by `make bench` next to comparable programs in the same run. The contenders take turns,
and numbers are medians of several rounds. Ratios carry over to other machines, absolute numbers do not. The bounds are
the project's own goals.
"""


def command_line(text: str | None) -> argparse.ArgumentParser:
    """Return a benchmark's parser with the options that all have: `--folder` and `--docs`."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="on a local disk; by default the system's for temporary files"
    )
    parser.add_argument("--docs", type=Path, nargs="?", const=DOCS, help="write the page, too")
    return parser


def publish(section: Section, watch: Watch, docs: Path | None) -> None:
    """Print a section, and write it into the page in the folder `docs` if one is given."""
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
