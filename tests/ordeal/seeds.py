"""Ordeals that every run of the tests goes through again: (seed, seconds of harm, restore), and what they found."""

from __future__ import annotations

KEPT: dict[tuple[int, float, bool], str] = {
    (12, 12.0, False): "nothing; it stands for all kinds of harm",
}
