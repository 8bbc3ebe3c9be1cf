"""Environment variables that a task gives its jobs: `NAME=VALUE`."""

from __future__ import annotations

import re

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.storable import LONGEST_VALUE, check_text
from orchestra.domain.wording import Field, words

# Variables that Orchestra sets, among them what keeps jobs on their own GPUs.
_OURS = re.compile(r"ORCHESTRA_.*|CUDA_VISIBLE_DEVICES")


def parse_variable(text: str) -> tuple[str, str]:
    """Parse `NAME=VALUE` of `--env`; the value may be empty and contain anything but NUL."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(
            words(Field.ENV, f' "{one_line(text)}" has no "=".'), hint="Write NAME=VALUE."
        )
    check_variable(name, value)
    return name, value


def check_variable(name: str, value: str) -> None:
    """Refuse names that a shell cannot use, names that Orchestra sets, and values that a process cannot get."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise BadInput(f'"{one_line(name)}" is not a valid name of an environment variable.')
    if _OURS.fullmatch(name):
        raise BadInput(f"{name} is set by Orchestra for each job and cannot be changed.")
    check_text(f"the value of {name}", value, most=LONGEST_VALUE)
