"""Machines and accounts that are not as usual: no entry in passwd, no home, no shared memory, odd host names."""

from __future__ import annotations

import os
import pwd
import random
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.maestro import Maestro
from support.ordinary import PACKAGES, SOURCE, Ordinary
from support.waiting import wait_until

pytestmark = pytest.mark.needs("root")


def _nobody_s_number() -> int:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(
        uid for uid in iter(lambda: random.randint(30_000, 60_000), None) if uid not in taken
    )


@pytest.fixture
def nameless(ordinary: Ordinary) -> Iterator[Ordinary]:
    """An account that is a number and nothing else."""
    uid = _nobody_s_number()
    os.chown(ordinary.home, uid, uid)
    try:
        yield Ordinary(uid, uid, ordinary.home)
    finally:
        for folder in Path("/var/tmp").glob(f"orchestra*-{uid}"):
            shutil.rmtree(folder)


def _says(user: Ordinary, words: str, status: int = 0) -> str:
    """Run a command without a home; gives all that it says."""
    done = subprocess.run(
        [str(user.interpreter()), "-m", "orchestra.cli.main", *shlex.split(words)],
        check=False,
        cwd=user.home,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{SOURCE}{os.pathsep}{PACKAGES}"},
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def test_an_account_without_an_entry_and_a_home(nameless: Ordinary) -> None:
    try:
        up = _says(nameless, "up --cpus 1 --detach")
        assert "no home folder is known" in up
        assert f"new, in /var/tmp/orchestra-{nameless.uid}" in up
        (nameless.home / "config").write_text("x")
        name = f"user.uid{nameless.uid}"
        _says(nameless, f"dataset create -n {name}.x -p config")
        _says(nameless, f"task create -c x -d x -t {name}.t --bypass --exec ': %IN %DATA %OUT'")
        assert "is DONE" in _says(nameless, "task wait t")
        doctor = _says(nameless, "doctor")
        assert f"uid {nameless.uid} has no entry in passwd" in doctor
        assert "no home folder is known" in doctor
    finally:
        assert "is stopped" in _says(nameless, "down --kill --yes")
    assert list(Path("/tmp").glob(f"*-{nameless.uid}*")) == []


STRANGE = """
mount -t tmpfs -o ro none /dev/shm
printf %s "$1" > /proc/sys/kernel/hostname
shift
exec "$@"
"""


def test_no_shared_memory_and_a_host_name_that_no_node_can_have(newcomer: Maestro) -> None:
    newcomer.within = ("unshare", "--mount", "--uts", "sh", "-c", STRANGE, "sh", "gäuss@a b")
    up = newcomer("up", "--cpus", "1", "--detach")
    assert 'this machine, "g_uss_a_b": 1 CPU slot' in up.out
    assert newcomer("user", "list", "-o", "json").json[0]["email"] == "ana@g_uss_a_b"
    found = {each["check"]: each["says"] for each in newcomer("doctor", "-o", "json").json}
    assert "cannot be written to: read-only file system" in found["shared memory"]
    assert '"gäuss@a b" cannot be a node\'s name' in found["host name"]
    assert found["node"].startswith("g_uss_a_b is online")


def test_a_machine_whose_host_name_changes_stays_one_node(newcomer: Maestro) -> None:
    newcomer("up", "--cpus", "2", "--detach")
    pilot = newcomer.pilot()
    newcomer.within = (
        "unshare",
        "--uts",
        "sh",
        "-c",
        'hostname "$0"; exec "$@"',
        "laptop-elsewhere",
    )
    assert f'this machine, "{pilot["node"]}": 2 CPU slots' in newcomer("up", "--detach").out
    assert newcomer.pilot()["pid"] == pilot["pid"]
    found = {each["check"]: each["says"] for each in newcomer("doctor", "-o", "json").json}
    assert found["node"].startswith(f"{pilot['node']} is online, 0 of 2 CPU slots")

    assert f"the pilot of {pilot['node']} has stopped" in newcomer("down").out
    newcomer("up", "--detach")
    again = newcomer.pilot()
    assert (again["node"], again["host"]) == (pilot["node"], "laptop-elsewhere")


def test_a_umask_opens_no_folder_to_others(newcomer: Maestro) -> None:
    for name in ("MAESTRO_DATA_DIR", "MAESTRO_STATE_DIR"):
        newcomer.env[name] = str(newcomer.folder / "not yet" / Path(newcomer.env[name]).name)
    newcomer.within = ("sh", "-c", 'umask 000; exec "$@"', "sh")
    newcomer("up", "--cpus", "1", "--detach")
    newcomer.within = ()
    wait_until(lambda: newcomer.pilot()["keepers"], 30)
    made = (newcomer.folder / "not yet", *(newcomer.folder / "not yet").rglob("*"))
    assert [path for path in made if path.is_dir() and path.stat().st_mode & 0o022] == []
