"""TOML within bounds."""

from __future__ import annotations

import re
from typing import Any

from orchestra.domain.documents.bounds import Bounds, Unusable, check_brackets

_STRING_OR_COMMENT = re.compile(
    r'"""(?:[^\\"]|\\.|"(?!""))*+(?:""")?'
    r"|'''(?:[^']|'(?!''))*+(?:''')?"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+",
    re.DOTALL,
)
_NO_KEY = re.compile(r"[^\w. \t-]+")


def parse(text: str, bounds: Bounds) -> dict[str, Any]:
    """Parse a text.

    Raises:
        Unusable: it is not valid TOML, or exceeds the bounds.
    """
    check(text, bounds)
    import tomllib

    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise Unusable(f"is not valid TOML ({error})") from None


def check(text: str, bounds: Bounds) -> None:
    """Measure a text before it is parsed. Dotted keys nest like brackets.

    Raises:
        Unusable: it exceeds the bounds.
    """
    bounds.check_size(len(text))
    outside = _STRING_OR_COMMENT.sub("x", text)
    check_brackets(outside, bounds)
    bounds.check_values(sum(map(outside.count, "[{,=.")))
    bounds.check_digits(outside)
    bounds.check_depth(max(part.count(".") for part in _NO_KEY.split(outside)))
