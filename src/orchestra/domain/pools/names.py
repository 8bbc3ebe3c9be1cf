"""The names of pools and of the nodes of their pilots. Pure."""

from __future__ import annotations

import re

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line

LONGEST = 40
"""Characters of a pool's name: it is the beginning of its nodes' names."""
_POOL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def check_pool_name(text: str) -> str:
    """Return the name of a pool.

    Raises:
        BadInput: it cannot be one.
    """
    if not _POOL.fullmatch(text) or len(text) > LONGEST:
        raise BadInput(
            f'"{one_line(text)}" cannot be the name of a pool.',
            hint=f"Use at most {LONGEST} letters a-z and A-Z, digits, '.', '_' and '-', a letter or digit first.",
        )
    return text


def node_name(pool: str, engine_id: str, restart: int, host: str) -> str:
    """Return the name of a pilot's node: POOL-JOBID-HOST, or POOL-JOBID-RESTART-HOST. It is never used again."""
    short = host.split(".")[0]
    again = f"-{restart}" if restart else ""
    return f"{pool}-{engine_id}{again}-{short}"
