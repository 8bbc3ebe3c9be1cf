"""Parsing a sweep's file strictly: anything ambiguous is refused.

YAML is parsed by the rules of YAML 1.2, which most people expect. Values that YAML 1.1 (PyYAML) reads differently (010
is 8, 1_000 is 1000, yes is true) are refused, and so is text that only looks like a number or a quoted text. Names are
taken as typed. Duplicate names are refused in every format.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from orchestra.domain.documents import BOUNDS, Unusable, json_text, toml_text, yaml_text

_TAG = "tag:yaml.org,2002:"
# The implicit tag of a plain scalar; the first pattern that matches counts.
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
_TYPES = {"null": "null", "bool": "true or false", "int": "a whole number", "float": "a number"}
_QUOTATION_MARKS = frozenset(
    "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a"
)
_MINUS_SIGNS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_NOT_READ = (".json5", ".jsonc")


def parse(name: str, content: bytes) -> Any:
    """Parse a sweep's file: JSON or TOML by its extension, else YAML.

    Raises:
        Unusable: it is not valid, or something in it is ambiguous; the message says what and where.
    """
    if name.lower().endswith(_NOT_READ):  # much of it is valid YAML, but with other values
        raise Unusable("is not supported: use .yaml, .json or .toml")
    try:
        text = content.decode("utf-8-sig")
        if name.lower().endswith(".json"):
            json_text.check(text, BOUNDS)
            return json.loads(text, object_pairs_hook=_without_duplicates, parse_float=_finite)
        if name.lower().endswith(".toml"):
            import tomllib

            toml_text.check(text, BOUNDS)
            return tomllib.loads(text, parse_float=_finite)
        return _yaml(text)
    except UnicodeDecodeError:
        raise Unusable("is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise Unusable(f"is not valid JSON (line {error.lineno}, column {error.colno})") from None
    except ValueError as error:  # TOML, and integers of too many digits
        raise Unusable(f"cannot be read ({error})") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unusable(f'contains "{twice}" twice')
    return made


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value) and "inf" not in text.lower():
        raise Unusable(f"holds {text[:40]}, which is too large for a number")
    if value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
        raise Unusable(f"holds {text[:40]}, which is too small for a number")
    return value


# YAML


@cache
def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012 - PyYAML's name for it

    for tag, pattern in _RESOLVERS.items():
        Loader.add_implicit_resolver(_TAG + tag, re.compile(f"(?:{pattern})\\Z"), [None])
    return Loader


def _yaml(text: str) -> Any:
    import yaml

    if sign := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, sign.start()) + 1
        raise Unusable(
            f"has a character in line {line} that YAML does not allow: U+{ord(sign[0]):04X}"
        )
    try:
        yaml_text.check(text, BOUNDS)
        return _value(yaml.compose(text, Loader=_loader()))
    except yaml.composer.ComposerError as error:
        raise Unusable(f"cannot be read: {_composed(error)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise Unusable(f"is not valid YAML{where}") from None


def _composed(error: Any) -> str:
    line = error.problem_mark.line + 1
    if "another document" in error.problem:
        return f"a second document starts in line {line}, but a sweep is a single one"
    return f"{error.problem} in line {line}"


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
    merged: dict[str, Any] | None = None
    for key, value in node.value:
        if key.tag == _TAG + "merge":
            if merged is not None:  # parsers differ on which of the two counts
                raise Unusable(f'contains "<<" twice (line {_line(key)}): write <<: [*one, *other]')
            merged = _merged(value)
            continue
        name = _name(key)
        if name in own:
            raise Unusable(f'contains "{name}" twice (line {_line(key)})')
        own[name] = _value(value)
    return {**(merged or {}), **own}


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
    _refuse_lookalike(key)
    return str(key.value)


def _scalar(node: Any) -> Any:
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind in _TYPES and not _is(kind, text):
        raise Unusable(f"has {text[:40]} in line {_line(node)}, which is not {_TYPES[kind]}")
    match kind:
        case "str" | "timestamp" | "merge" | "value":
            _refuse_lookalike(node)
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
            raise _ambiguous(node)
        case _:
            raise _unknown_tag(node)


def _is(kind: str, text: str) -> bool:
    """Whether a text matches its tag, which may be explicit: !!bool yes does not."""
    if re.fullmatch(_RESOLVERS[kind], text):
        return True
    return kind == "float" and re.fullmatch(_RESOLVERS["int"], text) is not None


def _number(node: Any, read: Callable[[str], Any]) -> Any:
    try:
        return read(node.value)
    except ValueError:  # it has more digits than Python allows
        raise Unusable(
            f"has {node.value[:40]} in line {_line(node)}, which is not a number"
        ) from None


def _refuse_lookalike(node: Any) -> None:
    """Refuse unquoted text that looks like something else: typographic quotes, a no-break space.

    Raises:
        Unusable: it is such a text; the message says what it looks like.
    """
    text: str = node.value
    if node.style or text.isascii():
        return
    seen = _as_plain_text(text)
    if text[0] in _QUOTATION_MARKS and text[-1] in _QUOTATION_MARKS:
        looks = f'"{text[1:-1]}"'
    elif {unicodedata.category(text[0]), unicodedata.category(text[-1])} & {"Zs", "Cf"} or any(
        re.fullmatch(_RESOLVERS[kind], seen) for kind in (*_TYPES, "in-doubt")
    ):
        looks = seen
    else:
        return
    raise Unusable(
        f"has {text[:40]} in line {_line(node)}, which only looks like {looks[:40]}: write {looks[:40]} "
        "or put quotes around it"
    )


def _as_plain_text(text: str) -> str:
    """Replace digits, signs and spaces with the ASCII ones that they look like, and drop invisible characters."""
    shown = "".join(
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf"
    )
    digits = (str(unicodedata.decimal(c)) if c.isdecimal() else c for c in shown)
    return "".join(digits).translate(_MINUS_SIGNS).strip()


def _float(text: str) -> float:
    lowered = text.lower()
    if lowered.endswith((".inf", ".nan")):
        return float(lowered.replace(".", ""))
    return _finite(text)


def _ambiguous(node: Any) -> Unusable:
    clear = " or ".join([*dict.fromkeys(_readings(node.value)), f'"{node.value}"'])
    return Unusable(
        f"has {node.value} in line {_line(node)}, which YAML parsers read differently: "
        f"write {clear}"
    )


def _readings(text: str) -> Iterator[str]:
    """Yield the possible meanings, written unambiguously."""
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
