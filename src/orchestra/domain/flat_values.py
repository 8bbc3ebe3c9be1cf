"""Nested values as one level of dotted names: `{"a": {"b": 1}}` is `{"a.b": 1}`. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

VALUES_AT_MOST = 10_000
"""Values of one file."""
NAME_AT_MOST = 500
"""Characters of a dotted name."""

_AS_THEY_ARE = frozenset({str, int, float, bool, list})


def flatten(found: Mapping[Any, Any]) -> dict[str, Any]:
    """Flatten nested mappings: `{"a": {"b": 1}}` to `{"a.b": 1}`. A list is one value.

    Raises:
        ValueError: there are more than 10,000 values, a name is too long, or two values would have the same name.
    """
    flat: dict[str, Any] = {}
    _flatten(found, "", flat)
    return flat


def _flatten(found: Mapping[Any, Any], before: str, flat: dict[str, Any]) -> None:
    for key, value in found.items():
        name = f"{before}{_as_name(key)}"
        if len(name) > NAME_AT_MOST:
            raise ValueError(f"has a name of more than {NAME_AT_MOST} characters")
        if isinstance(value, Mapping):
            _flatten(value, f"{name}.", flat)
        elif name in flat:
            raise ValueError(f'contains "{name}" twice')
        else:
            flat[name] = _plain(value)
        if len(flat) > VALUES_AT_MOST:
            raise ValueError(f"has more than {VALUES_AT_MOST:,} values")


def _as_name(key: Any) -> str:
    """Write YAML keys that are not text as JSON does."""
    return "null" if key is None else str(key).lower() if isinstance(key, bool) else str(key)


def _plain(value: Any) -> Any:
    """Convert dates and other types of YAML and TOML to text."""
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, set):  # its order varies between processes
        return sorted(map(str, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def as_text(value: Any) -> str:
    """Format a value as text: None as an empty text, a list as JSON."""
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_finite(value: Any) -> bool:
    """Whether a value is a number to compare or plot: not a boolean, finite, and not too large for a float."""
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False
