"""What a person sets of a pool, checked. Pure.

Texts go to the engine's command as they are, so they are kept to what its options can have.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace
from typing import TypeVar, get_args

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line
from orchestra.domain.models.pools import EngineName, PoolLimits, PoolSettings, PoolSpec
from orchestra.domain.nearest import nearest
from orchestra.domain.pools.sbatch_words import joined
from orchestra.domain.states import Queue
from orchestra.domain.storable import LARGEST, check_whole
from orchestra.domain.wording import Field, Term, words

ENGINES: tuple[EngineName, ...] = get_args(EngineName)
UNCHANGED = PoolSettings()
LEAST_WALLTIME = 60.0
"""Seconds: Slurm counts in minutes."""
LEAST_MEMORY = 2**20
"""Bytes: Slurm counts in MiB."""
MOST_MEMORY = 2**60
LONGEST_TIME = 366 * 86400.0
LEAST_IDLE = 1.0
LONGEST_TEXT = 200
"""Characters of a partition list, a constraint and the like."""

_TEXTS = {
    "partition": Field.PARTITION,
    "account": Field.ACCOUNT,
    "qos": Field.QOS,
    "constraint": Field.CONSTRAINT,
    "gres": Field.GRES,
}
_TEXT = re.compile(r"[A-Za-z0-9_.(\[][A-Za-z0-9_.,:+@/*&|!=()\[\]-]*")
_GPUS_OF_GRES = re.compile(r"gpu(?::[^,:(]*[^,:(\d][^,:(]*)?(?::(\d+))?(?=[,(]|$)")
_Row = TypeVar("_Row", PoolSpec, PoolLimits)


def check_engine(name: str) -> EngineName:
    """Return the name of an engine.

    Raises:
        BadInput: there is none with that name.
    """
    for each in ENGINES:
        if each == name:
            return each
    guess = nearest(name, ENGINES)
    raise BadInput(
        f'there is no engine "{one_line(name)}".' + (f' Did you mean "{guess}"?' if guess else ""),
        hint=f"The engines are {listed(ENGINES)}.",
        field="engine",
    )


def of_new(engine: EngineName, settings: PoolSettings) -> tuple[PoolSpec, PoolLimits]:
    """Return what is stored of a new pool.

    Asking for GPUs makes it a pool of the queue gpu, and a pool of that queue has one GPU unless it says otherwise.

    Raises:
        BadInput: a setting cannot be had. Its `field` names it.
    """
    if settings.queue is None and (settings.gpus or gpus_of_gres(settings.gres)):
        settings = replace(settings, queue=Queue.GPU)
    if settings.queue is Queue.GPU and settings.gpus is None:
        settings = replace(settings, gpus=gpus_of_gres(settings.gres) or 1)
    if settings.max_pilots is None and settings.nodes is not None:
        settings = replace(settings, max_pilots=max(PoolLimits().max_pilots, settings.nodes))
    return over(engine, PoolSpec(), PoolLimits(), settings)


def over(
    engine: EngineName, spec: PoolSpec, limits: PoolLimits, settings: PoolSettings
) -> tuple[PoolSpec, PoolLimits]:
    """Return what is stored of a pool after a change.

    Raises:
        BadInput: a setting cannot be had, alone or with the others. Its `field` names it.
    """
    if settings.sbatch:
        settings = replace(settings, sbatch=joined(settings.sbatch))
    spec, limits = _over(spec, settings), _over(limits, settings)
    _check_spec(spec)
    _check_limits(limits)
    if spec.nodes > limits.max_pilots:
        raise _above(Field.NODES(spec.nodes), limits)
    if engine == "local":
        _check_local(spec)
    return spec, limits


def _over(row: _Row, settings: PoolSettings) -> _Row:
    """Return a row with what the settings say; nothing, as they write it, is None in the row."""
    given = {
        each.name: value
        for each in fields(row)
        if (value := getattr(settings, each.name)) is not None
    }
    if "walltime" in given:
        given["walltime"] = given["walltime"] or None
    if "memory_bytes" in given:
        given["memory_bytes"] = given["memory_bytes"] or None
    for name in _TEXTS.keys() & given.keys():
        given[name] = given[name].strip() or None
    return replace(row, **given)


def _check_spec(spec: PoolSpec) -> None:
    for name, field in _TEXTS.items():
        text = getattr(spec, name)
        if text is not None:
            _check_text(field, text)
    _check_number(Field.CPUS, spec.cpus, least=1)
    _check_number(Field.GPUS, spec.gpus, least=0)
    _check_number(Field.NODES, spec.nodes, least=1)
    memory = spec.memory_bytes
    if memory is not None and not LEAST_MEMORY <= memory <= MOST_MEMORY:
        raise BadInput(
            words(Field.MEMORY, f" of {memory:,} bytes is not what a node can have."),
            hint="Write a unit: 4G, 4000MB, 512MiB.",
            field="memory",
        )
    _check_gpus(spec)


def _check_gpus(spec: PoolSpec) -> None:
    asked = gpus_of_gres(spec.gres)
    if asked and asked != spec.gpus:
        raise BadInput(
            words(Field.GRES(spec.gres or ""), " and ", Field.GPUS(spec.gpus), " do not agree."),
            hint=words("Leave ", Field.GPUS, " out, or give the same number."),
            field="gpus",
        )
    if spec.queue is Queue.CPU and spec.gpus:
        raise BadInput(
            words(
                "pilots of the queue cpu have no use for GPUs, which ",
                Field.GRES if asked else Field.GPUS,
                " asks for.",
            ),
            hint=words("Use ", Field.QUEUE("gpu"), "."),
            field="queue",
        )
    if spec.queue is Queue.GPU and not spec.gpus:
        raise BadInput(
            "pilots of the queue gpu need at least one GPU.",
            hint=words("For example ", Field.GPUS(1), "."),
            field="gpus",
        )


def gpus_of_gres(gres: str | None) -> int:
    """Return how many GPUs a list of generic resources has: 2 for `gpu:a100:2,shard:4`, 0 without any."""
    items = re.split(r",(?![^(]*\))", gres or "")
    found = [_GPUS_OF_GRES.match(each) for each in items]
    return sum(int(match[1] or 1) for match in found if match)


def _check_limits(limits: PoolLimits) -> None:
    _check_number(Field.MAX_PILOTS, limits.max_pilots, least=1)
    _check_number(Field.MIN_PILOTS, limits.min_pilots, least=0)
    _check_number(Field.MAX_PENDING, limits.max_pending, least=1)
    if limits.min_pilots > limits.max_pilots:
        raise _above(Field.MIN_PILOTS(limits.min_pilots), limits)
    if limits.walltime is not None:
        _check_time(Field.WALLTIME, limits.walltime, least=LEAST_WALLTIME)
    _check_time(Field.MIN_WORK, limits.min_work, least=0.0)
    _check_time(Field.IDLE, limits.idle, least=LEAST_IDLE)


def _above(said: Term, limits: PoolLimits) -> BadInput:
    field = said.field.value if said.field else None
    return BadInput(
        words(said, " is above ", Field.MAX_PILOTS(limits.max_pilots), "."), field=field
    )


def _check_local(spec: PoolSpec) -> None:
    asked = {name: getattr(spec, name) for name in (*_TEXTS, "sbatch")}
    for name, value in asked.items():
        if value:
            field = _TEXTS.get(name, Field.SBATCH)
            raise BadInput(words("the engine local has no ", field, "."), field=name)
    if spec.nodes > 1:
        raise BadInput("the engine local has one node in an allocation.", field="nodes")


def _check_text(field: Field, text: str) -> None:
    if len(text) > LONGEST_TEXT or not _TEXT.fullmatch(text):
        raise BadInput(
            words(f'"{one_line(text)}" cannot be the value of ', field, "."), field=field.value
        )


def _check_number(field: Field, number: int, *, least: int) -> None:
    try:
        check_whole(field, number, least=least, most=LARGEST)
    except BadInput as error:
        raise BadInput(error.message, field=field.value) from None


def _check_time(field: Field, seconds: float, *, least: float) -> None:
    if not (math.isfinite(seconds) and least <= seconds <= LONGEST_TIME):
        bound = "at most a year" if seconds > LONGEST_TIME else f"at least {least:.0f} s"
        raise BadInput(words(field, f" must be {bound}."), field=field.value)
