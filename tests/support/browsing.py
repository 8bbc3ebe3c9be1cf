"""Windows of a browser whose pages may not complain, and what every page must look like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

PATIENCE = 30_000
"""Milliseconds; other tests take the processors, too."""
NARROW = 360
AXE: str = Axe().axe_script
SCHEMES: tuple[tuple[Literal["light", "dark"], list[str]], ...] = (
    ("dark", ["color-contrast"]),
    ("light", []),
)
"""The themes, and the rules that differ in them; all rules without any."""


@contextmanager
def window(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A window with its own cookies. No script of its pages may fail, nor the security policy block anything."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A request that failed is what the page itself tells.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", note)
    try:
        yield context
    finally:
        context.close()
    assert complaints == []


def check_looks(page: Page) -> None:
    """Check a page with axe, its colours in both themes, and that it is not wider than a telephone."""
    size = page.viewport_size
    page.evaluate(AXE)
    for scheme, rules in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        found = page.evaluate("(options) => axe.run(document, options)", options)["violations"]
        assert not found, "\n".join(
            f"{page.url} ({scheme}): {each['id']}, {node['html']}: {node['failureSummary']}"
            for each in found
            for node in each["nodes"]
        )
    page.set_viewport_size({"width": NARROW, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= NARROW, page.url
    if size:
        page.set_viewport_size(size)
