"""`maestro user`: the people."""

from __future__ import annotations

from orchestra.cli.registry import Verb

VERBS: tuple[Verb, ...] = ()
