"""Fixtures: a browser, and a page in it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from orchestra.store.driver.database import connect
from support.browsing import PATIENCE, window
from support.cluster import Cluster
from support.maestro import Maestro
from support.needs import need
from support.served_site import Site
from support.server import Server


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    need("chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def site(database_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server for all tests of a module, with a database of its own, as user ana sees it."""
    folder = tmp_path_factory.mktemp("site")
    home, work = folder / "home", folder / "it's work"
    home.mkdir()
    work.mkdir()
    with (
        database_server.clone(f"site_{secrets.token_hex(6)}") as url,
        connect(url, name="test") as conn,
    ):
        user = Maestro(home, work, {"MAESTRO_STATE_DIR": str(folder / "state")})
        user.configure(
            postgres=database_server.over_tcp(url), email="ana@example.org", username="ana"
        )
        found = Site(Cluster(conn, url, work), user)
        try:
            found.start()
            yield found
        finally:
            found.cluster.end()
            user.end()


@pytest.fixture
def signed_in(site: Site, browser: Browser) -> Iterator[Page]:
    """A page in which ana has signed in."""
    with window(browser) as context:
        page = context.new_page()
        site.sign_in(page)
        yield page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a window of its own, in which nobody has signed in."""
    with window(browser) as context:
        yield context.new_page()
