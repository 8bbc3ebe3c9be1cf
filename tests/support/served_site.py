"""A real server with a database of its own, for tests of its pages."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from orchestra.interface.tokens import CreateToken
from support.cluster import Cluster
from support.maestro import Maestro


@dataclass
class Site:
    """A server process at one address, and the cluster that its pages show."""

    cluster: Cluster
    maestro: Maestro
    url: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Serve, at the same address as before."""
        port = self.url.rpartition(":")[2] or "0"
        self.process = self.maestro.start("server", "run", "--port", port)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.url

    def kill(self) -> None:
        """End the server as a failing machine would."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def token(self, user: str = "ana") -> str:
        """Return a new token of a user."""
        return self.cluster.interface(user)(CreateToken(name="browser")).secret

    def sign_in(self, page: Page, user: str = "ana") -> None:
        """Sign in, as somebody who pastes a token."""
        page.goto(f"{self.url}/in")
        page.get_by_label("token").fill(self.token(user))
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".user")).to_contain_text(user)
