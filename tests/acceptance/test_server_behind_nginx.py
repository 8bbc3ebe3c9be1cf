"""A server behind a real nginx, below a prefix: pages, streams, commands, its death in a live task, its end."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestra.store.cluster.events import add_task_event
from support.maestro import Maestro
from support.nginx import nginx
from support.server import free_port
from support.waiting import wait_until

pytestmark = [pytest.mark.needs("nginx"), pytest.mark.slow]

DEAD_FOR = 6.0


@dataclass
class Browser:
    """Somebody beyond the proxy."""

    address: str
    ca: Path
    token: str = ""

    def get(self, path: str, **headers: str) -> Any:
        """Return the answer; an error's as well."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.address}{path}", headers={**given, **headers})
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            return urllib.request.urlopen(request, timeout=30, context=context)
        except urllib.error.HTTPError as error:
            return error

    def status(self, path: str, **headers: str) -> int:
        with self.get(path, **headers) as answer:
            return int(answer.status)


def serve(maestro: Maestro, port: int, log: Path) -> subprocess.Popen[str]:
    """Start a server, and wait until it can work."""
    with log.open("a") as file:
        options = ["--behind", "127.0.0.1", "--root-path", "/orchestra", "--access-log"]
        server = maestro.start(
            "server", "run", "--port", port, *options, stdout=subprocess.DEVNULL, stderr=file
        )
    direct = Browser(f"http://127.0.0.1:{port}", log)

    def works() -> bool:
        try:
            with urllib.request.urlopen(f"{direct.address}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_until(works, 30, log.read_text)
    return server


def test_behind_nginx(maestro: Maestro, conn: psycopg.Connection, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "server.log"
    server = serve(maestro, port, log)
    token = maestro.line("user token").out.split()[-1]
    with nginx(tmp_path / "nginx", port) as (address, ca):
        nobody, ana = Browser(address, ca), Browser(address, ca, token)
        check_pages(nobody, ana)
        check_streams(ana, conn)
        check_commands(maestro, ana, server, port, log)
    said = log.read_text()
    assert " 127.0.0.1 ana GET " in said
    assert "9.9.9.9" not in said
    assert token not in said
    assert "Traceback" not in said


def check_pages(nobody: Browser, ana: Browser) -> None:
    """What is for everybody, what is not, and that links lead below the prefix."""
    assert [nobody.status(path) for path in ("/healthz", "/readyz")] == [200, 200]
    assert nobody.status("/metrics") == nobody.status("/api/v1/tasks") == 401
    assert nobody.status("/api/v1/tasks", **{"X-Forwarded-For": "9.9.9.9"}) == 401
    assert nobody.status("/healthz", Host="evil.example.org") in (200, 421)
    with nobody.get("/in", Accept="text/html") as page:
        assert 'href="/orchestra/static/' in page.read().decode()
    with ana.get("/api/v1/me") as answer:
        assert json.load(answer)["name"] == "ana"
    with ana.get("/metrics") as answer:
        assert b"orchestra_server_answers_total" in answer.read()


def check_streams(ana: Browser, conn: psycopg.Connection) -> None:
    """What happens comes through at once, not when a buffer is full."""
    with ana.get("/api/v1/stream?topics=tasks") as stream:
        lines = iter(stream.readline, b"")
        assert any(b"resync" in line for line in lines)
        add_task_event(conn, 7, before=None, after="TESTING", who="ana")
        began = time.monotonic()
        assert any(b'{"task":7}' in line for line in lines)
        assert time.monotonic() - began < 10


def check_log(ana: Browser, volume: Path) -> None:
    """Part of a log as curl fetches it, from the pilot: this server may read no file of the volume."""
    (path,) = volume.glob("*.work/job_configId_0/job.log")
    whole = path.read_bytes()
    url = f"{ana.address}/api/v1/tasks/0/jobs/0/attempts/1/log"
    header = f"Authorization: Bearer {ana.token}"
    for part, expected in {"1000-": whole[1000:], "0-9": whole[:10], "-7": whole[-7:]}.items():
        curl = ["curl", "-s", "--cacert", str(ana.ca), "-H", header, "-r", part, url]
        assert subprocess.run(curl, capture_output=True, check=True).stdout == expected


def check_commands(
    maestro: Maestro, ana: Browser, server: subprocess.Popen[str], port: int, log: Path
) -> None:
    """Commands over HTTPS, a server that is killed while a job runs, and a second one in its place."""
    go = maestro.folder / "go"
    (maestro.folder / "config.json").write_text("{}")
    (maestro.home / "away.json").write_text("{}")
    maestro.line("node create -n gauss -ec 1 -eg 0")
    maestro.start("pilot", "run", "-n", "gauss", "-m", stdout=subprocess.DEVNULL)
    away = Maestro(maestro.home, maestro.folder, {
        **maestro.env, "MAESTRO_CONFIG": str(maestro.home / "away.json"), "SSL_CERT_FILE": str(ana.ca),
        "MAESTRO_SERVER": ana.address, "MAESTRO_TOKEN": ana.token,
    })  # fmt: skip
    away.line("dataset create -n one -p config.json")
    command = f": %DATA %IN %OUT; seq 20000; until [ -e {go} ]; do sleep 0.1; done"
    away("task", "create", "-t", "work", "-c", "one", "-d", "one", "--bypass", "--exec", command)
    away.wait_for("job", "list", 0, shows="running", timeout=60)
    waiting = away.start("task", "wait", 0)
    try:
        wait_until(lambda: "/changes " in log.read_text(), 30, log.read_text)
        server.kill()
        server.wait()
        dead = time.monotonic()
        said = away.line("task list", status=None)
        assert said.status == 2, said
        assert len(said.err.splitlines()) <= 2, said
        assert "502" in said.err, said
        wait_until(lambda: time.monotonic() > dead + DEAD_FOR, DEAD_FOR + 5)
        server = serve(maestro, port, log)
        beside = serve(maestro, free_port(), log)
        go.touch()
        out, err = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, (out, err)
        assert "DONE" in away.line("task list -a").out
        check_log(ana, maestro.folder)
        with ana.get("/api/v1/stream?topics=tasks") as stream:
            assert stream.readline()
            began = time.monotonic()
            for each in (server, beside):
                each.send_signal(signal.SIGTERM)
                each.wait(30)
            assert time.monotonic() - began < 3
    finally:
        away.end()
        maestro.line("pilot stop -n gauss --now --yes", status=None)
