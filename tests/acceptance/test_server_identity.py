"""Who people are to a real server: by a link, by a token, by the account at the other end of its socket."""

from __future__ import annotations

import http.client
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from urllib.parse import urlencode, urlsplit

import psycopg
import pytest

from support.maestro import Maestro
from support.ordinary import Ordinary
from support.processes import command_lines

TYPED = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from orchestra.cli.main import main

os.environ |= {"MAESTRO_SERVER": "unix:%s", "MAESTRO_SYSTEM_CONFIG": "", "MAESTRO_USERNAME": "ana"}
for command in %r:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(command)
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture
def path() -> Iterator[Path]:
    """The path of a socket that every account may use."""
    with tempfile.TemporaryDirectory(prefix="orchestra-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder, "socket")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[TextIO]:
    """What the server prints."""
    with (tmp_path / "server.log").open("w+") as file:
        yield file


def exchange(
    url: str, method: str, target: str, body: str = "", **headers: str
) -> tuple[int, str, str]:
    """Make a request; return the status, the cookie that it sets, and the body."""
    conn = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    conn.request(method, target, body, sent)
    answer = conn.getresponse()
    cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
    said = answer.read().decode()
    conn.close()
    return answer.status, cookie, said


def enter(url: str, code: str) -> tuple[int, str, str]:
    kind = "application/x-www-form-urlencoded"
    return exchange(url, "POST", "/in", urlencode({"code": code}), content_type=kind)


@pytest.mark.needs("root")
def test_people_are_who_they_prove_to_be(
    maestro: Maestro, conn: psycopg.Connection, ordinary: Ordinary, path: Path, log: TextIO
) -> None:
    maestro.env["MAESTRO_ALLOW_ROOT"] = "<unset>"
    maestro.line("user list")
    maestro.line("node create -n gauss -ec 1")
    server = maestro.start("server", "run", "--port", 0, "--socket", path, stderr=log)
    assert server.stdout
    url = server.stdout.readline().strip()
    assert exchange(url, "GET", "/api/v1/me")[0] == 401

    said = maestro.line("web --print")
    link, code = said.out.strip().split("#")
    assert link == f"{url}/in"
    status, cookie, _ = enter(url, code)
    assert status == 303
    assert enter(url, code)[0] == 401
    shown = exchange(url, "GET", "/users", cookie=cookie, accept="text/html")[2]
    assert "ana@example.org" in shown

    made = maestro.line("user token --expires 30d --label laptop")
    token = made.out.splitlines()[-1]
    assert 'belong to the account "root"' in made.err
    away = Maestro(path.parent, path.parent, {"MAESTRO_SERVER": url, "MAESTRO_TOKEN": token})
    assert away.line("user list -q").out == "ana\n"
    [listed] = away.line("user tokens -o json").json
    assert (listed["label"], listed["start"], listed["account"]) == ("laptop", token[:8], "root")
    again = away.line("user token -q").out.strip()
    assert away.line("web --print").out.startswith(f"{url}/in#")
    away.line(f"user revoke {listed['id']}")
    assert "was revoked" in away.refused("user", "list")
    away.env["MAESTRO_TOKEN"] = again
    assert away.line("user list -q").out == "ana\n"

    (ordinary.home / "grid").mkdir(mode=0o755)
    (ordinary.home / "grid/a.json").write_text("{}")
    create = [
        "run",
        "--exec",
        "true %IN %OUT",
        str(ordinary.home / "grid"),
        "-t",
        "mine",
        "--detach",
    ]
    typed = [["web", "--print"], create, ["node", "drain", "-n", "gauss"], ["task", "list", "-q"]]
    done = ordinary.python(TYPED % (path, typed))
    assert done.returncode == 0, done.stderr
    web, created, drained, tasks = (json.loads(line) for line in done.stdout.splitlines())
    assert web[1].startswith(f"{url}/in#"), web
    assert created[0] == 0, created
    assert 'node "gauss" belongs to user "ana", but you are "nobody"' in drained[2]
    assert tasks[1] == "0\n"
    assert conn.execute(
        "select t.name, t.account, p.name from task t join person p on p.id = t.owner_id"
    ).fetchall() == [("user.nobody.mine", "nobody", "nobody")]
    assert maestro.line("pilot run -n gauss --detach", status=None).status == 2, (
        "without --allow-root"
    )

    log.seek(0)
    kept = (
        log.read()
        + " ".join(command_lines().values())
        + str(conn.execute("select e::text from event e").fetchall())
    )
    for secret in (code, token, again, cookie.partition("=")[2]):
        assert secret
        assert secret not in kept
    assert not re.search(
        r"orc_\w{38}", json.dumps(maestro.line("doctor -o json", status=None).json)
    )
    assert path.stat().st_mode & 0o777 == 0o666
