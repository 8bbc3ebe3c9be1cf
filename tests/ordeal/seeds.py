"""Ordeals that found something: (seed, seconds of harm, restore), and what. `make ordeal` begins with them."""

from __future__ import annotations

SHORT: dict[tuple[int, float, bool | None], str] = {
    (12, 8.0, False): "nothing; it stands for all kinds of harm",
    (200, 8.0, True): "nothing; it stands for an old database that comes back",
}
"""Those that `make test` goes through, too."""

MISHAPS = 4.0
"""A second, of a network that lies."""

LIES = (77, 10.0)
"""The seed and the seconds of harm of the network that `make test` goes through, too."""

KEPT: dict[tuple[int, float, bool | None], str] = {
    **SHORT,
    (
        201,
        40.0,
        True,
    ): "an older edition of the database waited for a keeper that was dead and buried",
    (
        202,
        40.0,
        True,
    ): "a renewal that was repeated with the epoch of a database that was gone, for ever",
    (
        300,
        40.0,
        None,
    ): "a forgotten task's attempts and command passed for those of the task that got its number",
    (
        305,
        40.0,
        None,
    ): "a test job was claimed between the decision that its task breaks and the breaking",
    (
        307,
        40.0,
        None,
    ): "an agent that began first and decided last had claims numbered below the other's, and got none",
    (310, 40.0, None): "a job was done by the outcome of a forgotten task's job of the same number",
    (1011, 40.0, None): "a retry let a test job into the test again without an event",
}
