"""`maestro doctor`: is everything well, and if not, what would help.

Looks give values (they do I/O, each with a time-out), verdicts are functions from values; one module a group of checks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.colour import paint_as
from orchestra.cli.local.doctor import (
    configuration,
    database,
    folders,
    installation,
    machine,
    mail,
    node,
    surroundings,
)
from orchestra.cli.local.doctor.configuration import Configured
from orchestra.cli.local.doctor.database import Database
from orchestra.cli.local.doctor.finding import (
    Finding,
    Trouble,
    Verdict,
    of_trouble,
    trouble_of,
    warning,
    worst,
)
from orchestra.cli.local.doctor.folders import Place
from orchestra.cli.local.doctor.installation import Installation
from orchestra.cli.local.doctor.machine import Gpus, Program, Root
from orchestra.cli.local.doctor.node import Here
from orchestra.cli.local.doctor.patience import Look
from orchestra.cli.local.doctor.surroundings import Surroundings
from orchestra.cli.output import Record, folded, with_tilde
from orchestra.cli.registry import Verb
from orchestra.domain.errors import OrchestraError

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.config import Settings
    from orchestra.domain.state_inventory import StateInventory

PATIENCE = 10.0
"""Seconds for every look; all begin at the same time."""
_INDENT = 25
_COLOURS = {Verdict.OK: "32", Verdict.WARNING: "33", Verdict.PROBLEM: "31"}


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was looked at."""

    configured: Configured
    here: Here
    database: Database | Trouble
    data_folder: Place | Trouble | None
    pilots_folder: Place | Trouble
    volume: Place | Trouble
    state_inventories: list[StateInventory] | Trouble
    runtimes: tuple[Program, ...] | Trouble
    gpus: Gpus | Trouble
    mail: str | Trouble
    root: Root | None = None
    surroundings: Surroundings | Trouble | None = None
    installation: Installation | Trouble | None = None


def look(settings: Settings, *, patience: float = PATIENCE) -> Seen:
    """Look at everything, at the same time; takes no longer than `patience`, in seconds."""
    from orchestra.wiring.database import uses_server
    from orchestra.wiring.folders import data_folder, pilots_folder
    from orchestra.wiring.identity import node_name
    from orchestra.wiring.pilot import state_inventories

    pilots = pilots_folder(settings)
    volume = settings.volume or _current_folder()

    def begin_place(what: str, folder: Path, *, owned: bool = False) -> Look[Place]:
        begun = f"{what} {configuration.short(folder)}"
        return Look(begun, lambda: folders.look(folder, owned=owned), patience=patience)

    base = Look("The database", lambda: database.look(settings), patience=patience)
    own = (
        None
        if uses_server(settings)
        else begin_place("The data folder", data_folder(settings), owned=True)
    )
    state = begin_place("The pilots' folder", pilots)
    shared = begin_place("The volume", volume)
    left = Look("The pilots' folder", lambda: state_inventories(settings), patience=patience)
    programs = Look(
        "A container runtime", lambda: machine.look_for_runtimes(settings), patience=patience
    )
    gpus = Look("nvidia-smi", machine.look_for_gpus, patience=patience)
    around = Look("The surroundings", lambda: surroundings.look(settings), patience=patience)
    programs_called = Look("The installation", installation.look, patience=patience)
    post = Look("The mail server", lambda: mail.look(settings), patience=patience)
    return Seen(
        configured=configuration.look(settings),
        here=node.look(node_name(settings)),
        database=base.result(),
        data_folder=own.result() if own else None,
        pilots_folder=state.result(),
        volume=shared.result(),
        state_inventories=left.result(),
        runtimes=programs.result(),
        gpus=gpus.result(),
        mail=post.result(),
        root=machine.look_for_root(settings),
        surroundings=around.result(),
        installation=programs_called.result(),
    )


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was removed under us
        return Path(os.environ.get("PWD", "/"))


def judge(seen: Seen) -> Iterator[Finding]:
    """Say how everything is."""
    yield from configuration.judge(seen.configured)
    if seen.installation:
        yield from installation.judge(seen.installation)
    yield from machine.judge_root(seen.root)
    if seen.surroundings:
        yield from surroundings.judge(seen.surroundings)
    yield from database.judge(seen.database)
    if seen.data_folder is not None:
        yield from folders.judge_own("data folder", seen.data_folder, setting="data_dir")
    yield from folders.judge_own("pilots' folder", seen.pilots_folder, setting="state_dir")
    contents = None if isinstance(seen.database, Trouble) else seen.database.contents
    mine = node.this_node(contents, seen.here) if contents else None
    pilots = contents.pilots if contents else ()
    others = [p.node for p in pilots if contents and not node.is_here(contents, seen.here, p)]
    yield from folders.judge_volume(seen.volume, others=tuple(others))
    if contents:
        agent_lives = _agent_lives(seen, mine.name if mine else None)
        yield from node.judge(contents, seen.here, agent_lives=agent_lives)
        yield from node.judge_keepers(contents, seen.state_inventories)
        yield from node.judge_others(contents, seen.here, agent_lives=agent_lives)
    yield from machine.judge_runtimes(seen.runtimes)
    yield from machine.judge_gpus(
        seen.gpus,
        node=mine.name if mine else seen.here.name,
        enabled=mine.gpu.enabled if mine else None,
    )
    yield from mail.judge(seen.mail, contents.outbox if contents else None)


def _agent_lives(seen: Seen, name: str | None) -> bool | None:
    """Say whether the pilot of a node of this database lives here; None where this account cannot see it."""
    if isinstance(seen.state_inventories, Trouble) or isinstance(seen.database, Trouble):
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
    from orchestra.config import load
    from orchestra.wiring.database import use_programs

    try:
        settings = load(ctx.args.configuration)
    except OrchestraError as error:
        yield of_trouble(configuration.CHECK, trouble_of(error))
        yield warning("the rest", "is not looked at before the configuration can be read.")
        return
    use_programs(settings)
    with ctx.out.progress("looking"):
        seen = look(settings)
    yield from judge(seen)


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
        ctx.out.note("", f"{human.listed(counts)}; what helps stands below each.")
        return
    nothing_yet = not any(finding.check == "schema" for finding in findings)
    ctx.out.note("", "All is well. To begin: maestro up" if nothing_yet else "All is well.")


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
        "look whether everything is well, and say what would help",
        _run,
        example="maestro doctor\nmaestro doctor -o json",
        output=True,
        description="Look at the configuration, the database, its schema and clock, the folders, this machine as a "
        "node, its pilot and keepers, container runtimes, GPUs and mail, and say for each what is wrong and what "
        "would help. Nothing is started or changed. Exit status: 0, 1 where there is a problem (a warning is none). -q "
        "prints the names of the checks that are not well.",
    ),
)
