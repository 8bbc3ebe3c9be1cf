"""The composition root: the only package that may import every other one. One module per subject.

Import the functions that you need where you need them: each module imports its parts at first use, so that a command
loads nothing that it does not call.
"""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Receives one line about something that was done on the way, such as "made user ana"."""


def say_nothing(_line: str) -> None:
    """Ignore the line."""
