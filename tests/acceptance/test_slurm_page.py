"""The commands of docs/slurm.md, typed on a real Slurm, with fewer jobs."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from support import pages
from support.maestro import Maestro
from support.slurm import Slurm

PAGE = Path(__file__).parents[2] / "docs" / "slurm.md"
OTHERWISE = (
    ("seq 0 159", "seq 0 59"),
    ("--min-work 30s", "--min-work 5s"),
    (">pool.log 2>&1 &", ">pool.log 2>&1 & echo $! >run.pid"),
)


def page() -> list[pages.Block]:
    """The blocks of the page, for less work, and with the pid of the process that runs the pool."""
    text = PAGE.read_text(encoding="utf-8")
    for there, here in OTHERWISE:
        assert there in text
        text = text.replace(there, here)
    return pages.blocks(text)


def typed(reader: Maestro) -> dict[str, tuple[str, str]]:
    """Type the page; return what each last command of a line prints, and what the page shows."""
    told = {}
    for block in page():
        if block.hidden:
            pages.typed(reader, block.text)
        elif block.is_run:
            for command, shown in pages.commands(block):
                status, printed = pages.typed(reader, command)
                assert status == 0, f"$ {command}\n{printed}"
                told[command.split(";")[-1].strip()] = printed, shown
    return told


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_pilots_come_and_leave_as_the_page_says(
    reader: Maestro, slurm: Slurm, tcp_database_url: str
) -> None:
    reader.env |= {**slurm.env, "MAESTRO_POSTGRES": tcp_database_url}
    reader.line("user create -n ana -e ana@gauss")
    try:
        told = typed(reader)
    finally:
        os.kill(int((reader.folder / "run.pid").read_text()), signal.SIGINT)

    for command in ("squeue", "maestro pool delete cpu"):
        printed, shown = told[command]
        assert pages.exact(printed) == pages.exact(shown)
    created, _ = next(
        told[command] for command in told if command.startswith("maestro pool create")
    )
    assert "pool cpu: 4 CPUs; at most 4 pilots" in created
    assert "60 of 60 jobs done" in told["maestro task wait 0"][0]
    queue, _ = next(told[command] for command in told if command.startswith("squeue -o"))
    assert len(re.findall(r"^\d+ orchestra-\w+ RUNNING n\d$", queue, re.MULTILINE)) == 4
    assert len(re.findall(r"\d, ended, .*ran for", told["maestro pool show cpu"][0])) == 4
    assert slurm.live() == []
