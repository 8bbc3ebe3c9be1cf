"""Every command of the README that users of the original follow runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.maestro import Maestro
from support.waiting import wait_until

TEXT = (Path(__file__).parent.parent / "data" / "original-readme.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^```(?:bash)?\n(.*?)^```", TEXT, flags=re.M | re.S)
COMMANDS = [
    block.strip() for block in BLOCKS if block.lstrip().startswith(("maestro.py ", "maestro "))
]
CONFIGURATION = next(block for block in BLOCKS if '"postgres"' in block)


@pytest.fixture
def jodafons(tmp_path: Path, empty_database_url: str) -> Iterator[Maestro]:
    """The README's reader: a home folder, a database without a schema, `maestro.py` on the PATH."""
    home = tmp_path / "home"
    home.mkdir()
    maestro = Maestro(home, tmp_path)
    maestro.env = {
        "USER": "jodafons",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    maestro.configure(postgres=empty_database_url, email="jodafons@lps.ufrj.br")
    yield maestro
    maestro.end()


def typed(maestro: Maestro, command: str, *, status: int = 0) -> str:
    """Run a command exactly as it stands in the text, in a shell; gives what it printed."""
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        cwd=maestro.folder,
        env=maestro.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    said = f"$ {command}\n{done.stdout}{done.stderr}-> {done.returncode}"
    assert done.returncode == status, said
    assert "Traceback" not in said
    return said


def the(beginning: str) -> str:
    """The one command of the text that begins so; it is looked up, so that none is typed here by heart."""
    found = [command for command in COMMANDS if command.startswith(beginning)]
    assert len(found) == 1, found
    return found[0]


def test_every_command_of_the_readme_runs_as_it_stands(jodafons: Maestro) -> None:
    left = set(COMMANDS)

    def run(command: str) -> str:
        left.discard(command)
        return typed(jodafons, command)

    run(the("maestro.py user init"))
    run(the("maestro.py user create"))
    assert "username" in jodafons.line("user list").out
    for command in [c for c in COMMANDS if c.startswith("maestro.py node create")]:
        run(command)
    nodes = {node["name"]: node for node in jodafons.line("node list -o json").json}
    assert [nodes["caloba21"][kind]["enabled"] for kind in ("cpu", "gpu")] == [0, 2]
    assert [nodes["caloba21"][kind]["max"] for kind in ("cpu", "gpu")] == [0, 2]
    assert [nodes["caloba51"][kind]["enabled"] for kind in ("cpu", "gpu")] == [40, 0]
    assert [nodes["caloba51"][kind]["max"] for kind in ("cpu", "gpu")] == [40, 0]

    configs = jodafons.folder / "configs"
    configs.mkdir()
    for n in range(12):
        (configs / f"job.{n}.json").write_text("{}")
    (jodafons.folder / "data.npz").write_text("data")
    jodafons.line("castor registry -d user.jodafons.my_configs_files -p configs")
    jodafons.line("castor registry -d user.jodafons.my_data_file -p data.npz")
    run(the("maestro.py task create"))
    task = jodafons.line("task show 0 -o json").json
    assert (task["name"], task["queue"], task["jobs"]) == (
        "user.jodafons.my_task_tutorial",
        "gpu",
        12,
    )
    assert task["image"] == "jodafons/my_orchestra_tutorial"
    assert task["command"] == "python3 /job_tuning.py -d %DATA -c %IN -o %OUT"
    assert "user.jodafons.my_task_tutorial" in run(the("maestro.py task list"))

    jodafons.start("pilot", "run", "-n", "caloba51", "-m")
    _until(jodafons, "RUNNING")  # the README's own picture: a bypassed task goes straight to work
    jodafons.line("task kill -t user.jodafons.my_task_tutorial")
    _until(jodafons, "KILLED")
    run(the("maestro.py task retry"))
    _until(jodafons, "RUNNING")
    jodafons.line("task kill --id 0")
    _until(jodafons, "KILLED")
    run(the("maestro.py task delete"))
    assert jodafons.line("task list -a -o json").json == []
    assert left == set(), "commands of the README that no state was arranged for"


def _until(maestro: Maestro, state: str) -> None:
    def reached() -> bool:
        return bool(maestro.line("task show 0 -o json").json["state"] == state)

    wait_until(reached, timeout=30, describe=lambda: maestro.line("task show 0"))


def test_the_readmes_own_configuration_is_explained_until_it_is_right(jodafons: Maestro) -> None:
    """Its example has a doubled quote and lacks commas: each is named with its line."""
    path = jodafons.home / ".orchestra.json"
    path.write_text(CONFIGURATION)
    path.chmod(0o600)
    assert "line 2, column 14" in jodafons.refused("task", "list")
    path.write_text(CONFIGURATION.replace(':""postgres', ':"postgres'))
    assert re.search(r"line [23], column \d+.*comma", jodafons.refused("task", "list"))
    right = re.sub(r'"\n "', '",\n "', CONFIGURATION.replace(':""postgres', ':"postgres'))
    path.write_text(right)
    refused = jodafons.refused("task", "list")
    assert "db.lps.ufrj.br" in refused
    assert "db_password" not in refused


@pytest.mark.parametrize(
    "command",
    [
        "python3 /job_tuning.py -d %DATA -c %IN -o %OUT",
        " . /setup_envs.sh && python3 /job_tuning.py -d %DATA -c %IN -o %OUT",
        "python3 /job_tuning.py -d %DATA -c %IN -o %OUT && python3 /after_job.py",
    ],
)
def test_the_readmes_custom_commands_are_taken(jodafons: Maestro, command: str) -> None:
    assert f'--exec "{command}"' in TEXT
    typed(jodafons, the("maestro.py user init"))
    (jodafons.folder / "config.json").write_text("{}")
    jodafons.line("dataset create -n user.jodafons.one -p config.json")
    shown = typed(
        jodafons,
        "maestro.py task create -c user.jodafons.one -d user.jodafons.one -t user.jodafons.task "
        f'--queue cpu --dry_run --exec "{command}"',
    )
    assert str(jodafons.folder / "config.json") in shown
