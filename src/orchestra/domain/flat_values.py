"""Nested values as one level of dotted names: `{"a": {"b": 1}}` is `{"a.b": 1}`. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

VALUES_AT_MOST = 10_000
"""Values of one file in a table."""
NAME_AT_MOST = 500
"""Letters of a value's name, which is that of all it stands in, each time anew."""

_AS_THEY_ARE = frozenset({str, int, float, bool, list})


def flatten(found: Mapping[Any, Any]) -> dict[str, Any]:
    """Give nested mappings as one level: `{"a": {"b": 1}}` is `{"a.b": 1}`. A list stays one value.

    Raises:
        ValueError: there are more than 10,000 values, a name is too long, or two of them would have one name.
    """
    flat: dict[str, Any] = {}
    _flatten(found, "", flat)
    return flat


def _flatten(found: Mapping[Any, Any], before: str, flat: dict[str, Any]) -> None:
    for key, value in found.items():
        name = f"{before}{_as_name(key)}"
        if len(name) > NAME_AT_MOST:
            raise ValueError(f"has a name of more than {NAME_AT_MOST} letters")
        if isinstance(value, Mapping):
            _flatten(value, f"{name}.", flat)
        elif name in flat:
            raise ValueError(f'gives "{name}" twice')
        else:
            flat[name] = _plain(value)
        if len(flat) > VALUES_AT_MOST:
            raise ValueError(f"has more than {VALUES_AT_MOST:,} values")


def _as_name(key: Any) -> str:
    """YAML knows names that are no text; these are written as it and JSON have them."""
    return "null" if key is None else str(key).lower() if isinstance(key, bool) else str(key)


def _plain(value: Any) -> Any:
    """YAML and TOML know times and more; here they are text."""
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, set):  # whose order is another one in each process
        return sorted(map(str, value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def as_text(value: Any) -> str:
    """Give a value as text: nothing for none, a list as JSON."""
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_finite(value: Any) -> bool:
    """Whether it is a number that can be best or drawn: no truth value, NaN or infinity, nor too large for a float."""
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False
