"""The pages on labs, followed from start to end on three machines: namespaces with host names, networks and ids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import machines, pages
from support.machines import Machine
from support.maestro import Maestro
from support.ordinary import Ordinary
from support.server import Server

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.needs("root", "network namespaces"),
]


class Visitor(Maestro):
    """Ana, an ordinary user, at a terminal of gauss."""

    def environment(self) -> dict[str, str]:
        return self.env


@pytest.fixture
def lab(ordinary: Ordinary) -> Iterator[list[Machine]]:
    with machines.lab(ordinary, "gauss", "noether", "kant") as found:
        yield found


@pytest.fixture
def ana(ordinary: Ordinary, lab: list[Machine]) -> Visitor:
    _, gauss, *_ = lab
    interpreter = ordinary.interpreter()
    assert interpreter
    return Visitor(
        ordinary.home, ordinary.home, machines.environment(interpreter), within=gauss.command()
    )


def follow(ana: Visitor, name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    assert pages.follow(ana, pages.blocks(page)) > 10
    assert ana.env["HOME"] not in page


def test_a_lab_with_postgresql(
    ana: Visitor, lab: list[Machine], database_server: Server, empty_database_url: str
) -> None:
    socket, server = database_server.reached_at(empty_database_url, machines.SERVER_NAME)
    with machines.database_at(lab[0], socket):
        ana.env["SERVER"] = server
        follow(ana, "lab-with-postgresql.md")


def test_a_lab_without_root(ana: Visitor) -> None:
    follow(ana, "lab-without-root.md")
