"""The documentation tells the truth: its commands run as they stand, its links lead somewhere, its site is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import pages
from support.maestro import Maestro

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
# Generated from the program, or run by a test of its own.
ELSEWHERE = {"commands.md", "configuration.md", "a-story.md", "performance.md"}
FOLLOWED = [
    page
    for page in DOCS
    if page.name not in ELSEWHERE
    and any(block.is_run for block in pages.blocks(page.read_text(encoding="utf-8")))
]


def _name(page: Path) -> str:
    return page.name


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", FOLLOWED, ids=_name)
def test_a_page_shows_what_happens(
    reader: Maestro, page: Path, request: pytest.FixtureRequest
) -> None:
    """A page that types `maestro up` has an embedded database, one that names $SERVER the address of an empty one.

    All others have a database with the schema and user ana in it.
    """
    text = page.read_text(encoding="utf-8")
    if "$SERVER" in text:
        reader.env["SERVER"] = request.getfixturevalue("empty_tcp_database_url")
    elif "$ maestro up" not in text:
        reader.env["MAESTRO_POSTGRES"] = request.getfixturevalue("tcp_database_url")
        reader.line("user create -n ana -e ana@gauss")
    try:
        pages.follow(reader, pages.blocks(text))
    finally:  # before its database goes
        reader.line("down --kill --yes", status=None)


@pytest.mark.parametrize("page", DOCS, ids=_name)
def test_what_looks_like_commands_is_run_or_says_why_not(page: Path) -> None:
    if page.name in ELSEWHERE:
        return
    found = pages.blocks(page.read_text(encoding="utf-8"))
    assert [block.text for block in found if block.unmarked] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=_name)
def test_json_is_json(page: Path) -> None:
    for block in pages.blocks(page.read_text(encoding="utf-8")):
        if block.language == "json":
            json.loads(block.text)


def test_the_site_is_built_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    made = {page.stem for page in (tmp_path / "site").glob("*.html")}
    assert made >= {"index", "changelog", "contributing", *(page.stem for page in DOCS)}
