"""A PostgreSQL server over TCP with a password, three pilots under three node names, 300 jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from support.maestro import Maestro
from support.waiting import wait_until

NODES = {"gauss": (2, 2), "euler": (3, 0), "noether": (1, 3)}

# A job writes down its own truth: when it began and ended by the kernel's clock, and the GPUs it was given.
JOB = (
    "{ read -r up _ </proc/uptime; echo start $ORCHESTRA_ATTEMPT $up $CUDA_VISIBLE_DEVICES; sleep 0.%s; "
    "read -r up _ </proc/uptime; echo end $up; } >>%%OUT/truth; cat %%IN %%DATA >/dev/null"
)

pytestmark = pytest.mark.servers("embedded", "debian15")


@pytest.fixture
def lab(tmp_path: Path, tcp_database_url: str) -> Iterator[Maestro]:
    home = tmp_path / "home"
    home.mkdir()
    maestro = Maestro(home, tmp_path)
    maestro.configure(postgres=tcp_database_url)
    for n in range(150):
        folder = tmp_path / "configs"
        folder.mkdir(exist_ok=True)
        (folder / f"job.{n}.json").write_text(str(n))
    (tmp_path / "data.npz").write_text("data")
    maestro.line("dataset create -n user.ana.configs -p configs")
    maestro.line("dataset create -n user.ana.data -p data.npz")
    yield maestro
    for name in NODES:
        maestro("pilot", "stop", "-n", name, "--now", "--yes", status=None)
    maestro.end()


def _create(lab: Maestro, queue: str) -> str:
    name = f"user.ana.{queue}"
    lab(
        "task", "create", "-t", name, "-c", "user.ana.configs", "-d", "user.ana.data", "--queue", queue,
        "-v", lab.folder, "--exec", JOB % ("03" if queue == "cpu" else "05"),
    )  # fmt: skip
    return name


def test_three_pilots_finish_300_jobs_each_once_within_their_slots(
    lab: Maestro, tcp_database_url: str
) -> None:
    assert re.match(r"postgresql://\w+:[^@]+@127\.0\.0\.1:\d+/", tcp_database_url)
    for name, (cpus, gpus) in NODES.items():
        lab("node", "create", "-n", name, "-ec", cpus, "-eg", gpus)
    tasks = [_create(lab, "cpu"), _create(lab, "gpu")]
    pilots = [lab.start("pilot", "run", "-n", name) for name in NODES]
    said = lab("task", "wait", *tasks, "--timeout", "120", status=None, timeout=150)
    assert said.status == 0, (said, lab.line("task list -a"), lab.line("node list"))
    assert all(pilot.poll() is None for pilot in pilots)

    with psycopg.connect(tcp_database_url, options="-c search_path=orchestra") as conn:
        rows = conn.execute(
            # A pilot of a slow machine gives prefetched jobs back before they start, which is an attempt, too.
            "select t.queue, a.ordinal, a.number, n.name, a.accepted, t.folder "
            "from attempt a join task t on t.id = a.task_id join node n on n.id = a.node_id "
            "where a.cause <> 'returned' or a.started_at is not null"
        ).fetchall()
    assert len(rows) == len({(queue, index) for queue, index, *_ in rows}) == 300
    assert all(accepted for *_, accepted, _ in rows)
    assert {node for _, _, _, node, _, _ in rows} == set(NODES)

    spans: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    for queue, index, number, node, _, folder in rows:
        start, end = (Path(folder) / f"job_configId_{index}" / "truth").read_text().splitlines()
        _, attempt, began, *devices = start.split()
        assert attempt == str(number)
        spans.setdefault((node, queue), []).append(
            (float(began), float(end.split()[1]), " ".join(devices))
        )
    for (node, queue), found in spans.items():
        slots = NODES[node][queue == "gpu"]
        for since, _, device in found:
            beside = [other for other in found if other[0] <= since < other[1]]
            assert len(beside) <= slots, (node, queue, beside)
            if queue == "gpu":
                assert len({d for _, _, d in beside}) == len(beside), (node, beside)
                assert device in {str(n) for n in range(slots)}
            else:
                assert device == "-1"


def test_no_node_holds_jobs_while_another_one_idles(lab: Maestro, tcp_database_url: str) -> None:
    """The first jobs take no time, so that a pilot takes all for quick; the others wait for a word."""
    pilots = ("gauss", "euler")
    for name in pilots:
        lab("node", "create", "-n", name, "-ec", 2, "-eg", 0)
        lab.start("pilot", "run", "-n", name)
    go = lab.folder / "go"
    job = f"[ $ORCHESTRA_JOB -lt 60 ] || until [ -e {go} ]; do sleep 0.1; done; : %DATA %IN %OUT"
    lab(
        "task", "create", "-t", "user.ana.uneven", "-c", "user.ana.configs", "-d", "user.ana.data",
        "-v", lab.folder, "--exec", job,
    )  # fmt: skip
    with psycopg.connect(tcp_database_url, autocommit=True) as conn:

        def held() -> dict[str, int]:
            rows = conn.execute(
                "select n.name, count(*) from orchestra.attempt a join orchestra.node n on n.id = a.node_id "
                "where a.ended_at is null and a.lost_at is null and a.ordinal >= 60 group by n.name"
            )
            return dict(rows.fetchall())

        wait_until(lambda: held() == dict.fromkeys(pilots, 2), timeout=30, describe=held)
    go.touch()
    lab.line("task wait user.ana.uneven --timeout 120", timeout=150)


def test_a_wrong_password_is_one_sentence(lab: Maestro, tcp_database_url: str) -> None:
    lab.configure(postgres=re.sub(r":[^:@/]+@", ":wrong@", tcp_database_url))
    error = lab.refused("task", "list")
    assert "password authentication failed" in error
    assert "wrong@" not in error


def test_a_second_machine_may_not_take_a_served_node(lab: Maestro, tcp_database_url: str) -> None:
    lab.line("node create -n gauss -ec 1 -eg 0")
    lab.start("pilot", "run", "-n", "gauss")
    wait_until(lambda: lab.line("node list -o json").json[0]["online"], timeout=30)
    with psycopg.connect(tcp_database_url, autocommit=True) as conn:
        conn.execute("update orchestra.pilot set machine_id = 'another', host = 'far-away'")
    other = lab.refused("pilot", "run", "-n", "gauss")
    assert "far-away" in other
