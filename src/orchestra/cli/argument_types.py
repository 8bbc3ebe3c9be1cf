"""What the values of options may be: read, bounded, and told apart from what they are not."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from typing import Any

from orchestra.domain import human
from orchestra.domain.errors import BadInput
from orchestra.domain.quantities import parse_duration, parse_size
from orchestra.domain.storable import LARGEST


def whole(text: str) -> int:
    """Read a whole number that the database can hold; argparse says which option it was for."""
    if not re.fullmatch(r"\s*[-+]?[0-9]+\s*", text):
        raise ValueError
    if len(text.strip()) > 11 or not -LARGEST <= (number := int(text)) <= LARGEST:
        raise argparse.ArgumentTypeError(
            f"{human.one_line(text, 40)} is out of range; it is at most {LARGEST:,}."
        )
    return number


def at_least(option: str, least: int) -> Callable[[str], int]:
    """Return what reads a whole number that is not below `least`."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]+", text) or len(text) > 10 or not least <= int(text) <= LARGEST:
            raise BadInput(f'{option} needs a whole number of at least {least}, not "{text}".')
        return int(text)

    return read


class Amount(argparse.Action):
    """A size or a time, which may have no unit: then it counts in bytes or seconds, and a note says so."""

    def __call__(
        self,
        _parser: object,
        namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        read = parse_size if self.metavar == "SIZE" else parse_duration
        amount = read(values)
        if self.metavar == "SIZE" and not amount:
            raise BadInput(
                f"{self.option_strings[-1]} needs more than nothing.",
                hint="Without the option there is no limit.",
            )
        setattr(namespace, self.dest, amount)
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", values.strip()) and values.strip("0. "):
            bare = vars(namespace).setdefault("without_unit", {})
            bare[self.option_strings[-1]] = values.strip()


def unit_notes(args: argparse.Namespace) -> Iterator[str]:
    """Yield a note for each size and time that was given without a unit."""
    for option, text in vars(args).get("without_unit", {}).items():
        unit, others = ("byte", "MB and GB") if option == "--memory" else ("second", "m and h")
        first, last = others.split(" and ")
        yield (
            f"note: {option} {text} is {_counted(text, unit)}; "
            f"{text}{first} and {text}{last} would be other units"
        )


def _counted(text: str, unit: str) -> str:
    return human.count(int(text), unit) if text.isdecimal() else f"{text} {unit}s"


def allow_root_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets root start a pilot where others share the database."""
    parser.add_argument(
        "--allow-root",
        action="store_true",
        help="as root: run everybody's jobs as root, so that whoever may create tasks may be root here",
    )


def one_job(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names one job."""
    parser.add_argument("job", metavar="TASK/N", help="for example 3/17, or user.ana.mlp/17")
