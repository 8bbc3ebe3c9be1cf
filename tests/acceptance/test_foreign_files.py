"""Nobody's process reads for somebody else: two accounts, and jobs that point at what is not theirs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import TaskState
from orchestra.files.results import read
from orchestra.services.tasks import results
from support import audited
from support.cluster import Cluster
from support.mailserver import MailServer, running
from support.ordinary import PACKAGES, SOURCE, Ordinary
from support.waiting import wait_until

SECRET = "correct horse battery"
# What the jobs leave as metrics.json, by their number.
JOBS = {
    0: "echo '{\"accuracy\": 0.5}' > metrics.json",
    1: 'ln -s "$SECRET" metrics.json',
    2: 'ln "$SECRET" metrics.json',
    3: "mkfifo metrics.json",
    4: "ln -s /dev/zero metrics.json",
    5: "mknod metrics.json c 1 5",
    6: "echo '{\"accuracy\": 0.25}' > metrics.json",
}

VALUES = {0: {"accuracy": 0.5}, 6: {"accuracy": 0.25}}


@pytest.fixture
def server() -> Iterator[MailServer]:
    with running(MailServer()) as one:
        yield one


@pytest.fixture
def secret(ordinary: Ordinary, tcp_database_url: str, server: MailServer) -> Path:
    """The configuration of the account that conducts, with its passwords."""
    path = ordinary.home / ".orchestra.json"
    settings = {
        "postgres": tcp_database_url,
        "username": "bob",
        "email": "bob@example.org",
        "from_email": "lab@example.org",
        "token": SECRET,
        "accuracy": 1.0,  # so that it would be the best one
        "smtp_host": "localhost",
        "smtp_port": server.port,
        "smtp_tls": "none",
    }
    path.write_text(json.dumps(settings))
    path.chmod(0o600)
    os.chown(path, ordinary.uid, ordinary.gid)
    return path


@pytest.fixture
def touched(ordinary: Ordinary, secret: Path, cluster: Cluster) -> Iterator[Path]:
    """A conductor of that account, which may not enter the volume; gives the log of what it did to paths there."""
    log = ordinary.home / "touched"
    python = ordinary.interpreter()
    assert python
    tests = Path(audited.__file__).parents[1]
    env = {
        "HOME": str(ordinary.home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, tests, PACKAGES))),
    }
    process = subprocess.Popen(
        [python, audited.__file__, str(log), str(cluster.folder), "conductor", "run", "-m"],
        env=env, cwd=ordinary.home, user=ordinary.uid, group=ordinary.gid, extra_groups=[],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield log
    process.kill()
    process.communicate()


def run(cluster: Cluster, name: str, script: str, **options: Any) -> Task:
    """Have jobs run a script with their config."""
    path = cluster.folder / f"{name}.sh"
    path.write_text(script)
    data = cluster.dataset(f"{name}-script", path)
    task = cluster.task(len(JOBS), "sh %DATA %IN %OUT", name=name, data=data, **options)
    cluster.wait_for(task, TaskState.DONE, timeout=60)
    return task


def test_what_a_job_points_at_comes_neither_into_the_database_nor_into_a_mail(
    cluster: Cluster, ordinary: Ordinary, secret: Path, touched: Path, server: MailServer
) -> None:
    assert ordinary.run("ls", str(cluster.folder)).returncode != 0
    cluster.node(cpu=4)
    cluster.pilot("gauss", "--lease=3600")
    cases = "\n".join(f"{number}) {command};;" for number, command in JOBS.items())
    first = run(cluster, "first", f'set -e\nSECRET={secret}\ncase $(cat "$1") in\n{cases}\nesac\n')
    told(server, first.name)
    # The next mail need not wait until a minute after this one.
    wait_until(
        lambda: cluster.conn.execute("select from outbox where sent_at is not null").rowcount, 10
    )
    cluster.conn.execute("update outbox set sent_at = sent_at - interval '1 minute'")
    # The second task's jobs put links into the folders of the first one's, which are their configs.
    after = run(
        cluster,
        "second",
        f'rm -rf "$1/metrics.json"; ln -s {secret} "$1/metrics.json" && '
        "echo '{\"accuracy\": 0.75}' > metrics.json",
        config=f"task:{first.name}",
    )
    mails = told(server, after.name)
    assert (
        f"Best by accuracy:\n  job  accuracy\n  {first.id}/0  0.5\n  {first.id}/6  0.25\n" in mails
    )
    assert f"\n  {after.id}/0  0.75\n" in mails
    assert SECRET not in mails
    assert touched.read_text() == ""
    for table in ("attempt_metrics", "dataset_text", "event", "attempt"):
        assert SECRET not in str(cluster.conn.execute(f"table {table}").fetchall())
    # Who asks reads with their own eyes, and follows no link either.
    rows = read(results.look_up(cluster.conn, str(first.id))).rows
    assert [row.metrics for row in rows] == [VALUES.get(number, {}) for number in JOBS]
    rows = read(results.look_up(cluster.conn, str(after.id))).rows
    assert [row.values for row in rows] == [VALUES.get(number, {}) for number in JOBS]
    assert [row.metrics for row in rows] == [{"accuracy": 0.75}] * len(JOBS)


def told(server: MailServer, task: str) -> str:
    """Return all mails as text, once there is one about a task."""

    def text() -> str:
        bodies = [message.get_body(("plain",)) for message in server.messages]
        return "\n".join(body.get_content() for body in bodies if body)

    return wait_until(lambda: text() if task in text() else "", 30)
