"""Names and folders that come from the environment, and a pilot's command line."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path

import pytest

from orchestra.config import Settings
from orchestra.domain.errors import ConfigurationError
from orchestra.domain.naming import check_node_name, check_user_name
from orchestra.store.postgres import program_search
from orchestra.wiring.database import database_url, use_programs
from orchestra.wiring.folders import pilot_folder
from orchestra.wiring.identity import node_name, user_name
from orchestra.wiring.pilot import PilotSpec


def test_the_configured_name_wins_over_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ana")
    assert user_name(Settings(username="carla")) == "carla"
    assert user_name(Settings()) == "ana"


def test_each_configuration_has_its_own_programs_of_postgresql(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    used: list[Path | None] = []
    monkeypatch.setattr(program_search, "use", used.append)
    for folder in (tmp_path, None, tmp_path / "other"):
        use_programs(Settings(postgres_bin=folder))
    assert used == [tmp_path, None, tmp_path / "other"]


@pytest.mark.parametrize(
    ("login", "name"), [("ana.silva", "ana.silva"), ("ana@LAB", "ana_LAB"), ("-x", "x"), ("é", "_")]
)
def test_a_login_becomes_a_valid_name(
    monkeypatch: pytest.MonkeyPatch, login: str, name: str
) -> None:
    monkeypatch.setenv("USER", login)
    assert user_name(Settings()) == name
    assert check_user_name(name)


def test_an_account_without_a_name_is_named_after_its_uid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_name(Settings()) == f"uid{os.geteuid()}"


def test_the_node_is_the_host_without_its_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gauss.lab.example.org")
    assert node_name(Settings()) == "gauss"
    assert node_name(Settings(node="other")) == "other"
    assert check_node_name(node_name(Settings()))


def test_a_pilots_command_runs_this_program_in_the_background() -> None:
    plain = PilotSpec("gauss").background_command()
    assert plain == (
        *(sys.executable, "-P", "-m", "orchestra.cli.main"),
        *("pilot", "run", "-n", "gauss", "--background"),
    )
    full = PilotSpec("gauss", prefers_to_conduct=True, serve_all=True, config="a.json").command()
    assert {"-m", "--serve-all", "--config", str(Path.cwd() / "a.json")} <= set(full)


def test_the_pilots_folder(tmp_path: Path) -> None:
    cluster = "0f7f5e6e-aaaa-bbbb-cccc-000000000000"
    assert pilot_folder(Settings(state_dir=tmp_path), cluster, "gauss") == (
        tmp_path / "0f7f5e6e" / "gauss"
    )
    assert pilot_folder(Settings(), cluster, "a/b").name == "a%2Fb"


def test_a_maestro_server_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names only a server"):
        database_url(Settings(server="https://orchestra.example.org"))
