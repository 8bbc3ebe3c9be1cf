"""Photographs the pages for docs/pages.md, with the data of a `maestro demo --keep`.

    maestro demo --keep; export MAESTRO_CONFIG=...   # as it says
    maestro task clone 0 -t user.ana.mlp-2           # so that something runs
    python tools/page_tour.py docs

It signs in with `maestro web`, and needs Chromium (`make chromium`). The pictures are public: use an account and
folders whose names may be seen.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

SHOTS = {
    "overview": "/",
    "task": "/tasks/0",
    "job": "/tasks/0/jobs/17",
    "results": "/tasks/0/results",
    "kill": "/tasks/1/kill",
    "new-task": "/tasks/new?from=0",
}
NARROW = {"narrow": "/tasks/0"}
COLOURS = 256


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    printed = subprocess.run(
        ["maestro", "web", "--print"], check=True, capture_output=True, text=True
    )
    link = printed.stdout.strip()
    base = link.partition("/in#")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        page = browser.new_page(viewport={"width": 1120, "height": 760})
        page.goto(link)
        page.wait_for_url(f"{base}/")
        for name, path in SHOTS.items():
            _photograph(page, base + path, folder / f"page-{name}.png")
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 360, "height": 760})
        for name, path in NARROW.items():
            _photograph(page, base + path, folder / f"page-{name}.png")
        browser.close()


def _photograph(page: Page, url: str, file: Path) -> None:
    page.goto(url)
    page.get_by_text("live", exact=True).or_(page.locator("form")).first.wait_for()
    page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
