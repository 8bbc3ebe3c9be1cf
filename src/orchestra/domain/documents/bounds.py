"""Limits on the size, depth and number of values of a document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from orchestra.domain.human import size


class Unusable(Exception):
    """A file cannot be used. The text says why and follows the file's name."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of what is parsed.

    Args:
        bytes: of the text.
        depth: of nested lists and mappings.
        values: values and names together, with all aliases expanded.
        digits: of one number. Python's time to parse one grows with their square.
    """

    bytes: int = 1_000_000
    depth: int = 100
    values: int = 100_000
    digits: int = 1_000

    def check_size(self, found: int) -> None:
        """Refuse a text of too many bytes.

        Raises:
            Unusable: it is larger.
        """
        if found > self.bytes:
            raise Unusable(f"has {size(found)}; at most {size(self.bytes)} is read")

    def check_depth(self, found: int) -> None:
        """Refuse deeper nesting.

        Raises:
            Unusable: it is deeper.
        """
        if found > self.depth:
            raise Unusable(f"is nested too deeply: more than {self.depth} levels")

    def check_values(self, found: int) -> None:
        """Refuse more values.

        Raises:
            Unusable: there are more.
        """
        if found > self.values:
            raise Unusable(f"has more than {self.values:,} values")

    def check_digits(self, text: str) -> None:
        """Refuse a text with too many digits in a row, hexadecimal ones included.

        Raises:
            Unusable: there is one.
        """
        if len(text) > self.digits and _row_of_digits(self.digits).search(text):
            raise Unusable(f"has a number of more than {self.digits:,} digits")


BOUNDS = Bounds()


@cache
def _row_of_digits(most: int) -> re.Pattern[str]:
    # Matched only where a row starts: from each of its digits, the time would grow with the square.
    return re.compile(rf"(?<![0-9a-fA-F_])[0-9a-fA-F_]{{{most + 1}}}")


def check_brackets(outside: str, bounds: Bounds) -> None:
    """Check the nesting of brackets in a text without its strings and comments.

    Raises:
        Unusable: it is nested too deeply.
    """
    if outside.count("[") + outside.count("{") <= bounds.depth:
        return
    depth = 0
    for bracket in re.finditer(r"[\[{\]}]", outside):
        depth += 1 if bracket[0] in "[{" else -1
        bounds.check_depth(depth)
