"""Which variables of an environment may be secret: what this program is configured with, and what libpq reads."""

from __future__ import annotations

import re
from collections.abc import Mapping

VARIABLES = r"MAESTRO_.*|PG(?!I(_.*)?$).*"
"""PGI is a compiler's."""
_NAMES = re.compile(VARIABLES, re.DOTALL)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Give an environment for a program that this one starts, whose own others on the machine may read."""
    return {name: value for name, value in environ.items() if not _NAMES.fullmatch(name)}
