"""Tasks and jobs as people type them: a number or a name, `TASK/N`, `TASK/0-9`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.naming import parse_name
from orchestra.domain.storable import LARGEST

MAX_ORDINAL = LARGEST


def parse_task(text: str) -> int | str:
    """Parse a task's number, or its name `user.<username>.<name>`."""
    if re.fullmatch(r"[0-9]+", text):
        return _number(text, text)
    if not text.startswith("user."):
        raise BadInput(
            f'"{one_line(text)}" is neither the number of a task nor a name of the form user.<username>.<name>.'
        )
    return str(parse_name(text))


@dataclass(frozen=True, slots=True)
class JobAddress:
    """Jobs of one task. `indexes` are ascending and disjoint, and there is at least one."""

    task: int | str
    indexes: tuple[range, ...]

    @property
    def single(self) -> int | None:
        """The job's number if the address names exactly one, else None."""
        return self.indexes[0].start if len(self) == 1 else None

    def __len__(self) -> int:
        return sum(len(part) for part in self.indexes)

    def __iter__(self) -> Iterator[int]:
        for part in self.indexes:
            yield from part

    def __contains__(self, index: int) -> bool:
        return any(index in part for part in self.indexes)

    def __str__(self) -> str:
        parts = (
            str(part.start) if len(part) == 1 else f"{part.start}-{part.stop - 1}"
            for part in self.indexes
        )
        return f"{self.task}/{','.join(parts)}"


def parse_job_address(text: str) -> JobAddress:
    """Parse `3/17`, `3/0-9`, `3/1,4,7-9` or the same with the task's name before the slash."""
    task, slash, numbers = text.rpartition("/")
    if not slash or not task or not numbers:
        raise BadInput(
            f'"{one_line(text)}" does not name a job.',
            hint="Write TASK/N for one job, TASK/0-9 or TASK/1,4,7-9 for several; TASK is a number or a name.",
        )
    ranges = [_range(part.strip(), text) for part in numbers.split(",")]
    return JobAddress(parse_task(task), _merged(ranges))


def parse_one_job(text: str) -> JobAddress:
    """Parse an address that names exactly one job."""
    address = parse_job_address(text)
    if address.single is None:
        raise BadInput(
            f'"{one_line(text)}" names {len(address)} jobs, but only one is possible here.'
        )
    return address


def _range(part: str, text: str) -> range:
    found = re.fullmatch(r"([0-9]+)(?:\s*-\s*([0-9]+))?", part)
    if not found:
        raise BadInput(
            f'"{one_line(part)}" in "{one_line(text)}" is not a job number.',
            hint="Write N, N-M, or several of these separated by commas.",
        )
    first = _number(found[1], text)
    last = _number(found[2], text) if found[2] else first
    if last < first:
        raise BadInput(
            f'"{part}" in "{one_line(text)}" is in reverse order.', hint=f"{last}-{first}?"
        )
    return range(first, last + 1)


def _number(digits: str, text: str) -> int:
    # Check the length first: Python refuses to parse numbers with thousands of digits.
    if len(digits) > 20 or int(digits) > MAX_ORDINAL:
        raise BadInput(f'"{one_line(text)}" has a number greater than {MAX_ORDINAL}.')
    return int(digits)


def _merged(ranges: list[range]) -> tuple[range, ...]:
    merged: list[range] = []
    for part in sorted(ranges, key=lambda part: part.start):
        if merged and part.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(part.stop, merged[-1].stop))
        else:
            merged.append(part)
    return tuple(merged)
