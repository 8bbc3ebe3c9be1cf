"""Writing configs as JSON or YAML that all parsers read alike.

JSON is also read by YAML parsers; PyYAML follows YAML 1.1, ruamel.yaml YAML 1.2. Both formats are written so that each
parser reads back the same values of the same types.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from orchestra.domain import documents
from orchestra.domain.sweep_files import value_text

# 1e-05 is a number in JSON and a string in YAML 1.1, 1.0e-05 is a number in both.
_STRING_OR_SHORT_FLOAT = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\d.])(-?\d+)(?=e)')
# YAML reads some of these as line breaks, and refuses the others.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
# Strings that no version of YAML reads as another type.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_/-]*(?:[. ][A-Za-z0-9_/-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "inf", "nan"})
_LONGEST_PLAIN = 80


def as_json(config: dict[str, Any]) -> str:
    """Format a config as one line of JSON."""
    return _json(config, allow_nan=False) + "\n"


def in_template(ending: str) -> Callable[[Any], str]:
    """Return a function that formats values for a template, so that parsers read numbers as numbers."""

    def write(value: Any) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            return (
                f"{value}".replace("inf", ".inf").replace("nan", ".nan") if is_yaml else f"{value}"
            )
        return _json(value) if isinstance(value, float | list) else value_text(value)

    is_yaml = ending in (".yaml", ".yml")
    return write if ending in documents.SUFFIXES else value_text


def as_yaml(config: dict[str, Any]) -> str:
    """Format a config as YAML, in the order of its values."""
    import yaml

    text: str = yaml.dump(
        config, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text


def _json(value: Any, *, allow_nan: bool = True) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=allow_nan)
    if "e" in text:
        text = _STRING_OR_SHORT_FLOAT.sub(lambda m: f"{m[1]}.0" if m[1] else m[0], text)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


@cache
def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        def ignore_aliases(self, _data: object) -> bool:
            return True

    def represent(dumper: Any, text: str) -> Any:
        plain = (
            len(text) <= _LONGEST_PLAIN
            and _PLAIN.fullmatch(text) is not None
            and text.lower() not in _WORDS
        )
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')

    Dumper.add_representer(str, represent)
    return Dumper
