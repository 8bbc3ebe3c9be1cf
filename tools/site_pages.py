"""Adds the files outside docs/ to the site, with the README as its first page, and completes the navigation.

mkdocs calls these functions (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Files outside docs/, and their names in the site.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CITATION.cff": "citation.cff",
    "LICENSE": "license.txt",
}
_LINK = re.compile(r"(?<=\]\()(?:\.\./)?([\w./-]+)(?=[)#])")

Nav = list[dict[str, "str | Nav"]]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Remove missing pages from the navigation (performance.md before `make bench`), and add those that it lacks."""
    docs = Path(config.docs_dir)
    there = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    there |= {page for page in OUTSIDE.values() if page.endswith(".md")}
    nav = _existing(config.nav, there)
    if missing := sorted(there - set(_pages(nav))):
        nav.append({"More": [{_title(docs / page): page} for page in missing]})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/."""
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        content = _linked(text) if page.endswith(".md") else text
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Point links to files outside docs/ at their pages."""
    return _linked(markdown)


def _linked(text: str) -> str:
    def target(match: re.Match[str]) -> str:
        path = match[1].removeprefix("docs/")
        return OUTSIDE.get(path, path)

    return _LINK.sub(target, text)


def _existing(nav: Nav, there: set[str]) -> Nav:
    kept: Nav = []
    for entry in nav:
        [(title, inside)] = entry.items()
        if isinstance(inside, str):
            if inside in there:
                kept.append(entry)
        elif inside := _existing(inside, there):
            kept.append({title: inside})
    return kept


def _pages(nav: Nav) -> list[str]:
    found: list[str] = []
    for entry in nav:
        [inside] = entry.values()
        found += [inside] if isinstance(inside, str) else _pages(inside)
    return found


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
