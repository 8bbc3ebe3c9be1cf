"""The image of containers/, built from Debian packages and used like the original's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support import images
from support.containers import Engine
from support.ordinary import Ordinary
from support.server import Server

Settle = Callable[[Path], None]

pytestmark = [
    pytest.mark.needs("root", "mmdebstrap"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # half a Debian is fetched and installed, twice
]

JOB = """\
import argparse, json, os, sys
options = argparse.ArgumentParser()
for name in "dco":
    options.add_argument(f"-{name}")
given = options.parse_args()
seen = {"config": open(given.c).read(), "data": open(given.d).read(), "python": sys.prefix,
        "orchestra": os.path.exists("/opt/orchestra")}
with open(f"{given.o}/seen.json", "w") as file:
    json.dump(seen, file)
"""

# What users of the original type after `singularity run orchestra_base.sif`; the pilot of a node in the same image.
SESSION = r"""
set -e
source /setup_envs.sh
maestro.py user init
maestro.py user create -n ana -e ana@example.org
maestro.py node create -ec 2 -mc 2 -eg 0 -mg 0 -n caloba51
maestro.py castor registry -d user.ana.configs -p configs
maestro.py castor registry -d user.ana.data -p data.txt
maestro.py task create -c user.ana.configs -d user.ana.data -t user.ana.tutorial \
    --exec ". /setup_envs.sh && python3 /job_tuning.py -d %DATA -c %IN -o %OUT" --bypass --queue cpu
maestro.py pilot run -n caloba51 -m >pilot.log 2>&1 &
timeout 90 maestro.py task wait --id 0 || cat pilot.log
maestro.py node stop -n caloba51
wait
maestro.py task list -a
"""


@pytest.fixture
def settle(empty_database_url: str, database_server: Server) -> Settle:
    """Make a folder a home with a configuration, a job script, a data set of two configs and a data file."""
    url = database_server.over_tcp(empty_database_url)

    def fill(home: Path) -> None:
        settings = {"postgres": url, "username": "ana", "allow_root": os.geteuid() == 0}
        (home / ".orchestra.json").write_text(json.dumps(settings))
        (home / ".orchestra.json").chmod(0o600)
        (home / "configs").mkdir()
        for name in ("a", "b"):
            (home / "configs" / f"{name}.json").write_text(name)
        (home / "data.txt").write_text("events")
        (home / "job_tuning.py").write_text(JOB)

    return fill


def check(home: Path, said: str) -> None:
    """Check that the two jobs ran inside the image, with its own Python, and wrote to the outside."""
    assert "DONE" in said, said + (home / "pilot.log").read_text()
    found = [
        json.loads((home / f"user.ana.tutorial/job_configId_{n}/seen.json").read_text())
        for n in (0, 1)
    ]
    assert found == [
        {"config": name, "data": "events", "python": "/usr", "orchestra": True} for name in "ab"
    ]


def test_definition_builds_an_image_like_the_original(
    ordinary_apptainer: Engine, ordinary: Ordinary, run_folder: Path, settle: Settle
) -> None:
    image, home = images.orchestra_sandbox(run_folder), ordinary.home
    settle(home)
    for path in (home, *home.rglob("*")):
        os.chown(path, ordinary.uid, ordinary.gid)
    said = ordinary_apptainer(
        *("run", "--pid", "--home", home, "--bind", f"{home}/job_tuning.py:/job_tuning.py", image),
        *("bash", "-c", SESSION),
        timeout=180,
    )
    check(home, said.stdout + said.stderr)


def test_dockerfile_builds_the_same(
    podman: Engine, run_folder: Path, tmp_path: Path, settle: Settle
) -> None:
    image = images.orchestra_podman(run_folder, podman)
    settle(tmp_path)
    volumes = [f"--volume={tmp_path}:{tmp_path}"]
    volumes += [f"--volume={tmp_path}/job_tuning.py:/job_tuning.py:ro"]
    said = podman(
        *("run", "--rm", "--network=host", f"--env=HOME={tmp_path}", f"--workdir={tmp_path}"),
        *(*volumes, image, "bash", "-c", SESSION),
        timeout=180,
    )
    check(tmp_path, said.stdout + said.stderr)
