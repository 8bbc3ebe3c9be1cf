"""Values as the JSON that people and programs read: indented, times in UTC, without NaN. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def to_json(value: object) -> str:
    """Return JSON: times in UTC (ISO 8601), text unescaped."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def finite(value: Any) -> Any:
    """Return a value for JSON, which has neither NaN nor infinity: they become null."""
    if isinstance(value, list):
        return [finite(each) for each in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)
