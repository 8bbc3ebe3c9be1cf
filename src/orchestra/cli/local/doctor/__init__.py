"""`maestro doctor`: check everything that this machine can see, and say what would fix a problem.

One module per group of checks: `inspect` does the I/O, with a timeout, and returns values; `assess` is pure and turns
them into findings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.colour import paint_as
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
from orchestra.cli.local.doctor.database import Database
from orchestra.cli.local.doctor.environment import Environment
from orchestra.cli.local.doctor.finding import (
    Failure,
    Finding,
    Verdict,
    failed,
    failure_of,
    warning,
    worst,
)
from orchestra.cli.local.doctor.folders import Folder
from orchestra.cli.local.doctor.installation import Installation
from orchestra.cli.local.doctor.machine import Gpus, Program, Root
from orchestra.cli.local.doctor.node import ThisMachine
from orchestra.cli.local.doctor.pools import SeenPool
from orchestra.cli.local.doctor.probe import Probe
from orchestra.cli.output import Record, folded, with_tilde
from orchestra.cli.registry import Verb
from orchestra.domain.errors import OrchestraError

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.config import Settings
    from orchestra.domain.models.pools import Pool
    from orchestra.domain.state_inventory import StateInventory

TIMEOUT = 10.0
"""Seconds for each probe; all begin at the same time."""
_INDENT = 25
_COLOURS = {Verdict.OK: "32", Verdict.WARNING: "33", Verdict.PROBLEM: "31"}


@dataclass(frozen=True, slots=True)
class Observations:
    """What was observed; a `Failure` where that was not possible."""

    configured: Configured
    here: ThisMachine
    database: Database | Failure
    data_folder: Folder | Failure | None
    pilots_folder: Folder | Failure
    volume: Folder | Failure
    state_inventories: list[StateInventory] | Failure
    runtimes: tuple[Program, ...] | Failure
    gpus: Gpus | Failure
    mail: str | Failure
    root: Root | None = None
    environment: Environment | Failure | None = None
    installation: Installation | Failure | None = None
    pools: tuple[SeenPool, ...] | Failure = ()


def inspect(settings: Settings, *, timeout: float = TIMEOUT) -> Observations:
    """Inspect everything at the same time, in at most `timeout` seconds."""
    from orchestra.wiring.database import uses_server
    from orchestra.wiring.folders import data_folder, pilots_folder
    from orchestra.wiring.identity import node_name
    from orchestra.wiring.pilot import state_inventories

    pilots = pilots_folder(settings)
    volume = settings.volume or _current_folder()

    def begin_folder(what: str, folder: Path, *, owned: bool = False) -> Probe[Folder]:
        begun = f"{what} {configuration.short(folder)}"
        return Probe(begun, lambda: folders.inspect(folder, owned=owned), timeout=timeout)

    base = Probe("The database", lambda: database.inspect(settings), timeout=timeout)
    own = (
        None
        if uses_server(settings) or settings.server is not None
        else begin_folder("The data folder", data_folder(settings), owned=True)
    )
    state = begin_folder("The pilots' folder", pilots)
    shared = begin_folder("The volume", volume)
    left = Probe("The pilots' folder", lambda: state_inventories(settings), timeout=timeout)
    programs = Probe(
        "A container runtime", lambda: machine.find_runtimes(settings), timeout=timeout
    )
    gpus = Probe("NVIDIA's driver", machine.find_gpus, timeout=timeout)
    around = Probe("The environment", lambda: environment.inspect(settings), timeout=timeout)
    programs_called = Probe("The installation", installation.inspect, timeout=timeout)
    post = Probe("The mail server", lambda: mail.inspect(settings), timeout=timeout)
    found = base.result()
    engines = Probe(
        "A pool's engine", lambda: pools.inspect(settings, _pools(found)), timeout=timeout
    )
    return Observations(
        configured=configuration.inspect(settings),
        here=node.inspect(node_name(settings)),
        database=found,
        data_folder=own.result() if own else None,
        pilots_folder=state.result(),
        volume=shared.result(),
        state_inventories=left.result(),
        runtimes=programs.result(),
        gpus=gpus.result(),
        mail=post.result(),
        root=machine.find_root(settings),
        environment=around.result(),
        installation=programs_called.result(),
        pools=engines.result(),
    )


def _pools(seen: Database | Failure) -> tuple[Pool, ...]:
    contents = None if isinstance(seen, Failure) else seen.contents
    return contents.pools if contents else ()


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed
        return Path(os.environ.get("PWD", "/"))


def assess(seen: Observations) -> Iterator[Finding]:
    """Turn the observations into findings, in the order in which they are printed."""
    yield from configuration.assess(seen.configured)
    if seen.installation:
        yield from installation.assess(seen.installation)
    yield from machine.assess_root(seen.root)
    if seen.environment:
        yield from environment.assess(seen.environment)
    yield from database.assess(seen.database)
    if seen.data_folder is not None:
        yield from folders.assess_own("data folder", seen.data_folder, setting="data_dir")
    yield from folders.assess_own("pilots' folder", seen.pilots_folder, setting="state_dir")
    contents = None if isinstance(seen.database, Failure) else seen.database.contents
    mine = node.this_node(contents, seen.here) if contents else None
    pilots = contents.pilots if contents else ()
    others = [p.node for p in pilots if contents and not node.is_here(contents, seen.here, p)]
    yield from folders.assess_volume(seen.volume, others=tuple(others))
    if contents:
        agent_lives = _agent_lives(seen, mine.name if mine else None)
        yield from node.assess(contents, seen.here, agent_lives=agent_lives)
        yield from node.assess_keepers(contents, seen.state_inventories)
        yield from node.assess_others(contents, seen.here, agent_lives=agent_lives)
    yield from pools.assess(seen.pools, datetime.now(UTC))
    yield from machine.assess_runtimes(seen.runtimes)
    yield from machine.assess_gpus(
        seen.gpus,
        node=mine.name if mine else seen.here.name,
        enabled=mine.gpu.enabled if mine else None,
    )
    yield from mail.assess(seen.mail, contents.outbox if contents else None)


def _agent_lives(seen: Observations, name: str | None) -> bool | None:
    """Whether the pilot of a node of this database is alive here; None if this account cannot see that."""
    if isinstance(seen.state_inventories, Failure) or isinstance(seen.database, Failure):
        return None
    contents = seen.database.contents
    if contents is None:
        return None
    return next(
        (
            one.agent
            for one in seen.state_inventories
            if one.node == name and contents.cluster.startswith(one.cluster)
        ),
        None,
    )


def _run(ctx: Context) -> int:
    findings = list(_findings(ctx))
    if ctx.out.for_people:
        for finding in findings:
            _print(ctx, finding)
        _print_summary(ctx, findings)
    else:
        bad = [finding for finding in findings if finding.verdict is not Verdict.OK]
        ctx.out.items(
            bad if ctx.out.quiet else findings,
            (),
            record=_record,
            key=lambda finding: finding.check,
            empty="",
        )
    return 1 if worst(findings) is Verdict.PROBLEM else 0


def _findings(ctx: Context) -> Iterator[Finding]:
    from orchestra.wiring.settings import load_settings

    try:
        settings = load_settings(ctx.args.configuration)
    except OrchestraError as error:
        yield failed(configuration.CHECK, failure_of(error))
        yield warning("other checks", "are not made before the configuration can be read.")
        return
    with ctx.out.progress("checking"):
        seen = inspect(settings)
    yield from assess(seen)


def _print(ctx: Context, finding: Finding) -> None:
    word = f"{finding.verdict.value:<7}"
    first, *others = folded(with_tilde(finding.says), indent=_INDENT)
    ctx.out.say(f"{paint_as(_COLOURS[finding.verdict], word)}  {finding.check:<14}  {first}")
    for line in (*others, *with_tilde(finding.remedy or "").splitlines()):
        ctx.out.say(f"{'':<{_INDENT}}{line}")


def _print_summary(ctx: Context, findings: list[Finding]) -> None:
    verdicts = [finding.verdict for finding in findings]
    problems, warnings = verdicts.count(Verdict.PROBLEM), verdicts.count(Verdict.WARNING)
    if problems or warnings:
        from orchestra.domain import human

        counts = [human.count(problems, "problem")] if problems else []
        counts += [human.count(warnings, "warning")] if warnings else []
        ctx.out.note("", f"{human.listed(counts)}; the line below each says what to do.")
        return
    nothing_yet = not any(finding.check == "schema" for finding in findings)
    ctx.out.note(
        "", "All checks passed. To begin: maestro up" if nothing_yet else "All checks passed."
    )


def _record(finding: Finding) -> Record:
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "says": finding.says,
        "remedy": finding.remedy,
    }


VERBS = (
    Verb(
        "doctor",
        "check that everything works, and say what to do if not",
        _run,
        example="maestro doctor\nmaestro doctor -o json",
        output=True,
        description="Check the configuration, the installation, the database, its schema and clock, the folders, this "
        "machine as a node, its pilot and keepers, the pools of your account, container runtimes, GPUs and mail. For "
        "each, say what is wrong and what to do. Nothing is started or changed. The exit status is 1 if there is a "
        "problem, else 0; warnings do not count. -q prints the names of the checks that did not pass.",
    ),
)
