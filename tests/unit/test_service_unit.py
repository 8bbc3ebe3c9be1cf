"""The unit and the line for cron: what systemd itself says of them, and what a shell makes of the line."""

from __future__ import annotations

import subprocess
import sys
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path

import pytest

from orchestra.cli.local.pilot_install import kept_environment, next_steps, user_units
from orchestra.cli.local.server_install import ServerService
from orchestra.cli.local.service_unit import Service, cron_line, quoted, unit
from orchestra.config import load
from orchestra.domain.errors import Refused

PILOT = (sys.executable, "-P", "-m", "orchestra.cli.main", "pilot", "run", "-n", "gauss")
SERVICE = Service("gauss", PILOT, {"PATH": "/opt/bin:/usr/bin"}, "root")
HOSTILE = 'a\'; echo $(x) é 100% $HOME "b" \\n'


def settings_of(text: str) -> RawConfigParser:
    """The unit as an INI file; keys that stand there twice are not needed here."""
    parser = RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("account", ["root", None])
def test_a_unit_lets_jobs_live_on(account: str | None) -> None:
    parsed = settings_of(unit(replace(SERVICE, account=account)))
    service = parsed["Service"]
    assert service["KillMode"] == "process"
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == "0"
    assert service["OOMPolicy"] == "continue"
    assert service["ExecStart"] == " ".join(f'"{word}"' for word in (*PILOT, "--service"))
    assert service["Environment"] == '"PATH=/opt/bin:/usr/bin"'
    assert service.get("User") == account
    assert ("After" in parsed["Unit"]) is (account is not None)
    assert parsed["Install"]["WantedBy"] == ("multi-user.target" if account else "default.target")


def test_a_server_is_a_unit_as_well() -> None:
    argv = (sys.executable, "-m", "orchestra.cli.main", "server", "run", "--port", "8765")
    server = ServerService("orchestra-server", argv, {"PATH": "/usr/bin"}, "lab")
    parsed = settings_of(unit(server))
    service = parsed["Service"]
    assert service["ExecStart"] == " ".join(f'"{word}"' for word in argv)
    assert (service["User"], service["Restart"]) == ("lab", "always")
    assert "KillMode" not in service
    assert list(next_steps(server)) == [
        "systemctl daemon-reload",
        "systemctl enable --now orchestra-server.service",
    ]


def test_a_hostile_path_is_data() -> None:
    assert quoted(HOSTILE) == r'"a' + r"'; echo $(x) \xc3\xa9 100%% $HOME \x22b\x22 \x5cn" + '"'
    [line] = [
        line
        for line in unit(replace(SERVICE, command=("/bin/true", HOSTILE))).splitlines()
        if line.startswith("ExecStart=")
    ]
    assert line == r'ExecStart="/bin/true" "a' + (
        r"'; echo $$(x) \xc3\xa9 100%% $$HOME \x22b\x22 \x5cn" + '" "--service"'
    )


def verified(file: Path, account: str | None) -> subprocess.CompletedProcess[str]:
    """What systemd says of a unit of the machine's, or of a user's."""
    place = str(file.parent)
    return subprocess.run(
        ["systemd-analyze", *([] if account else ["--user"]), "verify", "--man=no", str(file)],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin:/usr/sbin", "XDG_RUNTIME_DIR": place, "HOME": place},
    )


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("account", ["root", None])
@pytest.mark.parametrize("hostile", [False, True])
def test_systemd_accepts_it(tmp_path: Path, account: str | None, hostile: bool) -> None:
    command = (sys.executable, HOSTILE, "x\ny") if hostile else PILOT
    values = {"PATH": "/opt/bin", "MAESTRO_VOLUME": HOSTILE} if hostile else SERVICE.environment
    service = replace(SERVICE, account=account, command=command, environment=values)
    file = tmp_path / service.unit_name
    file.write_text(unit(service))
    said = verified(file, account)
    ours = [line for line in said.stderr.splitlines() if "orchestra-pilot" in line]
    assert (said.returncode, ours) == (0, []), said
    file.write_text(unit(service).replace("KillMode=process", "KillMode=some"))
    assert "some" in verified(file, account).stderr, "it does look at the file"


def test_a_shell_reads_the_line_of_cron_as_it_was_meant(tmp_path: Path) -> None:
    program = tmp_path / "a' $(x) 100% b"
    program.write_text(
        '#!/bin/sh\nfor word in "$MAESTRO_VOLUME" "$@"; do printf "%s|" "$word"; done >"$OUT"\n'
    )
    program.chmod(0o755)
    out = tmp_path / "out"
    service = Service(
        "gauss", (str(program), HOSTILE), {"MAESTRO_VOLUME": HOSTILE, "OUT": str(out)}
    )
    line = cron_line(service)
    assert line.startswith("@reboot until ")
    assert line.endswith("; do sleep 60; done")
    # What cron does to the rest of the line: crontab(5).
    command = line.removeprefix("@reboot ").replace("\\%", "%")
    subprocess.run(["sh", "-c", command], check=True, timeout=30)
    assert out.read_text() == f"{HOSTILE}|{HOSTILE}|--detach|"
    assert "%" not in line.replace("\\%", "")


def test_cron_takes_no_line_break() -> None:
    with pytest.raises(Refused, match="line break"):
        cron_line(Service("gauss", ("/bin/true", "a\nb"), {}))


def test_settings_of_the_environment_are_kept_and_secrets_refused(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": "/bin", "MAESTRO_VOLUME": "/data", "SECRET": "x"}
    settings = load(environ=environ)
    assert kept_environment(settings, environ) == {"PATH": "/bin", "MAESTRO_VOLUME": "/data"}
    environ["MAESTRO_SYSTEM_CONFIG"] = ""
    assert kept_environment(load(environ=environ), environ)["MAESTRO_SYSTEM_CONFIG"] == ""
    environ["MAESTRO_POSTGRES"] = "postgresql://ana:hush@db/x"
    with pytest.raises(Refused) as refused:
        kept_environment(load(environ=environ), environ)
    assert "MAESTRO_POSTGRES is set in your environment" in str(refused.value)
    assert "hush" not in f"{refused.value}{refused.value.hint}"


def test_where_ones_own_units_are_and_what_comes_next(tmp_path: Path) -> None:
    assert user_units({"HOME": "/home/ana"}) == Path("/home/ana/.config/systemd/user")
    assert user_units({"HOME": "/x", "XDG_CONFIG_HOME": "/c"}) == Path("/c/systemd/user")
    assert list(next_steps(SERVICE)) == [
        "systemctl daemon-reload",
        "systemctl enable --now orchestra-pilot-gauss.service",
    ]
    assert list(next_steps(replace(SERVICE, account=None)))[1:] == [
        "systemctl --user enable --now orchestra-pilot-gauss.service",
        "loginctl enable-linger     # runs it while you are not logged in",
    ]
