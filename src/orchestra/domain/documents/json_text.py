"""JSON within bounds."""

from __future__ import annotations

import json
import re
from typing import Any

from orchestra.domain.documents.bounds import Bounds, Unusable, check_brackets

# Also matches an unclosed string to the end of the text, so that nothing is scanned twice.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class SeveralValues(Unusable):
    """There are several values, as in JSON lines."""


def parse(text: str, bounds: Bounds) -> Any:
    """Parse a text.

    Raises:
        SeveralValues: the first value is followed by something.
        Unusable: it is not valid JSON, or exceeds the bounds.
    """
    check(text, bounds)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        kind = SeveralValues if error.msg == "Extra data" else Unusable
        raise kind(f"is not valid JSON (line {error.lineno}, column {error.colno})") from None
    except ValueError as error:  # a number, if Python allows fewer digits than the bounds
        raise Unusable(f"is not valid JSON ({error})") from None


def check(text: str, bounds: Bounds) -> None:
    """Measure a text before it is parsed.

    Raises:
        Unusable: it exceeds the bounds.
    """
    bounds.check_size(len(text))
    outside = _STRING.sub('""', text)
    check_brackets(outside, bounds)
    bounds.check_values(1 + sum(map(outside.count, "[{,:")))
    bounds.check_digits(outside)
