"""Names as people type them: `user.<username>.<name>`, `TASK/N`, nodes, people, `10m`, `5%`.

Each `parse_...` gives the value, each `check_...` the text itself; both raise BadInput with one sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.models.tasks import Limit
from orchestra.domain.storable import LARGEST, LONGEST_VALUE, check_text
from orchestra.domain.wording import Field, words

# A name is also a folder on the volume: 255 bytes is what file systems allow, and some room is left.
MAX_NAME = 200
MAX_ORDINAL = LARGEST
LARGEST_SIZE = 2**60

_ALLOWED = "letters a-z and A-Z, digits, '.', '_', '-' and '+'"
_PART = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class OwnedName:
    """The name of a data set or a task: `user.<username>.<name>`."""

    username: str
    name: str

    def __str__(self) -> str:
        return f"user.{self.username}.{self.name}"


def parse_name(text: str, *, username: str | None = None) -> OwnedName:
    """Read `user.<username>.<name>`.

    Args:
        username: the one that it must belong to. Without it the username ends at the first dot; a username with a
            dot in it (`first.last`) can only be told apart when it is given.
    """
    if username is not None:
        return _parse_own(text, username)
    shape = re.fullmatch(r"user\.([^.]+)\.(.+)", text, re.DOTALL)
    if not shape:
        raise BadInput(
            f'"{one_line(text)}" is not of the form user.<username>.<name>.',
            hint=f"For example user.ana.{text}, with your own name."
            if re.fullmatch(r"[\w-]{1,40}", text, re.ASCII)
            else "For example user.ana.my_config_files.",
        )
    check_user_name(shape[1])
    return OwnedName(shape[1], _checked_part(text, shape[2]))


def is_short(text: str) -> bool:
    """Whether this can be the last part of a name `user.<username>.<name>`, without what stands before."""
    return not text.startswith("user.") and bool(_PART.fullmatch(text))


def _parse_own(text: str, username: str) -> OwnedName:
    prefix = f"user.{username}."
    if is_short(text):
        raise BadInput(
            f'"{one_line(text)}" is not of the form user.<username>.<name>.',
            hint=f"For example {prefix}{one_line(text)}",
        )
    if not text.startswith(prefix):
        other = parse_name(text)
        raise BadInput(
            f'"{one_line(text)}" belongs to user "{other.username}", and you are "{username}".',
            hint=f"Names of yours begin with {prefix}",
        )
    if text == prefix:
        raise BadInput(f'"{text}" has no name behind the last dot.')
    return OwnedName(username, _checked_part(text, text.removeprefix(prefix)))


def _checked_part(text: str, part: str) -> str:
    if not _PART.fullmatch(part):
        strange = next((char for char in part if not _PART.fullmatch("x" + char)), None)
        what = f"the character {strange!r}" if strange else "a dot where its name begins"
        raise BadInput(f'"{one_line(text)}" has {what}.', hint=f"Names are made of {_ALLOWED}.")
    if len(text) > MAX_NAME:
        raise BadInput(f'"{one_line(text)}" is longer than {MAX_NAME} characters.')
    return part


def check_user_name(text: str) -> str:
    """The name of a user, as Unix accounts have it; dots are fine."""
    return _check_simple(text, _USER, "a user name", 64)


def check_node_name(text: str) -> str:
    """The name of a node, most often its host name."""
    return _check_simple(text, _NODE, "a node name", 253)


def as_name(text: str) -> str:
    """Give a login or a host name as the name of a user or a node; "_" is what these may not have. May be empty."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".-")


def _check_simple(text: str, pattern: re.Pattern[str], what: str, longest: int) -> str:
    if not pattern.fullmatch(text) or len(text) > longest:
        raise BadInput(
            f'"{one_line(text)}" cannot be {what}.',
            hint=f"It may have up to {longest} letters a-z and A-Z, digits, '_', and '.' or '-' behind the first.",
        )
    return text


def check_email(text: str) -> str:
    """An address that mail can be sent to; whether it exists, only the mail can tell."""
    local, _, domain = text.rpartition("@")
    strange = any(
        char.isspace() or not char.isprintable() or char in r'<>,;:"()[]\@'
        for char in local + domain
    )
    # Between dots something has to stand; else the name would be sent in quotes, which no server knows.
    whole = all([*local.split("."), *domain.split(".")])
    if strange or not whole or len(text) > 254:
        raise BadInput(
            f'"{one_line(text)}" is no e-mail address.', hint="One, for example ana@example.org."
        )
    return text


def is_real_address(address: str) -> bool:
    """Whether an address can be reached from elsewhere: one that was made of a login and a host's name cannot."""
    domain = address.rpartition("@")[2]
    return "." in domain.strip(".") or domain == "localhost"


# Tasks and jobs


def check_metrics_file(text: str) -> str:
    """Give the name of a metrics file back: a path below a job's output folder.

    Raises:
        BadInput: it leads elsewhere, or is no text.
    """
    if not _is_below(text):
        raise BadInput(
            words(Field.METRICS, f" {text!a} is no path below a job's output folder."),
            hint="For example metrics.json, or logs/final.json.",
        )
    return text


def check_complete_file(text: str | None) -> None:
    """Refuse a "complete" file that is no path below a job's output folder.

    Raises:
        BadInput: it leads elsewhere, or is no text.
    """
    if text is not None and not _is_below(text):
        raise BadInput(
            f"job_complete_file_name {text!a} is no path below a job's output folder.",
            hint="For example .complete",
        )


def _is_below(text: str) -> bool:
    return len(text) <= 255 and text.isprintable() and not {"", ".", ".."} & set(text.split("/"))


def parse_task(text: str) -> int | str:
    """A task as people name it: its number, or its name `user.<username>.<name>`."""
    if re.fullmatch(r"[0-9]+", text):
        return _number(text, text)
    if not text.startswith("user."):
        raise BadInput(
            f'"{one_line(text)}" is neither the number of a task nor a name of the form user.<username>.<name>.'
        )
    return str(parse_name(text))


@dataclass(frozen=True, slots=True)
class JobAddress:
    """Jobs of one task. `ordinals` are ascending, apart from each other, and never empty."""

    task: int | str
    ordinals: tuple[range, ...]

    @property
    def single(self) -> int | None:
        """The job's number, where the address names exactly one."""
        return self.ordinals[0].start if len(self) == 1 else None

    def __len__(self) -> int:
        return sum(len(part) for part in self.ordinals)

    def __iter__(self) -> Iterator[int]:
        for part in self.ordinals:
            yield from part

    def __contains__(self, ordinal: int) -> bool:
        return any(ordinal in part for part in self.ordinals)

    def __str__(self) -> str:
        parts = (
            str(part.start) if len(part) == 1 else f"{part.start}-{part.stop - 1}"
            for part in self.ordinals
        )
        return f"{self.task}/{','.join(parts)}"


def parse_job_address(text: str) -> JobAddress:
    """Read `3/17`, `3/0-9`, `3/1,4,7-9` or the same with the task's name before the slash."""
    task, slash, numbers = text.rpartition("/")
    if not slash or not task or not numbers:
        raise BadInput(
            f'"{one_line(text)}" does not name a job.',
            hint="A job is written TASK/N, several TASK/0-9 or TASK/1,4,7-9; TASK is a number or a name.",
        )
    ranges = [_range(part.strip(), text) for part in numbers.split(",")]
    return JobAddress(parse_task(task), _merged(ranges))


def parse_one_job(text: str) -> JobAddress:
    """Read an address that names exactly one job."""
    address = parse_job_address(text)
    if address.single is None:
        raise BadInput(f'"{one_line(text)}" names {len(address)} jobs; this takes one.')
    return address


def _range(part: str, text: str) -> range:
    found = re.fullmatch(r"([0-9]+)(?:\s*-\s*([0-9]+))?", part)
    if not found:
        raise BadInput(
            f'"{one_line(part)}" in "{one_line(text)}" is no job number.',
            hint="Jobs are written N, N-M, or several with commas between them.",
        )
    first = _number(found[1], text)
    last = _number(found[2], text) if found[2] else first
    if last < first:
        raise BadInput(f'"{part}" in "{one_line(text)}" runs backwards.', hint=f"{last}-{first}?")
    return range(first, last + 1)


def _number(digits: str, text: str) -> int:
    # The length first: Python refuses to read numbers of thousands of digits.
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


def natural_key(text: str) -> tuple[str, str]:
    """A key for sorting as people count: `job.2` before `job.10`; a total order."""
    return _DIGITS.sub(_padded, text), text


_DIGITS = re.compile(r"[0-9]+")


def _padded(digits: re.Match[str]) -> str:
    # 20 digits hold every counter and time stamp; longer ones still sort, by length first.
    bare = digits[0].lstrip("0")
    return bare.zfill(20) if len(bare) <= 20 else f":{len(bare):03}{bare}"


# Quantities

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONG_UNITS = {
    "sec": "s",
    "second": "s",
    "min": "m",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
}
_MAX_DURATION = 100 * 365 * 86400.0
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_duration(text: str) -> float:
    """Seconds from `30s`, `10m`, `2h`, `1d12h`, `1.5 h`, or plain seconds."""
    compact = re.sub(r"(?<=[0-9])\s+(?=[a-z])|(?<=[a-z])\s+(?=[0-9])", "", text.strip().lower())
    amount = r"([0-9]+(?:\.[0-9]+)?)"
    if re.fullmatch(amount, compact):
        compact += "s"
    if not re.fullmatch(f"(?:{amount}[a-z]+)+", compact):
        raise _no_duration(text)
    seconds = 0.0
    for number, unit in re.findall(f"{amount}([a-z]+)", compact):
        word = unit if unit in _SECONDS else _LONG_UNITS.get(unit.removesuffix("s"), "")
        if not word:
            raise _no_duration(text)
        seconds += float(number) * _SECONDS[word]
    if seconds > _MAX_DURATION:
        raise BadInput(f'"{one_line(text)}" is longer than 100 years.')
    return seconds


def _no_duration(text: str) -> BadInput:
    return BadInput(f'"{one_line(text)}" is no duration.', hint="For example 30s, 10m, 2h, 1d12h.")


def parse_limit(text: str) -> Limit:
    """A number of jobs (`3`) or a percentage of a task's jobs (`5%`), above 0."""
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(%?)\s*", text)
    if not found or ("." in found[1] and not found[2]):
        raise BadInput(
            f'"{one_line(text)}" is neither a number of jobs nor a percentage.',
            hint="For example 3 or 5%.",
        )
    value = float(found[1])
    if value == 0:
        raise BadInput(
            f'"{one_line(text)}" would be reached at once.', hint="1 stops at the first failure."
        )
    if not found[2]:
        return Limit(count=int(value))
    if value > 100:
        raise BadInput(f'"{one_line(text)}" is more than 100 %.')
    return Limit(percent=value)


def parse_size(text: str) -> int:
    """Bytes from `4.1 kB`, `512M`, `2G` (powers of 1000) or `2GiB` (powers of 1024)."""
    found = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if not found or (found[3] and not found[2]):
        raise BadInput(f'"{one_line(text)}" is no size.', hint="For example 500M, 4 GB or 2GiB.")
    factor = _BINARY_BYTES[found[2]] if found[3] else _BYTES[found[2]]
    size = math.ceil(float(found[1]) * factor)
    if size > LARGEST_SIZE:
        raise BadInput(f'"{one_line(text)}" is more than any machine has.')
    return size


# Environment variables

# What a job is told by Orchestra, and what keeps jobs on their own GPUs.
_OURS = re.compile(r"ORCHESTRA_.*|CUDA_VISIBLE_DEVICES")


def parse_variable(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE` of `--env`; the value may be empty and hold anything but a NUL."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(
            words(Field.ENV, f' "{one_line(text)}" has no "=".'), hint="Write NAME=VALUE."
        )
    check_variable(name, value)
    return name, value


def check_variable(name: str, value: str) -> None:
    """Refuse a name that no shell can use, one that Orchestra sets, and values that no process can be given."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise BadInput(f'"{one_line(name)}" cannot be the name of an environment variable.')
    if _OURS.fullmatch(name):
        raise BadInput(f"{name} is set by Orchestra for each job and cannot be given.")
    check_text(f"the value of {name}", value, most=LONGEST_VALUE)
