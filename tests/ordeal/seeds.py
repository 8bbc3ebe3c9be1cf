"""Ordeals that found something: (seed, seconds of harm, restore), and what. `make ordeal` begins with them."""

from __future__ import annotations

SHORT: dict[tuple[int, float, bool | None], str] = {
    (12, 12.0, False): "nothing; it stands for all kinds of harm",
    (200, 12.0, True): "nothing; it stands for an old database that comes back",
}
"""Those that `make test` goes through, too."""

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
}
