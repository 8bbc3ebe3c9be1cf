"""The checks of `maestro doctor`: from observations to findings."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orchestra.cli.local.doctor import (
    configuration,
    database,
    environment,
    folders,
    installation,
    machine,
    mail,
    node,
    pools,
)
from orchestra.cli.local.doctor.configuration import Configured
from orchestra.cli.local.doctor.database import Contents, Database, Schema
from orchestra.cli.local.doctor.environment import Environment
from orchestra.cli.local.doctor.finding import (
    Failure,
    Finding,
    Verdict,
    ok,
    problem,
    warning,
    worst,
)
from orchestra.cli.local.doctor.folders import Folder
from orchestra.cli.local.doctor.machine import Gpus, Program
from orchestra.cli.local.doctor.node import ThisMachine
from orchestra.cli.local.doctor.probe import Probe
from orchestra.cli.output import with_tilde
from orchestra.config import Caution, Settings
from orchestra.domain import troubles
from orchestra.domain.errors import NotFound
from orchestra.domain.models.cluster import ServerFacts
from orchestra.domain.models.mails import Summary
from orchestra.domain.models.nodes import Device, Keeper, Node, Pilot, Slots
from orchestra.domain.models.pools import Pool, PoolLimits, PoolSpec
from orchestra.domain.state_inventory import StateInventory
from orchestra.domain.troubles import Stuck

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLUSTER = "0123abcd-0000-0000-0000-000000000000"
OK, WARNING, PROBLEM = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM


def only(findings: Iterable[Finding]) -> Finding:
    [finding] = findings
    return finding


def checks(findings: Iterable[Finding]) -> list[tuple[Verdict, str]]:
    return [(finding.verdict, finding.check) for finding in findings]


def test_the_most_serious_verdict_counts() -> None:
    assert worst([]) is OK
    assert worst([ok("a", ""), warning("b", "")]) is WARNING
    assert worst([problem("c", ""), ok("a", ""), warning("b", "")]) is PROBLEM


# probes


def test_a_probe_that_hangs_is_abandoned() -> None:
    never = threading.Event()
    try:
        seen = Probe("The volume /x", never.wait, timeout=0.05).result()
    finally:
        never.set()
    assert isinstance(seen, Failure)
    assert seen.says.startswith("The volume /x did not answer within")


def test_a_probe_returns_values_or_a_failure() -> None:
    def refused() -> str:
        raise NotFound("there is none.", hint="make one")

    def broken() -> str:
        raise ZeroDivisionError("by zero")

    assert Probe("x", lambda: "seen", timeout=5).result() == "seen"
    assert Probe("x", refused, timeout=5).result() == Failure("there is none.", "make one")
    seen = Probe("The thing", broken, timeout=5).result()
    assert isinstance(seen, Failure)
    assert seen.says == "The thing cannot be checked: ZeroDivisionError: by zero"


# configuration

CONFIGURED = Configured("~/.orchestra.json", 0o600, (), ())


@pytest.mark.parametrize(
    ("seen", "verdict", "words"),
    [
        (CONFIGURED, OK, "~/.orchestra.json, readable by you alone"),
        (replace(CONFIGURED, mode=0o644), OK, "readable by others"),
        (replace(CONFIGURED, path=None), OK, "no file"),
        (replace(CONFIGURED, system_path="/etc/x"), OK, "by you alone, over /etc/x"),
        (replace(CONFIGURED, path=None, system_path="/etc/x"), OK, "/etc/x; no file of your own"),
        (replace(CONFIGURED, variables=("MAESTRO_NODE",)), OK, "MAESTRO_NODE in the environment"),
        (replace(CONFIGURED, warnings=(Caution('x: "colour" is ignored'),)), WARNING, "colour"),
        (Failure("line 2: an extra quote"), PROBLEM, "an extra quote"),
    ],
)
def test_configuration(seen: Configured | Failure, verdict: Verdict, words: str) -> None:
    finding = only(configuration.assess(seen))
    assert finding.verdict is verdict
    assert words in finding.says


def test_a_file_that_others_can_read_has_a_command_as_remedy() -> None:
    caution = Caution("/x: y contains a password and can be read by others", "chmod 600 /x")
    finding = only(configuration.assess(replace(CONFIGURED, warnings=(caution,))))
    assert (finding.verdict, finding.remedy) == (WARNING, "chmod 600 /x")
    assert finding.says == "/x: y contains a password and can be read by others."


@pytest.mark.parametrize(("uid", "verdict"), [(0, WARNING), (1000, OK)])
def test_a_published_password_is_reported_to_root_alone(
    uid: int, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    settings = Settings(root_warnings=(Caution("everybody can read the password"),))
    assert only(configuration.assess(configuration.inspect(settings))).verdict is verdict


# installation


def _distribution(folder: Path, name: str, **files: str) -> None:
    info = folder / f"{name.replace('-', '_')}-1.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.1\n")
    for file, text in files.items():
        (info / file.replace("__", ".")).write_text(text)


def _program(folder: Path, text: str) -> str:
    folder.mkdir()
    (folder / "maestro").write_text(f"#!/opt/orchestra/bin/python3\n{text}\n")
    (folder / "maestro").chmod(0o755)
    return str(folder)


def test_another_maestro_and_another_orchestra_are_noticed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    ours = "[console_scripts]\nmaestro = orchestra.cli.main:main\n"
    _distribution(site, "orchestra-hpc", entry_points__txt=ours, RECORD="orchestra/x.py,,\n")
    _distribution(site, "numpy", RECORD="numpy/__init__.py,,\n")
    mine = _program(tmp_path / "mine", "from orchestra.cli.main import main")
    theirs = _program(tmp_path / "theirs", "from maestrowf.maestro import main")
    search = (f"{mine}:{theirs}", [str(site)])
    assert list(installation.assess(installation.inspect(*search))) == []
    workflows = "[console_scripts]\nmaestro = maestrowf.maestro:main\n"
    _distribution(site, "maestrowf", entry_points__txt=workflows, RECORD="maestrowf/x.py,,\n")
    _distribution(site, "orchestra", top_level__txt="orchestra\n")
    first, command, package = installation.assess(
        installation.inspect(f"{theirs}:{mine}", [str(site)])
    )
    assert first.says == f"the first `maestro` on your PATH is another program, {theirs}/maestro."
    assert str(first.remedy).endswith(" -m orchestra")
    assert f"maestrowf 1.1 in {site} also installs a command `maestro`" in command.says
    assert f"orchestra 1.1 in {site} also provides a Python package" in package.says
    assert {first.verdict, command.verdict, package.verdict} == {WARNING}


# database

SERVER = ServerFacts("18.4", 0.0004, 0.001, 10, 100, 20_000_000)
BASE = Database(False, "db:5432/orchestra", True, SERVER, Schema(4, 4))


def test_a_healthy_database() -> None:
    assert checks(database.assess(BASE)) == [(OK, "database"), (OK, "schema"), (OK, "clock")]


@pytest.mark.parametrize("exists", [True, False])
def test_an_embedded_database_that_does_not_run_is_no_problem(exists: bool) -> None:
    finding = only(database.assess(Database(True, "~/x", exists)))
    assert finding.verdict is OK
    assert ("stopped" if exists else "none yet") in finding.says


@pytest.mark.parametrize(
    ("changes", "check", "verdict"),
    [
        ({"connections": 95}, "database", WARNING),
        ({"latency": 0.3}, "database", WARNING),
        ({"ahead": -40.0}, "clock", WARNING),
        ({"ahead": 40.0}, "clock", WARNING),
    ],
)
def test_a_server_in_trouble(changes: dict[str, float], check: str, verdict: Verdict) -> None:
    found = list(database.assess(replace(BASE, server=replace(SERVER, **changes))))  # type: ignore[arg-type]
    assert only(f for f in found if f.verdict is not OK).check == check
    assert worst(found) is verdict


@pytest.mark.parametrize(
    ("schema", "embedded", "verdict", "remedy"),
    [
        (Schema(0, 4), False, PROBLEM, "maestro user init"),
        (Schema(0, 4), True, OK, None),
        (Schema(3, 4), False, PROBLEM, "maestro user init"),
        (Schema(3, 4), True, OK, None),
        (Schema(-1, 4, Failure("newer", "Upgrade maestro")), False, PROBLEM, "Upgrade maestro"),
    ],
)
def test_schemas(schema: Schema, embedded: bool, verdict: Verdict, remedy: str | None) -> None:
    found = database.assess(replace(BASE, embedded=embedded, schema=schema))
    finding = only(f for f in found if f.check == "schema")
    assert (finding.verdict, finding.remedy) == (verdict, remedy)


# folders

FOLDER = Folder("/data", True, free=10**12, size=10**13, inodes_free=10**6, inodes=10**7)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "on a local disk, 1 TB free"),
        ({"network": "nfs4"}, OK, "on nfs4"),
        ({"exists": False}, PROBLEM, "does not exist. Is it mounted?"),
        ({"unwritable": "Permission denied"}, PROBLEM, "cannot be written to: permission denied."),
        ({"is_folder": False}, PROBLEM, "a file"),
        ({"free": 5_000_000}, WARNING, "has only 5 MB free"),
        ({"free": 4096}, PROBLEM, "has no space left"),
        ({"inodes_free": 0}, PROBLEM, "has no inodes"),
        ({"inodes_free": 100}, WARNING, "100 of 10,000,000 inodes left"),
        ({"inodes_free": 0, "inodes": 0}, OK, "free"),
    ],
)
def test_volumes(changes: dict[str, object], verdict: Verdict, words: str) -> None:
    finding = only(folders.assess_volume(replace(FOLDER, **changes), others=()))  # type: ignore[arg-type]
    assert finding.verdict is verdict
    assert words in finding.says


def test_a_local_volume_is_of_no_use_to_other_nodes() -> None:
    finding = only(folders.assess_volume(FOLDER, others=("euler",)))
    assert finding.verdict is WARNING
    assert "euler cannot see" in finding.says
    shared = replace(FOLDER, network="nfs4")
    assert only(folders.assess_volume(shared, others=("euler",))).verdict is OK


def test_a_folder_for_local_disks_alone() -> None:
    def assessed(**changes: object) -> Finding:
        seen = replace(FOLDER, **changes)  # type: ignore[arg-type]
        return only(folders.assess_own("data folder", seen, setting="data_dir"))

    assert assessed().verdict is OK
    assert assessed(exists=False).verdict is OK
    assert "which can destroy it" in assessed(network="lustre").says
    assert "belongs to the machine euler" in assessed(belongs_to="euler").says
    assert assessed(exists=False, unwritable="Read-only file system").says == (
        "/data cannot be created: read-only file system."
    )


def test_inspecting_folders(tmp_path: Path) -> None:
    assert folders.inspect(tmp_path).unwritable is None
    assert list(tmp_path.iterdir()) == []
    below = folders.inspect(tmp_path / "a" / "b")
    assert (below.exists, below.is_folder, below.unwritable) == (False, True, None)
    (tmp_path / "file").touch()
    assert not folders.inspect(tmp_path / "file", owned=True).is_folder


# environment

USUAL = Environment(None, None, None, Folder("/dev/shm", True, free=10**9), "gauss.lab", "gauss")


@pytest.mark.parametrize(
    ("seen", "verdict", "check", "says"),
    [
        (
            replace(USUAL, nameless=1234),
            WARNING,
            "account",
            "uid 1234 has no entry in passwd",
        ),
        (replace(USUAL, nameless=1234, no_initdb="It cannot."), PROBLEM, "account", "It cannot."),
        (replace(USUAL, homeless="no home"), WARNING, "home", "no home: /var/tmp is used instead"),
        (
            replace(USUAL, host="a b.lab", node="a_b"),
            WARNING,
            "host name",
            '"a b.lab" cannot be a node\'s name, so this machine is "a_b"',
        ),
    ],
)
def test_an_unusual_environment_is_reported(
    seen: Environment, verdict: Verdict, check: str, says: str
) -> None:
    finding = only(environment.assess(seen))
    assert (finding.verdict, finding.check) == (verdict, check)
    assert says in finding.says
    assert finding.remedy


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exists": False}, "/dev/shm does not exist."),
        ({"unwritable": "Read-only file system"}, "cannot be written to: read-only file system."),
        ({"free": 1_000_000}, "has only 1 MB free."),
    ],
)
def test_shared_memory_that_jobs_cannot_use_is_reported(change: dict[str, Any], says: str) -> None:
    finding = only(
        environment.assess(replace(USUAL, shared_memory=replace(USUAL.shared_memory, **change)))
    )
    assert (finding.verdict, finding.check) == (WARNING, "shared memory")
    assert says in finding.says


def test_a_usual_environment_is_not_reported() -> None:
    assert list(environment.assess(USUAL)) == []
    assert list(environment.assess(replace(USUAL, node="named"))) == []


# pools


def of_pool(
    *, missing: str | None = None, refusal: str | None = None, **changes: object
) -> Finding:
    pool = Pool(
        1, "long", "slurm", "ana", "ana", PoolSpec(), PoolLimits(), NOW, run_by="ana on login1"
    )
    changed = replace(pool, **changes)  # type: ignore[arg-type]
    return only(pools.assess((pools.SeenPool(changed, missing, refusal),), NOW))


def test_pools_that_somebody_runs_and_that_nobody_does() -> None:
    well = of_pool()
    assert well.verdict is OK
    assert well.says == "long is run by ana on login1: 0 running and 0 pending of at most 10"
    assert of_pool(missing="sbatch").verdict is OK, "somebody runs it elsewhere"
    nobody = of_pool(run_by=None)
    assert (nobody.verdict, nobody.remedy) == (WARNING, "maestro pool run long")
    assert "sbatch is not on this machine" in of_pool(run_by=None, missing="sbatch").says


def test_pools_that_get_no_pilots() -> None:
    refused = of_pool(refusal="Slurm refuses this: invalid partition specified: lnog")
    assert refused.verdict is PROBLEM
    assert refused.says == "long: Slurm refuses this: invalid partition specified: lnog."
    paused = of_pool(paused_at=NOW, paused_by="orchestra", pause_reason="InvalidAccount")
    assert paused.verdict is WARNING
    assert 'paused now by orchestra: "InvalidAccount".' in paused.says


# nodes

HERE = ThisMachine("gauss", "gauss.example.org", "1.0", NOW)
NODE = Node(1, "gauss", Slots(8, 8), Slots(2, 2), NOW, online=True, seen_at=NOW, cpu_in_use=3)
PILOT = Pilot(
    "gauss", HERE.host, 4711, "ana", "1.0", True, False, False, NOW, NOW, True, True, 3
)  # fmt: skip
CONTENTS = Contents(CLUSTER, True, None, "gauss", (NODE,), (PILOT,), Summary(0, 0, None, None))


def of_node(
    *, agent_lives: bool | None = True, pilot: Pilot | None = PILOT, **changes: object
) -> list[Finding]:
    changed = replace(NODE, **changes)  # type: ignore[arg-type]
    contents = replace(CONTENTS, nodes=(changed,), pilots=(pilot,) if pilot else ())
    return list(node.assess(contents, HERE, agent_lives=agent_lives))


def test_a_node_at_work() -> None:
    finding = only(of_node())
    assert finding.says == "gauss is online, 3 of 8 CPU slots and 0 of 2 GPU slots in use"


def test_a_machine_that_is_not_a_node() -> None:
    finding = only(node.assess(replace(CONTENTS, nodes=()), HERE, agent_lives=None))
    assert finding.verdict is OK
    assert "maestro up makes it one" in finding.says


def test_a_pilot_that_died_a_moment_ago_is_seen_on_its_own_machine() -> None:
    finding = only(of_node(agent_lives=False))
    assert finding.verdict is PROBLEM
    assert "has no pilot" in finding.says
    assert "holds 3 jobs" in finding.says
    assert finding.remedy == "maestro pilot run -n gauss"
    elsewhere = replace(PILOT, host="euler")
    assert only(of_node(agent_lives=False, pilot=elsewhere)).verdict is OK


def test_nodes_that_take_nothing() -> None:
    assert only(of_node(pilot=None)).verdict is WARNING
    idle = replace(PILOT, jobs=0, online=False)
    assert only(of_node(pilot=idle, online=False)).verdict is WARNING
    drained = of_node(drained_at=NOW, drained_by="bob", drain_reason="new disk")
    assert drained[-1].remedy == "maestro node resume -n gauss"
    closed = of_node(
        open_hours="19:00-07:00",
        opens_at=NOW + timedelta(hours=7),
        utc_offset=0,
        drain_at=NOW,
        drain_at_by="bob",
    )
    assert [each.says for each in closed[1:]] == [
        f"gauss: drains {NOW:%H:%M} by bob",
        f"gauss: closed until {NOW + timedelta(hours=7):%H:%M}",
    ]
    full = of_node(pilot=replace(PILOT, troubles=(troubles.no_room("/x", "disk full"),)))
    assert checks(full) == [(OK, "node"), (WARNING, "pilot")]
    old = of_node(pilot=replace(PILOT, version="0.9"))
    assert "has version 0.9, this program 1.0" in old[-1].says


def test_what_the_conductor_cannot_go_on_with() -> None:
    contents = replace(CONTENTS, stuck=(Stuck(3, "the database is busy"), Stuck("mail", "no")))
    finding = only(node.assess_others(contents, HERE))
    assert (finding.check, finding.verdict) == ("conductor", WARNING)
    assert finding.says == (
        "gauss is the conductor, and cannot continue with task 3: the database is busy and mail: no."
    )


def test_silent_nodes_with_jobs_and_no_conductor() -> None:
    away = replace(
        PILOT, node="euler", host="euler", online=False, seen_at=NOW - timedelta(hours=3)
    )
    contents = replace(CONTENTS, pilots=(PILOT, away), conductor=None)
    silent, headless = node.assess_others(contents, HERE)
    assert silent.says == "euler was last seen 3 h ago and holds 3 jobs."
    assert "maestro node lost -n euler" in (silent.remedy or "")
    assert (headless.check, headless.verdict) == ("conductor", PROBLEM)


@pytest.mark.parametrize(
    ("change", "agent_lives", "says"),
    [
        ({"settling": "since a minute"}, True, "before the database has recovered"),
        ({"pilots": ()}, None, "no pilot runs"),
        ({"pilots": (replace(PILOT, online=False),)}, None, "no pilot runs"),
        ({}, False, "no pilot runs"),  # killed a moment ago, and not yet known to the database
    ],
)
def test_no_conductor_is_expected_without_a_pilot_or_in_a_recovery(
    change: dict[str, Any], agent_lives: bool | None, says: str
) -> None:
    contents = replace(CONTENTS, conductor=None, **change)
    last = list(node.assess_others(contents, HERE, agent_lives=agent_lives))[-1]
    assert (last.check, last.verdict) == ("conductor", OK)
    assert says in last.says


def test_paths_below_the_home_folder_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    said = "files in /home/ana/mail, /home/anabel/x, /srv/home/ana/y: chmod 600 /home/ana/.orchestra.json"
    assert with_tilde(said) == (
        "files in ~/mail, /home/anabel/x, /srv/home/ana/y: chmod 600 ~/.orchestra.json"
    )


HOME = StateInventory("0123abcd", "gauss", Path("/state/0123abcd/gauss"), True, 1, 3, 0, 0)


@pytest.mark.parametrize(
    ("home", "verdict", "words"),
    [
        (HOME, OK, "1 keeper here, with 3 jobs"),
        (replace(HOME, agent=False), WARNING, "run here without a pilot"),
        (replace(HOME, agent=False, keepers=0, unsent=2), PROBLEM, "2 outcomes of node gauss wait"),
        (replace(HOME, unsent=2), OK, "1 keeper"),
        (replace(HOME, keepers=0, running=0, set_aside=1), WARNING, "could not be reported"),
        (replace(HOME, cluster="ffffffff"), WARNING, "for another database (ffffffff...)"),
        (
            replace(HOME, cluster="ffffffff", keepers=0, agent=False, unsent=1),
            WARNING,
            "wait here for another database",
        ),
    ],
)
def test_what_pilots_left(home: StateInventory, verdict: Verdict, words: str) -> None:
    finding = only(node.assess_keepers(CONTENTS, [home]))
    assert finding.verdict is verdict
    assert words in finding.says


def test_a_keeper_that_was_given_up() -> None:
    keeper = Keeper(UUID(CLUSTER), 5, "euler", "1.0", NOW, True, 2)
    contents = replace(CONTENTS, pilots=(replace(PILOT, keepers=(keeper,)),))
    assert "was given up, and its 2 jobs" in only(node.assess_keepers(contents, [])).says


# machine and mail

A100 = Device("GPU-1", "NVIDIA A100", 40960 * 2**20)


@pytest.mark.parametrize(
    ("seen", "enabled", "verdict", "remedy"),
    [
        (Gpus(()), None, OK, None),
        (Gpus((A100, A100), 2), 2, OK, None),
        (Gpus((A100, A100), 2), None, OK, None),
        (Gpus((A100,), 1), 2, WARNING, "maestro node set -n gauss -eg 1"),
        (Gpus((A100,), 1), 0, WARNING, "maestro node set -n gauss -eg 1 -mg 1"),
        (Gpus((), 2, ("There is a driver without a library.",)), 0, WARNING, None),
        (Gpus((), 2, ("The driver does not answer.",)), 2, WARNING, None),
    ],
)
def test_gpus(seen: Gpus, enabled: int | None, verdict: Verdict, remedy: str | None) -> None:
    finding = only(machine.assess_gpus(seen, node="gauss", enabled=enabled))
    assert (finding.verdict, finding.remedy) == (verdict, remedy)


def test_a_gpu_that_has_failed_is_reported_beside_the_others() -> None:
    seen = Gpus((A100, A100), 3, ("GPU 1 cannot be used: GPU is lost.",))
    lost, others = machine.assess_gpus(seen, node="gauss", enabled=2)
    assert (lost.verdict, lost.says) == (WARNING, "GPU 1 cannot be used: GPU is lost.")
    assert (others.verdict, others.says) == (OK, "NVIDIA A100 x 2, 43 GB each")


def test_runtimes() -> None:
    good, bad = Program("apptainer", "1.4.5"), Program("docker", failure="no daemon")
    assert only(machine.assess_runtimes([])).verdict is OK
    assert only(machine.assess_runtimes([good])).says == "apptainer 1.4.5"
    both = only(machine.assess_runtimes([good, bad]))
    assert (both.verdict, both.says) == (
        OK,
        "apptainer 1.4.5; docker cannot be used: no daemon",
    )
    assert only(machine.assess_runtimes([bad])).verdict is WARNING


SERVER_TAKES, REFUSES = "smtp.example.org:587 takes mail", Failure("it refused the login.")


@pytest.mark.parametrize(
    ("seen", "outbox", "expected"),
    [
        (SERVER_TAKES, None, [OK]),
        (SERVER_TAKES, Summary(0, 0, None, None), [OK]),
        (SERVER_TAKES, Summary(2, 0, NOW, None), [OK]),
        (SERVER_TAKES, Summary(2, 0, NOW, "451 later"), [OK, WARNING]),
        (SERVER_TAKES, Summary(0, 1, NOW, "550 no such user"), [OK, WARNING]),
        (REFUSES, None, [PROBLEM]),
        (REFUSES, Summary(2, 0, NOW, None), [PROBLEM]),
    ],
)
def test_mail(seen: str | Failure, outbox: Summary | None, expected: list[Verdict]) -> None:
    assert [finding.verdict for finding in mail.assess(seen, outbox)] == expected


def test_mails_that_wait_are_counted() -> None:
    waiting = Summary(2, 0, NOW, None)
    assert only(mail.assess(REFUSES, waiting)).says == (
        "it refused the login; 2 messages to be sent."
    )
