"""A sweep from options: `--grid lr=0.1,0.01 --grid optimizer.name=adam,sgd --seeds 5`. Pure.

Values are read like those of a sweep's file in YAML: `0.1` is a number, `true` is true, and what YAML parsers read
differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestra.domain.documents import Unusable
from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.sweep_values import LONGEST_FACTOR
from orchestra.domain.wording import Field, Sentence, words
from orchestra.files import sweep_parser

SEED = "seed"
_EXAMPLE = "lr=0.1,0.01"
_SPACES = ("range", "linspace", "geomspace")
_PLACE = re.compile(r" \(line \d+(?:, column \d+)?\)| in line 1\b")


def described(grid: Sequence[str], seeds: str | None = None) -> dict[str, Any]:
    """Return the description of a sweep, as a sweep's file has it; empty if there are no options.

    Args:
        grid: `NAME=VALUES`, with commas between the values; they vary in this order, the last one fastest.
        seeds: how many, for `seed` 0, 1, 2, ...; or several seeds with commas between them. They vary fastest.

    Raises:
        BadInput: one of them cannot be used.
    """
    varied: dict[str, Any] = {}
    for option in grid:
        name, values = _one_name(option)
        if name in varied:
            raise BadInput(words(_grid(option), f': "{name}" varies twice.'))
        varied[name] = values
    if seeds is not None:
        if SEED in varied:
            raise BadInput(words(Field.GRID, " and ", Field.SEEDS, f' both vary "{SEED}".'))
        varied[SEED] = _seeds(seeds)
    return {"grid": varied} if varied else {}


def joined(found: Any, options: Mapping[str, Any], where: str) -> Any:
    """Return the contents of a sweep's file with the values of options in its grid.

    Raises:
        BadInput: both vary the same name.
    """
    if not options or not isinstance(found, Mapping):
        return found
    grid = found.get("grid") or {}
    if not isinstance(grid, Mapping):
        return found
    if twice := [name for name in options["grid"] if name in grid]:
        raise BadInput(f'"{twice[0]}" varies twice, in {where} and in an option.')
    return {**found, "grid": {**grid, **options["grid"]}}


def _one_name(option: str) -> tuple[str, Any]:
    name, sign, text = option.partition("=")
    name, text = name.strip(), text.strip()
    if not sign or not name:
        raise BadInput(
            words(_grid(option), " is not of the form NAME=VALUES."), hint=f"For example {_EXAMPLE}"
        )
    if not text:
        raise BadInput(words(_grid(option), " has no values."), hint=f"For example {name}=1,2,3")
    if text.endswith(","):
        raise BadInput(
            words(_grid(option), " ends with a comma."),
            hint="Write the values without spaces, or put quotes around all of it.",
        )
    return name, _values(option, name, text)


def _values(option: str, name: str, text: str) -> Any:
    try:
        found = sweep_parser.parse("options.yaml", f"[{text}]".encode())
    except (Unusable, UnicodeEncodeError) as error:
        why = _PLACE.sub("", str(error)) if isinstance(error, Unusable) else "is not valid text"
        raise BadInput(
            words(_grid(option), f" {why}."),
            hint=words(
                "Texts may have quotes, in a shell within others: ",
                Field.GRID,
                f""" '{name}="a, b","yes"'""",
            ),
        ) from None
    if len(found) == 1 and isinstance(found[0], Mapping) and next(iter(found[0]), None) in _SPACES:
        return found[0]  # {range: [0, 5]}
    if any(isinstance(value, Mapping) for value in found):
        raise BadInput(
            words(_grid(option), " has a name within its values."),
            hint="Vary a nested value with a dot: optimizer.lr=0.1,0.01",
        )
    return found


def _seeds(text: str) -> list[int] | dict[str, list[int]]:
    wrong = BadInput(
        words(Field.SEEDS, f' "{one_line(text)}" is neither a number of seeds nor a list of them.'),
        hint="5 stands for the seeds 0 to 4; 3,7,9 for these three.",
    )
    if not re.fullmatch(r"[0-9]{1,18}(?:,[0-9]{1,18})*", text):
        raise wrong
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) > 1:
        if len(set(numbers)) < len(numbers):
            raise BadInput(words(Field.SEEDS, f" {text} names a seed twice."))
        return numbers
    if not 1 <= numbers[0] <= LONGEST_FACTOR:
        raise BadInput(words(Field.SEEDS, f" must be between 1 and {LONGEST_FACTOR:,}."))
    return {"range": [0, numbers[0]]}


def _grid(option: str) -> Sentence:
    return words(Field.GRID, f" {one_line(option)}")
