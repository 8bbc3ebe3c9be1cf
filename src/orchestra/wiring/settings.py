"""The configuration as commands and clients use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.config import Settings


def load_settings(path: str | None = None, given: Mapping[str, object] | None = None) -> Settings:
    """Read the configuration (`config.load`), and choose the PostgreSQL programs that it names.

    Where it names the database that this machine shares, the embedded database is used directly.

    Raises:
        ConfigurationError: it cannot be used.
    """
    from orchestra.config import load
    from orchestra.wiring.database import use_programs
    from orchestra.wiring.sharing import without_own_share

    settings = load(path, given=given)
    use_programs(settings)
    return without_own_share(settings)
