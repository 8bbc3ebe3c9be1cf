"""Ordeals that have found bugs: (seed, seconds with faults, restore), and which. `make ordeal` starts with them."""

from __future__ import annotations

SHORT: dict[tuple[int, float, bool | None], str] = {
    (12, 8.0, False): "none; all kinds of faults",
    (200, 8.0, True): "none; an old database is restored",
}
"""Those that `make test` runs as well."""

MISHAPS = 4.0
"""Faults of the network per second."""

UNRELIABLE_NETWORK = (77, 10.0)
"""The seed and the seconds of an unreliable network that `make test` runs as well."""

POOLS = (1,)
"""Seeds of ordeals of a pool on a real Slurm that `make test` runs."""

KEPT: dict[tuple[int, float, bool | None], str] = {
    **SHORT,
    (
        201,
        40.0,
        True,
    ): "an older state of the database waited for a keeper that was closed out",
    (
        202,
        40.0,
        True,
    ): "a renewal was repeated forever with the epoch of a replaced database",
    (
        300,
        40.0,
        None,
    ): "attempts and command of a lost task were considered those of the task that got its id",
    (
        305,
        40.0,
        None,
    ): "a test job was claimed between the decision that its task breaks and the breaking",
    (
        307,
        40.0,
        None,
    ): "an agent that started first and decided last had lower claim numbers, and got no jobs",
    (310, 40.0, None): "a job was done by the outcome of a lost task's job with the same id",
    (1011, 40.0, None): "a retry returned a test job to the test without an event",
}
