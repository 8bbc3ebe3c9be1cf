"""A pilot of root runs everybody's jobs as root: it starts where nobody else makes tasks, or where that is allowed."""

from __future__ import annotations

import argparse
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from orchestra import config
from orchestra.cli.context import Context
from orchestra.cli.local import pilot as pilot_command
from orchestra.domain.errors import Refused
from orchestra.pilot.options import PilotOptions, pilot_hello
from orchestra.store.postgres import embedded
from orchestra.wiring.pilot import PilotSpec
from support.maestro import Maestro
from support.waiting import wait_until
from support.world import World

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def shared(maestro: Maestro, conn: psycopg.Connection) -> Maestro:
    """Root, with a database that others use; gauss is a node."""
    World(conn).pilot("gauss", host="elsewhere")
    conn.execute("delete from pilot")
    maestro.env["MAESTRO_ALLOW_ROOT"] = "<unset>"
    maestro.env["MAESTRO_NODE"] = "gauss"
    return maestro


@pytest.mark.parametrize(
    "command",
    [
        "pilot run -n gauss", "pilot run -n gauss --detach", "pilot run -n gauss --background", "up --detach",
        "pilot install -n gauss --print", "pilot install -n gauss --system", "pilot install -n gauss --cron",
    ],
)  # fmt: skip
def test_it_is_refused_where_others_share_the_database(
    shared: Maestro, conn: psycopg.Connection, command: str
) -> None:
    said = shared.refused(*command.split())
    assert "a pilot started by root runs everybody's jobs as root" in said
    assert "--allow-root" in said
    assert "MAESTRO_ALLOW_ROOT=1" in said
    assert conn.execute("select count(*) from pilot").fetchone() == (0,)


def test_up_makes_nothing_before_it_is_refused(shared: Maestro, conn: psycopg.Connection) -> None:
    shared.env["MAESTRO_NODE"] = "noether"
    shared.refused("up", "--detach")
    assert conn.execute("select name from node").fetchall() == [("gauss",)]


@pytest.mark.parametrize("word", ["on", "true", "1"])
def test_the_setting_allows_it(shared: Maestro, word: str) -> None:
    shared.env["MAESTRO_ALLOW_ROOT"] = word
    text = shared.line("pilot install -n gauss --print").out
    assert f'Environment="MAESTRO_ALLOW_ROOT={word}"' in text


def test_the_option_allows_it_and_goes_to_successors(shared: Maestro) -> None:
    assert '"--allow-root"' in shared.line("pilot install -n gauss --print --allow-root").out
    assert "online" in shared.line("pilot run -n gauss --detach --allow-root").out
    shared.line("pilot stop -n gauss --now --yes")
    wait_until(lambda: shared.line("pilot list -o json").json[0]["state"] == "offline")
    spec = PilotSpec("gauss", allow_root=True)
    assert "--allow-root" in spec.command()


def test_doctor_says_so(shared: Maestro) -> None:
    def verdict() -> tuple[str, str]:
        found = shared.line("doctor -o json", status=None).json
        [root] = [each for each in found if each["check"] == "root"]
        return root["verdict"], f"{root['says']} {root['remedy']}"

    kind, words = verdict()
    assert kind == "warning"
    assert "--allow-root" in words
    shared.env["MAESTRO_ALLOW_ROOT"] = "1"
    kind, words = verdict()
    assert kind == "ok"
    assert "MAESTRO_ALLOW_ROOT" in words


def test_the_embedded_database_is_root_s_own_until_somebody_else_has_a_login(
    newcomer: Maestro,
) -> None:
    newcomer.line("up --cpus 1 --detach")
    newcomer.line("pilot stop --now --yes")
    url = embedded.url_if_running(Path(newcomer.env["MAESTRO_DATA_DIR"]))
    assert url
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(sql.SQL("create role bob login"))
    assert "--allow-root" in newcomer.refused("up", "--detach")


def test_a_successor_that_may_start_nothing_looks_after_what_runs(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config.Settings(postgres="postgresql://db/lab")
    ctx = Context(argparse.Namespace())
    monkeypatch.setattr(Context, "settings", settings)
    spec = PilotSpec("gauss", started_by_keeper=True)
    found = pilot_command._permitted(ctx, conn, spec)
    assert (found.draining, found.started_by_keeper) == (True, False)
    with pytest.raises(Refused):
        pilot_command._permitted(ctx, conn, PilotSpec("gauss"))
    draining = PilotSpec("gauss", draining=True)
    assert pilot_command._permitted(ctx, conn, draining) == draining
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    plain = PilotSpec("gauss")
    assert pilot_command._permitted(ctx, conn, plain) == plain


def test_without_permission_it_runs_root_s_tasks_alone() -> None:
    for serves_all in (True, False):
        options = PilotOptions("gauss", "", psycopg.connect, root_serves_all=serves_all)
        hello = pilot_hello(options)
        assert (hello.account, hello.is_root) == ("root", serves_all)
