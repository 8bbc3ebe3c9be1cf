"""What a duty acts by."""

from __future__ import annotations

from collections.abc import Callable

Transact = Callable[[Callable[[], bool]], bool]
"""Runs one step in a transaction that has checked the conductor's term."""
