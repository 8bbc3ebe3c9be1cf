"""Arguments and types of values that several commands share."""

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
    """Parse a whole number that the database can hold; argparse names the option in its errors."""
    if not re.fullmatch(r"\s*[-+]?[0-9]+\s*", text):
        raise ValueError
    if len(text.strip()) > 11 or not -LARGEST <= (number := int(text)) <= LARGEST:
        raise argparse.ArgumentTypeError(
            f"{human.one_line(text, 40)} is out of range; it is at most {LARGEST:,}."
        )
    return number


def at_least(option: str, least: int) -> Callable[[str], int]:
    """Return a function that parses a whole number of at least `least`."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]+", text) or len(text) > 10 or not least <= int(text) <= LARGEST:
            raise BadInput(f'{option} needs a whole number of at least {least}, not "{text}".')
        return int(text)

    return read


SIZES = ("--memory", "--gpu-memory", "--scratch")


class Amount(argparse.Action):
    """A size or a time; a number without a unit means bytes or seconds, and a note says so."""

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
                f"{self.option_strings[-1]} must be greater than zero.",
                hint="Without the option there is no limit.",
            )
        setattr(namespace, self.dest, amount)
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", values.strip()) and values.strip("0. "):
            bare = vars(namespace).setdefault("without_unit", {})
            bare[self.option_strings[-1]] = values.strip()


def unit_notes(args: argparse.Namespace) -> Iterator[str]:
    """Yield a note for each size and time that was given without a unit."""
    for option, text in vars(args).get("without_unit", {}).items():
        unit, others = ("byte", "MB and GB") if option in SIZES else ("second", "m and h")
        first, last = others.split(" and ")
        yield (
            f"note: {option} {text} is {_counted(text, unit)}; "
            f"{text}{first} and {text}{last} would be other units"
        )


def _counted(text: str, unit: str) -> str:
    return human.count(int(text), unit) if text.isdecimal() else f"{text} {unit}s"


def allow_root_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets root start a pilot on a shared database."""
    parser.add_argument(
        "--allow-root",
        action="store_true",
        help="let root run the jobs of all users as root: everybody who can create tasks is then root here",
    )


def one_job(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names one job."""
    parser.add_argument("job", metavar="TASK/N", help="the job: 3/17, or user.ana.mlp/17")
