"""Troubles that pilots report, in rows."""

from __future__ import annotations

from typing import Any

from orchestra.domain import troubles


def with_troubles(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with a pilot's troubles as values, in place of the columns `message` and `troubles`."""
    rest = {name: value for name, value in row.items() if name not in ("message", "troubles")}
    return rest | {"troubles": troubles.of_pilot(row["troubles"], row["message"])}
