"""`maestro pilot install`, as it is typed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.cli.local.pilot_install import BOOTED
from orchestra.domain.states import JobState, TaskState
from orchestra.store.driver.database import connect
from support.cluster import Cluster
from support.maestro import Maestro
from support.terminal import at_terminal
from support.waiting import wait_until


@pytest.fixture
def gauss(maestro: Maestro) -> Maestro:
    maestro.line("node create -n gauss -ec 1")
    return maestro


def test_a_unit_is_written_once_and_replaced_only_when_asked(gauss: Maestro) -> None:
    unit = gauss.home / ".config/systemd/user/orchestra-pilot-gauss.service"
    said = gauss.line("pilot install -n gauss --user -m --serve-all")
    assert said.out == f"{unit} written\n"
    assert "systemctl --user enable --now orchestra-pilot-gauss.service\n" in said.err
    text = unit.read_text()
    for word in ("-n", "gauss", "-m", "--serve-all", "--config", gauss.home / ".orchestra.json"):
        assert f'"{word}"' in text
    assert f'Environment="MAESTRO_STATE_DIR={gauss.env["MAESTRO_STATE_DIR"]}"' in text
    assert "@127.0.0.1" not in text  # the address holds a password
    assert unit.name in [path.name for path in unit.parent.iterdir()]
    assert len(list(unit.parent.iterdir())) == 1
    assert (
        gauss.line("pilot install -n gauss --user -m --serve-all").out == f"{unit} is up to date\n"
    )
    assert gauss.line("pilot install -n gauss --user -m --serve-all --print").out == text

    refused = gauss("pilot", "install", "-n", "gauss", "--user", status=2).err
    assert '-ExecStart="' in refused
    assert "differs. Replace it?" in refused
    assert unit.read_text() == text
    with at_terminal(gauss, "pilot", "install", "-n", "gauss", "--user") as terminal:
        wait_until(lambda: "Replace it?" in terminal.screen, 60, lambda: terminal.screen)
        terminal.type("n\n")
        assert terminal.process.wait(timeout=30) != 0
    assert unit.read_text() == text
    assert gauss.line("pilot install -n gauss --user --yes").out == f"{unit} replaced\n"
    assert '"--serve-all"' not in unit.read_text()


@pytest.mark.skipif(BOOTED.is_dir(), reason="systemd runs here")
def test_without_systemd_the_line_for_cron_is_printed(gauss: Maestro) -> None:
    said = gauss.line("pilot install -n gauss")
    assert "does not run systemd." in said.err
    assert said.out == gauss.line("pilot install -n gauss --cron").out
    assert said.out.startswith("@reboot until ")
    assert not (gauss.home / ".config").exists()


def test_the_line_for_cron_starts_a_pilot(gauss: Maestro) -> None:
    line = gauss.line("pilot install -n gauss --cron").out.strip()
    command = line.removeprefix("@reboot ").replace("\\%", "%")
    as_cron = {"HOME": str(gauss.home), "PATH": "/usr/bin:/bin", "USER": "ana"}
    subprocess.run(["sh", "-c", command], check=True, env=as_cron, cwd="/", timeout=60)
    [pilot] = gauss.line("pilot list -o json").json
    assert pilot["state"] == "online"
    gauss.line("pilot stop -n gauss")


def test_the_unit_starts_a_pilot(gauss: Maestro) -> None:
    unit = gauss.line("pilot install -n gauss --print --user").out.splitlines()
    values = dict(line.split("=", 1) for line in unit if "=" in line and not line.startswith("#"))
    # Plain words here: quotes and doubled percent signs are the unit tests' affair.
    command = shlex.split(values["ExecStart"])
    environment = {"HOME": str(gauss.home), **dict(
        shlex.split(line.removeprefix("Environment="))[0].split("=", 1)
        for line in unit if line.startswith("Environment=")
    )}  # fmt: skip
    pilot = subprocess.Popen(
        command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        gauss.wait_for("pilot", "list", shows="online")
        gauss.line("pilot stop -n gauss")
        assert pilot.wait(timeout=30) == 0, "which is what keeps systemd from starting it again"
    finally:
        pilot.kill()
        pilot.wait()


def test_mistakes(gauss: Maestro) -> None:
    assert 'there is no node "euler"' in gauss.refused("pilot", "install", "-n", "euler", "--print")
    assert "cannot go together" in gauss.refused("pilot", "install", "--user", "--system")
    units = gauss.home / ".config"
    units.write_text("in the way")
    assert "cannot be" in gauss.refused("pilot", "install", "-n", "gauss", "--user")
    gauss.env["MAESTRO_POSTGRES"] = Path(gauss.home / ".orchestra.json").read_text().split('"')[3]
    assert "must not contain it" in gauss.refused("pilot", "install", "-n", "gauss", "--print")


# As systemd runs it: started, told to end with SIGTERM, started again


@pytest.fixture
def volume(tcp_database_url: str, gauss: Maestro, tmp_path: Path) -> Iterator[Cluster]:
    """Somewhere for jobs of node gauss."""
    folder = tmp_path / "volume"
    folder.mkdir()
    with connect(tcp_database_url) as conn:
        gauss.line("node set -n gauss -ec 2 -mc 2")
        yield Cluster(conn, tcp_database_url, folder)
        gauss("pilot", "stop", "-n", "gauss", "--now", "--yes", status=None)
        wait_until(lambda: gauss.pilot()["state"] == "offline", 30)


def _served_by(maestro: Maestro, pid: int) -> bool:
    found = maestro.line("pilot list -o json").json
    return bool(found) and found[0]["pid"] == pid and found[0]["state"] == "online"


def _serve(maestro: Maestro) -> subprocess.Popen[str]:
    pilot = maestro.start(
        "pilot", "run", "-n", "gauss", "-m", "--service", stderr=subprocess.DEVNULL
    )
    wait_until(lambda: _served_by(maestro, pilot.pid), 60)
    return pilot


def test_a_restart_of_the_service_touches_no_job(
    gauss: Maestro, volume: Cluster, tmp_path: Path
) -> None:
    first = _serve(gauss)
    gate = tmp_path / "gate"
    wait = f": %DATA %IN %OUT; until test -e {gate}; do sleep 0.05; done; exit 3"
    task = volume.task(1, wait, name="long")
    volume.wait_for_job(task, 0, JobState.RUNNING)
    first.terminate()
    assert first.wait(timeout=30) == 0
    second = _serve(gauss)
    config = volume.configs(1, "more")
    quick = volume.task(1, ": %DATA %IN %OUT", name="quick", config=config, data="user.ana.data")
    volume.wait_for(quick, TaskState.DONE)  # it takes new work, beside the old
    assert volume.jobs(task) == [JobState.RUNNING]

    by_hand = gauss.start("pilot", "run", "-n", "gauss")
    assert second.wait(timeout=60) == 75, "so that the service manager starts it again"
    third = _serve(gauss)
    assert by_hand.wait(timeout=60) == 0
    gate.touch()
    volume.wait_for(task, TaskState.FINALIZED)
    assert [row[1:4] for row in volume.attempts(task)] == [(1, "exit", 3)]
    third.terminate()
    assert third.wait(timeout=30) == 0


def test_after_a_stop_of_the_service_somebody_looks_after_the_jobs(
    gauss: Maestro, volume: Cluster, tmp_path: Path
) -> None:
    pilot = _serve(gauss)
    gate = tmp_path / "gate"
    wait = f": %DATA %IN %OUT; until test -e {gate}; do sleep 0.05; done"
    task = volume.task(2, wait)
    wait_until(lambda: volume.jobs(task) == [JobState.RUNNING] * 2, 30)
    pilot.terminate()
    assert pilot.wait(timeout=30) == 0
    gate.touch()  # while nobody listens
    wait_until(lambda: volume.jobs(task) == [JobState.DONE] * 2, 60, lambda: volume.attempts(task))
    wait_until(lambda: gauss.pilot()["state"] == "offline", 30)
    assert gauss.pilot()["pid"] != pilot.pid
