"""Reading arguments: numbers, or the same texts as on the command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestra.domain.errors import BadInput
from orchestra.domain.goals import DIRECTIONS
from orchestra.domain.moments import parse_moment
from orchestra.domain.quantities import (
    LARGEST_SIZE,
    parse_duration,
    parse_gpus,
    parse_limit,
    parse_since,
    parse_size,
)
from orchestra.domain.states import JobStatus, Queue
from orchestra.domain.storable import LARGEST
from orchestra.domain.variables import check_variable

if TYPE_CHECKING:
    from orchestra.domain.models.tasks import Limit, Policy, Resources
    from orchestra.domain.result_query import ResultQuery

Duration = float | str | timedelta
"""Seconds, or words like "10m", "2h"."""

Command = str | Sequence[str | os.PathLike[str]]
"""A text as a shell reads it, or a list of words."""


def whole(name: str, value: int, *, least: int) -> int:
    """Return a whole number of at least `least`.

    Raises:
        BadInput: it is not one.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BadInput(f"{name} needs a whole number of at least {least}, not {value!r}.")
    number = value.__index__()  # numpy's integers are not Python's
    if number > LARGEST:
        raise BadInput(f"{name} is at most {LARGEST:,}.")
    if number < least:
        raise BadInput(f"{name} needs a whole number of at least {least}, not {_shown(value)}.")
    return number


def text(what: str, value: str) -> str:
    """Return a text, such as a name.

    Raises:
        BadInput: it is neither.
    """
    if not _is_text(value):
        raise BadInput(f"{what} is needed, not {value!r}.")
    return value


def _is_text(value: object) -> bool:
    """Callers without a type checker may pass anything."""
    return isinstance(value, str)


def seconds(name: str, value: Duration) -> float:
    """Return a duration in seconds.

    Raises:
        BadInput: it is not a duration.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        return parse_duration(value)
    if not _is_number(value) or not value >= 0:
        raise BadInput(f"{name} needs seconds or a string like '10m', not {_shown(value)}.")
    return parse_duration(f"{min(value, 1e18):f}")


def _is_number(value: object) -> bool:
    """Callers without a type checker may pass anything."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """Python refuses to print numbers with thousands of digits."""
    return "a number below that" if isinstance(value, int) and value < -LARGEST else repr(value)


def some_seconds(name: str, value: Duration | None) -> float | None:
    """Return a duration in seconds, greater than 0.

    Raises:
        BadInput: it is not one.
    """
    if value is None:
        return None
    given = seconds(name, value)
    if not given:
        raise BadInput(f"{name} must be longer than 0 s.")
    return given


def size(name: str, value: int | str | None) -> int | None:
    """Return a number of bytes, given as a number or as a text like "4GB".

    Raises:
        BadInput: it is not a size.
    """
    if value is None:
        return None
    if isinstance(value, str) and (found := parse_size(value)):
        return found
    if isinstance(value, str) or not _is_number(value) or not value >= 1:
        raise BadInput(f"{name} needs bytes or a string like '4GB', not {_shown(value)}.")
    if value > LARGEST_SIZE:
        raise BadInput(f"{name} is more than any machine has.")
    return parse_size(str(int(value)))


def some_gpus(value: float | str) -> tuple[int, int | None]:
    """Return a number of whole GPUs and None, or 1 and thousandths of one GPU for a part of it: 0.5, or "0.5".

    Raises:
        BadInput: it is neither.
    """
    if isinstance(value, str):
        return parse_gpus(value)
    if hasattr(value, "__index__") or not _is_number(value):
        return whole("gpus", value, least=0), None  # type: ignore[arg-type]
    if not 0 <= value <= LARGEST:
        raise BadInput(f"gpus needs a number of at least 0, not {_shown(value)}.")
    return parse_gpus(f"{value:.9f}")


def names(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return words that name nodes: one, or several."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def command(value: Command) -> str:
    """Return a command as text; each word of a list is quoted. A % in a path is not a tag.

    Raises:
        BadInput: it is neither.
    """
    if isinstance(value, str):
        return value
    try:
        return shlex.join(
            word if isinstance(word, str) else os.fspath(word).replace("%", "%%") for word in value
        )
    except TypeError:
        raise BadInput(
            f"a command must be a string, or a list of strings and paths, not {value!r}."
        ) from None


def queue(value: str) -> Queue:
    """Return a queue.

    Raises:
        BadInput: there is no such queue.
    """
    try:
        return Queue(value)
    except ValueError:
        raise BadInput(f'queue must be "cpu" or "gpu", not {value!r}.') from None


def status(value: str | None) -> JobStatus | None:
    """Return a job's status, or None.

    Raises:
        BadInput: there is no such status.
    """
    if value is None:
        return None
    try:
        return JobStatus(value.lower())
    except (ValueError, AttributeError):
        states = ", ".join(JobStatus)
        raise BadInput(
            f"there is no job state {value!r}.", hint=f"The states are {states}."
        ) from None


def since(value: datetime | str | None) -> datetime | None:
    """Return a time in the past, or None; a text is a duration before now, or a date in the local zone.

    Raises:
        BadInput: it is neither, or has no zone.
    """
    if isinstance(value, str):
        return parse_since(value, datetime.now().astimezone())
    if value is not None and value.tzinfo is None:
        raise BadInput(f"since needs a zone: {value!r} has none.")
    return value


def highest(direction: str | None) -> bool | None:
    """Return whether the highest values are best; None if that is left open.

    Raises:
        BadInput: it is neither "min" nor "max".
    """
    if direction is None:
        return None
    if direction not in tuple(DIRECTIONS):
        raise BadInput(f'direction must be "min" or "max", not {direction!r}.')
    return DIRECTIONS[direction]


def result_query(
    *,
    where: str | None,
    group_by: str | Sequence[str] | None,
    sort: str | None,
    best: int | None,
    direction: str | None,
    columns: Sequence[str] | None,
) -> ResultQuery:
    """Return what is asked of results.

    Raises:
        BadInput: a value cannot be used.
    """
    from orchestra.domain import where as conditions
    from orchestra.domain.result_query import ResultQuery

    return ResultQuery(
        where=None if where is None else conditions.parse(text("a condition", where)),
        group_by=_names(group_by),
        sort=sort,
        best=None if best is None else whole("best", best, least=1),
        highest=highest(direction),
        columns=columns,
    )


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return names, given as on the command line ("lr,width") or one by one."""
    found = given.split(",") if isinstance(given, str) else given or ()
    return tuple(text("a column's name", name).strip() for name in found)


def variables(env: Mapping[str, str | int | float] | None) -> dict[str, str]:
    """Return environment variables as text.

    Raises:
        BadInput: a name or a value cannot be used.
    """
    found = {name: str(value) for name, value in (env or {}).items()}
    for name, value in found.items():
        check_variable(name, value)
    return found


def moment(name: str, value: datetime | str | None) -> datetime | None:
    """Return a moment in the future, given as such or as text like "Fri 18:00"; without a zone, it is local.

    Raises:
        BadInput: it is neither.
    """
    if value is None or isinstance(value, datetime):
        return value if value is None else value.astimezone()
    return parse_moment(text(name, value), datetime.now(UTC))


def labels(given: Mapping[str, str | int] | None) -> dict[str, str]:
    """Return labels as text; they are checked where they are set."""
    return {name: str(value) for name, value in (given or {}).items()}


def policy(
    *,
    bypass: bool,
    test_jobs: int | None,
    test_for: Duration | None,
    retries: int,
    timeout: Duration | None,
    grace: Duration,
    priority: int,
    max_fails: int | str | None,
    max_running: int | None = None,
    walltime: Duration | None = None,
    resume: bool,
) -> Policy:
    """Return a task's policies for its test, retries and limits.

    Raises:
        BadInput: a value cannot be used.
    """
    from orchestra.domain.models.tasks import Policy

    if bypass and test_jobs:
        raise BadInput("bypass skips the test, so test_jobs cannot be given.")
    tests = 0 if bypass else 10 if test_jobs is None else whole("test_jobs", test_jobs, least=0)
    return Policy(
        test_jobs=tests,
        test_for=some_seconds("test_for", test_for),
        retries=whole("retries", retries, least=0),
        timeout=some_seconds("timeout", timeout),
        grace=seconds("grace", grace),
        priority=whole("priority", priority, least=-LARGEST),
        max_fails=limit(max_fails),
        max_running=None if max_running is None else whole("max_running", max_running, least=1),
        walltime=some_seconds("walltime", walltime),
        resume=bool(resume),  # numpy's booleans are not Python's
    )


def resources(
    queue: Queue,
    *,
    cpus: int | None,
    cores: int | None,
    gpus: float | str,
    gpu_memory: int | str | None,
    memory: int | str | None,
    scratch: int | str | None,
    exclusive: bool,
) -> Resources:
    """Return what a job needs of its node.

    Raises:
        BadInput: a value cannot be used.
    """
    from orchestra.domain.models.tasks import Resources
    from orchestra.domain.task_resources import with_cpus

    number, milli = some_gpus(gpus)
    asked = Resources(
        gpus=number,
        gpu_milli=milli,
        vram_bytes=size("gpu_memory", gpu_memory),
        memory_bytes=size("memory", memory),
        scratch_bytes=size("scratch", scratch),
        exclusive=bool(exclusive),
    )
    return with_cpus(
        queue,
        asked,
        None if cpus is None else whole("cpus", cpus, least=0),
        None if cores is None else whole("cores", cores, least=1),
    )


def limit(value: int | str | None) -> Limit | None:
    """Return how many failures are too many, None for no limit.

    Raises:
        BadInput: it is neither a number nor a percentage.
    """
    if value is None or isinstance(value, str | bool):
        return None if value is None else parse_limit(str(value))
    from orchestra.domain.models.tasks import Limit

    return Limit(count=whole("max_fails", value, least=1))
