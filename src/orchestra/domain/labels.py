"""The labels of nodes: those that a person sets, and those that are found. Pure.

Names and values are compared without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.models.nodes import Device, Node
from orchestra.domain.quantities import typed_size

NAME = r"[A-Za-z][A-Za-z0-9_.-]*"
VALUE = r"[A-Za-z0-9_][A-Za-z0-9_.:/+-]*"
LONGEST = 63
"""Characters of a name, and of a value."""
MOST = 50
"""Labels that a person can set on one node."""

AMOUNTS = ("gpu-memory", "gpus", "cpus", "cores", "memory")
SIZES = ("gpu-memory", "memory")
FOUND = ("gpu", *AMOUNTS, "arch", "pool", "node")
"""The labels that need no person."""

_MEGABYTE = 10**6


def labels_of(node: Node) -> Mapping[str, str]:
    """Return all labels of a node; one that a person has set replaces the one found.

    `gpu` is what the models of its devices have in common, in lower case and without the maker: `a100-sxm4-80gb`.
    `gpu-memory` is that of its smallest device, `gpus` and `cpus` are its enabled slots, `cores` its processors,
    `memory` what jobs may use of it, `arch` as `uname -m` prints it, `pool` the pool that it belongs to, and `node` its
    name. What is unknown is left out.
    """
    found = node.found
    gpus = node.gpu.enabled if found.devices is None else min(node.gpu.enabled, len(found.devices))
    devices = (found.devices or ())[:gpus]
    labels = {
        "gpu": _common_model(devices),
        "gpu-memory": _least(device.memory_bytes for device in devices),
        "gpus": str(gpus),
        "cpus": str(node.cpu.enabled),
        "cores": "" if found.cpus is None else str(found.cpus),
        "memory": _least(b for b in (node.memory_bytes, found.memory_bytes) if b is not None),
        "arch": found.architecture,
        "pool": node.pool or "",
    }
    known = {name: value for name, value in labels.items() if value}
    return {**known, **node.labels, "node": node.name}


def found_labels(node: Node) -> Mapping[str, str]:
    """Return the labels of a node that no person has set."""
    return {name: value for name, value in labels_of(node).items() if name not in node.labels}


def shown_labels(node: Node) -> Mapping[str, str]:
    """Return the labels that a list of nodes shows: those that a person has set, and the model of its GPUs."""
    labels = labels_of(node)
    return {name: labels[name] for name in sorted({*node.labels, *(labels.keys() & {"gpu"})})}


def in_words(labels: Mapping[str, str]) -> str:
    """Labels as they are typed: `gpu=a100, rack=3`."""
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def slug(model: str) -> str:
    """The model of a GPU as a label: `NVIDIA A100-SXM4-80GB` is `a100-sxm4-80gb`."""
    words = re.sub(r"[^a-z0-9.]+", "-", model.lower()).strip("-.").split("-")
    return "-".join(words[1:] if words[0] == "nvidia" and len(words) > 1 else words)


def _common_model(devices: Sequence[Device]) -> str:
    models = [slug(device.model).split("-") for device in devices]
    if not models:
        return ""
    return "-".join(w for w in models[0] if all(w in model for model in models))


def _least(sizes: Iterable[int | None]) -> str:
    """The smallest size as text, rounded down to megabytes; empty if there is none or one is unknown."""
    known = list(sizes)
    if not known or None in known:
        return ""
    least = min(size for size in known if size is not None)
    return typed_size(least if least < _MEGABYTE else least // _MEGABYTE * _MEGABYTE)


def parse_label(text: str) -> tuple[str, str]:
    """Parse `gpu=a100` into a name and a value. `ssd` alone is `ssd=yes`; `ssd=` has the value "", which removes it.

    Raises:
        BadInput: it is no label.
    """
    name, equals, value = text.partition("=")
    check_label(name, value)
    return name.lower(), value if equals else "yes"


def check_label(name: str, value: str) -> None:
    """Refuse what cannot be a label; an empty value removes one.

    Raises:
        BadInput: the name or the value cannot be used.
    """
    text = one_line(f"{name}={value}" if value else name)
    if not re.fullmatch(NAME, name) or len(name) > LONGEST:
        raise BadInput(
            f'"{text}" cannot be a label: its name is not a letter followed by up to {LONGEST - 1} letters, digits, '
            "'_', '.' or '-'.",
            hint="For example gpu=a100, rack=3, or ssd.",
        )
    if value and (not re.fullmatch(VALUE, value) or len(value) > LONGEST):
        raise BadInput(
            f'"{text}" cannot be a label: its value is not made of up to {LONGEST} letters, digits, '
            "'_', '.', ':', '/', '+' or '-'.",
            hint="For example gpu=a100, rack=3, or room=b-12.",
        )
    if name.lower() == "node":
        raise BadInput(f'"{text}" cannot be a label: "node" is always the name of the node.')


def with_labels(now: Mapping[str, str], given: Mapping[str, str]) -> Mapping[str, str]:
    """Return labels after setting others; those with an empty value are removed.

    Raises:
        BadInput: one of them cannot be used, or there would be too many.
    """
    for name, value in given.items():
        check_label(name, value)
    changed = {**now, **{name.lower(): value for name, value in given.items()}}
    left = {name: value for name, value in sorted(changed.items()) if value}
    if len(left) > MOST:
        raise BadInput(f"a node can have {MOST} labels, not {len(left)}.")
    return left
