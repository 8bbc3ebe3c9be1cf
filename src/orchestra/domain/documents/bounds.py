"""How large, deep and many a document's values may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from orchestra.domain.human import size


class Unusable(Exception):
    """A file has no values; the text says why, to stand behind the file's name."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is parsed at most.

    Args:
        bytes: of the text.
        depth: lists and mappings within one another.
        values: and names together, with every alias written out.
        digits: of one number. The time that Python takes for one grows with their square.
    """

    bytes: int = 1_000_000
    depth: int = 100
    values: int = 100_000
    digits: int = 1_000

    def check_size(self, found: int) -> None:
        """Refuse a text of more bytes.

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
        """Refuse a text with a longer row of digits in it; some numbers are written in base 16.

        Raises:
            Unusable: there is one.
        """
        if len(text) > self.digits and _row_of_digits(self.digits).search(text):
            raise Unusable(f"has a number of more than {self.digits:,} digits")


BOUNDS = Bounds()


@cache
def _row_of_digits(most: int) -> re.Pattern[str]:
    # Looked for where one begins alone: at each of its digits anew, the time would grow with the square.
    return re.compile(rf"(?<![0-9a-fA-F_])[0-9a-fA-F_]{{{most + 1}}}")


def check_brackets(outside: str, bounds: Bounds) -> None:
    """Measure a text of brackets, whose strings and comments have been taken out.

    Raises:
        Unusable: it is nested too deeply.
    """
    if outside.count("[") + outside.count("{") <= bounds.depth:
        return
    depth = 0
    for bracket in re.finditer(r"[\[{\]}]", outside):
        depth += 1 if bracket[0] in "[{" else -1
        bounds.check_depth(depth)
