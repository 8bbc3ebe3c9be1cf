"""The versions of the program and of what it exchanges with others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Versions:
    """The program's version, and the numbers of the schema that it needs and of the keeper protocol that it speaks."""

    program: str
    schema: int
    keeper_protocol: int


def versions() -> Versions:
    """Return the versions of this program."""
    from orchestra import __version__
    from orchestra.pilot import keeper
    from orchestra.store.schema import migrations

    return Versions(__version__, migrations.newest(), keeper.PROTOCOL)
