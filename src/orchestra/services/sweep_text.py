"""Reading a sweep's file: what stands there must mean one thing only, or it is refused.

JSON and TOML are read as they are, YAML by the rules of YAML 1.2, which most people expect. What YAML 1.1 reads
differently, as PyYAML does (010 is 8, 1_000 is 1000, yes is true), is refused where it is a value. A name is the text
that was typed, whatever it looks like. A name that is given twice is refused in every format.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from orchestra.domain.documents import BOUNDS, Unusable, json_text, toml_text, yaml_text

_TAG = "tag:yaml.org,2002:"
# Which implicit tag a plain scalar has; the first pattern that matches counts.
_IN_DOUBT = "|".join(
    (
        r"(?i:yes|no|on|off)",
        r"[-+]?0[0-9_]+|[-+]?0o[0-7]+|[-+]?0b[01_]+|[-+]0x[0-9a-fA-F]+",
        r"[-+]?0x[0-9a-fA-F]*_[0-9a-fA-F_]*",
        r"[-+]?(?=[0-9._]*_)[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?",
    )
)
_RESOLVERS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "merge": r"<<",
    "int": r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+",
    "in-doubt": _IN_DOUBT,
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}


def parse(name: str, content: bytes) -> Any:
    """Return the values of a sweep's file: by its ending JSON or TOML, else YAML.

    Raises:
        Unusable: it cannot be read, or something in it has more than one meaning; says which and where.
    """
    try:
        text = content.decode("utf-8-sig")
        if name.lower().endswith(".json"):
            json_text.check(text, BOUNDS)
            return json.loads(text, object_pairs_hook=_once, parse_float=_finite)
        if name.lower().endswith(".toml"):
            import tomllib

            toml_text.check(text, BOUNDS)
            return tomllib.loads(text, parse_float=_finite)
        return _yaml(text)
    except UnicodeDecodeError:
        raise Unusable("is no UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Unusable(f"is no valid JSON (line {error.lineno}, column {error.colno})") from None
    except ValueError as error:  # TOML, and integers of too many digits
        raise Unusable(f"cannot be read ({error})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unusable(f'gives "{twice}" twice')
    return made


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value) and "inf" not in text.lower():
        raise Unusable(f"holds {text[:40]}, which is too large for a number")
    return value


# YAML


@cache
def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012 - PyYAML's own name for it

    for tag, pattern in _RESOLVERS.items():
        Loader.add_implicit_resolver(_TAG + tag, re.compile(f"(?:{pattern})\\Z"), [None])
    return Loader


def _yaml(text: str) -> Any:
    import yaml

    try:
        yaml_text.check(text, BOUNDS)
        return _value(yaml.compose(text, Loader=_loader()))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise Unusable(f"is no valid YAML{where}") from None


def _value(node: Any) -> Any:
    """Return the value of a node."""
    if node is None:
        return None
    if node.id == "scalar":
        return _scalar(node)
    if node.tag not in (_TAG + "map", _TAG + "seq"):
        raise _unknown_tag(node)
    return list(map(_value, node.value)) if node.id == "sequence" else _mapping(node)


def _mapping(node: Any) -> dict[str, Any]:
    own: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == _TAG + "merge":
            merged = {**_merged(value), **merged}
            continue
        name = _name(key)
        if name in own:
            raise Unusable(f'gives "{name}" twice (line {_line(key)})')
        own[name] = _value(value)
    return {**merged, **own}


def _merged(node: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for each in node.value if node.id == "sequence" else [node]:
        if each.id != "mapping":
            raise Unusable(f"merges something that is not a mapping (line {_line(each)})")
        made = {**_value(each), **made}
    return made


def _name(key: Any) -> str:
    if key.id != "scalar":
        raise Unusable(f"has a name that is not text (line {_line(key)})")
    return str(key.value)


def _scalar(node: Any) -> Any:
    text: str = node.value
    match node.tag.removeprefix(_TAG):
        case "str" | "timestamp" | "merge" | "value":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 16) if text.startswith("0x") else _number(node, int)
        case "float":
            return _number(node, _float)
        case "in-doubt":
            raise _in_doubt(node)
        case _:
            raise _unknown_tag(node)


def _number(node: Any, read: Callable[[str], Any]) -> Any:
    try:
        return read(node.value)
    except ValueError:  # it says !!int and is none, or it has too many digits
        raise Unusable(
            f"has {node.value[:40]} in line {_line(node)}, which is not a number"
        ) from None


def _float(text: str) -> float:
    lowered = text.lower()
    if lowered.endswith((".inf", ".nan")):
        return float(lowered.replace(".", ""))
    return _finite(text)


def _in_doubt(node: Any) -> Unusable:
    clear = " or ".join([*dict.fromkeys(_readings(node.value)), f'"{node.value}"'])
    return Unusable(
        f"has {node.value} in line {_line(node)}, which not every reader of YAML understands alike: "
        f"write {clear}"
    )


def _readings(text: str) -> Iterator[str]:
    """Yield the values that may have been meant, as they are written without doubt."""
    lowered, digits = text.lower(), text.replace("_", "").lower()
    if lowered in ("yes", "on", "no", "off"):
        yield "true" if lowered in ("yes", "on") else "false"
    elif "x" in digits or "o" in digits or "b" in digits:
        yield str(int(digits, 0))
    elif not digits.lstrip("+-").isdecimal():
        yield str(float(digits))
    else:
        yield str(int(digits))
        if digits == text and not set(digits) & set("89"):
            yield str(int(digits, 8))


def _unknown_tag(node: Any) -> Unusable:
    return Unusable(f"has a value of type {node.tag.rpartition(':')[2]} in line {_line(node)}")


def _line(node: Any) -> int:
    line: int = node.start_mark.line
    return line + 1
