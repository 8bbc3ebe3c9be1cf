"""JSON within bounds."""

from __future__ import annotations

import json
import re
from typing import Any

from orchestra.domain.documents.bounds import Bounds, Unusable, check_brackets

# Takes an open string to the end of the text, too: nothing is looked at twice.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class SeveralValues(Unusable):
    """There is one value after the other, as in JSON lines."""


def parse(text: str, bounds: Bounds) -> Any:
    """Give the value that a text is.

    Raises:
        SeveralValues: something stands behind it.
        Unusable: it is no JSON; says where. Or it is beyond the bounds.
    """
    check(text, bounds)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        kind = SeveralValues if error.msg == "Extra data" else Unusable
        raise kind(f"is no valid JSON (line {error.lineno}, column {error.colno})") from None
    except ValueError as error:  # a number, where the machine allows fewer digits than we do
        raise Unusable(f"is no valid JSON ({error})") from None


def check(text: str, bounds: Bounds) -> None:
    """Measure a text before it is parsed.

    Raises:
        Unusable: it is beyond the bounds.
    """
    bounds.check_size(len(text))
    outside = _STRING.sub('""', text)
    check_brackets(outside, bounds)
    bounds.check_values(1 + sum(map(outside.count, "[{,:")))
    bounds.check_digits(outside)
