"""Environment variables that may be secret: Orchestra's configuration and libpq's."""

from __future__ import annotations

import re
from collections.abc import Mapping

VARIABLES = r"MAESTRO_.*|PG(?!I(_.*)?$).*"
"""PGI belongs to a compiler."""
_NAMES = re.compile(VARIABLES, re.DOTALL)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without secrets, for child processes whose environment others may read."""
    return {name: value for name, value in environ.items() if not _NAMES.fullmatch(name)}
