"""NVIDIA GPUs as NVML describes them, and which of them CUDA_VISIBLE_DEVICES leaves visible. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from typing import Any, NamedTuple

from orchestra.domain.human import size
from orchestra.domain.models.nodes import Device


class Sample(NamedTuple):
    """How much a GPU computed in the time before `at` (CLOCK_BOOTTIME), since the sample before, in percent."""

    at: float
    percent: float


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or a MIG device, as it was at one moment. None where that is unknown.

    Args:
        uuid: "" if unknown.
        model: its name for people, "" if unknown.
        alias: the name of a MIG device before the driver R470: MIG-<GPU UUID>/<GPU instance>/<compute instance>.
        memory_bytes, used_bytes: its memory, and how much of that is in use.
        processes: the ids of the processes that compute on it.
        samples: how much it computed since the previous look, oldest first; empty if it does not measure that.
        parts: its MIG devices; None if it is not divided.
        failure: why it cannot be used.
    """

    uuid: str = ""
    model: str = ""
    alias: str = ""
    memory_bytes: int | None = None
    used_bytes: int | None = None
    processes: tuple[int, ...] | None = None
    samples: tuple[Sample, ...] = ()
    parts: tuple[Gpu, ...] | None = None
    failure: str | None = None

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Gpu:
        """Read what `to_json` wrote."""
        given = {each.name: found[each.name] for each in fields(cls) if each.name in found}
        given["samples"] = tuple(Sample(*sample) for sample in found.get("samples", ()))
        if "processes" in given:
            given["processes"] = tuple(given["processes"])
        if "parts" in given:
            given["parts"] = tuple(map(cls.from_json, given["parts"]))
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, without what is unknown."""
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.parts is not None:
            named["parts"] = [part.to_json() for part in self.parts]
        return {name: value for name, value in named.items() if value not in (None, "")}


# GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a...)
#   MIG 3g.20gb     Device  0: (UUID: MIG-c6...)
_LISTED = re.compile(r"GPU \d+: (?P<model>.*?)( \(UUID: (?P<uuid>[^)\s]+)\))?\s*$")
_PART = re.compile(r"\s+(?P<name>MIG \S+)\s.*\(UUID: (?P<uuid>[^)\s]+)\)")


def listed(text: str) -> tuple[Gpu, ...]:
    """Parse the output of `nvidia-smi -L`."""
    boards: list[Gpu] = []
    for line in text.splitlines():
        if found := _LISTED.match(line):
            boards.append(Gpu(found["uuid"] or "", found["model"]))
        elif boards and (found := _PART.match(line)):
            last = boards[-1]
            part = Gpu(found["uuid"], f"{last.model} {found['name']}")
            boards[-1] = replace(last, parts=(*(last.parts or ()), part))
    return tuple(boards)


def visible_devices(value: str | None) -> tuple[str, ...] | None:
    """Split CUDA_VISIBLE_DEVICES into its entries (indexes or UUIDs); None if it is not set.

    The first invalid entry ends the list (CUDA C++ Programming Guide, "CUDA Environment Variables").
    """
    if value is None:
        return None
    devices: list[str] = []
    for entry in (part.strip() for part in value.split(",")):
        if not entry or entry.startswith("-"):
            break
        if entry not in devices:
            devices.append(entry)
    return tuple(devices)


def visible(boards: Sequence[Gpu], value: str | None) -> list[Gpu]:
    """Return what CUDA_VISIBLE_DEVICES leaves visible of a machine's boards, in its order.

    A board that is divided is replaced by its MIG devices, since nothing can compute on the board itself. An entry that
    names nothing ends the list, and so does one that names something a second time. One that may mean a board that has
    failed does not.
    """
    entries = visible_devices(value)
    if entries is None:
        return [gpu for board in boards for gpu in _whole(board)]
    found: list[Gpu] = []
    for entry in entries:
        named = _named(boards, entry)
        if named is None and any(board.failure and not board.uuid for board in boards):
            continue
        if named is None or any(gpu is other for gpu in named for other in found):
            break
        found += named
    return found


def usable(gpus: Iterable[Gpu]) -> tuple[Device, ...]:
    """Return those on which jobs can compute, as devices of a node."""
    return tuple(
        Device(gpu.uuid, gpu.model, gpu.memory_bytes)
        for gpu in gpus
        if gpu.uuid and not gpu.failure
    )


def failures(boards: Iterable[Gpu]) -> Iterator[str]:
    """Yield a sentence for each board that cannot be used."""
    for index, board in enumerate(boards):
        if board.failure:
            yield f"GPU {index} cannot be used: {board.failure}"


def names(boards: Iterable[Gpu]) -> dict[str, str]:
    """Return for people the names of boards and MIG devices by their UUIDs, numbered as by nvidia-smi."""
    found: dict[str, str] = {}
    for index, board in enumerate(boards):
        found[board.uuid] = f"GPU {index}"
        for number, part in enumerate(board.parts or ()):
            found[part.uuid] = f"MIG device {number} of GPU {index}"
    return found


def in_words(devices: Iterable[Device]) -> str:
    """Return text such as "NVIDIA A100-SXM4-40GB x 2, 43 GB each"."""
    kinds = Counter((device.model or "GPU", device.memory_bytes) for device in devices)
    return "; ".join(_kind_in_words(*kind, number) for kind, number in kinds.items())


def assigned_in_words(devices: str, models: Sequence[str]) -> str:
    """Name the devices of an attempt: "NVIDIA A100-SXM4-40GB x 2 (GPU-8932f937, GPU-5a0c1b2d)".

    Args:
        devices: UUIDs or indexes, separated by commas.
        models: of each, "" where it is not known.
    """
    by_model: dict[str, list[str]] = {}
    for device, model in zip_longest(devices.split(","), models, fillvalue=""):
        by_model.setdefault(model, []).append(device if model == "" else _short(device))
    return ", ".join(_group_in_words(model, names) for model, names in by_model.items())


def _group_in_words(model: str, names: Sequence[str]) -> str:
    if not model:
        return f"devices {','.join(names)}"
    many = f" x {len(names)}" if len(names) > 1 else ""
    return f"{model}{many} ({', '.join(names)})"


def _short(uuid: str) -> str:
    """The beginning of a UUID, which tells a person which it is."""
    return "-".join(uuid.split("-")[:2])


def _kind_in_words(model: str, memory: int | None, number: int) -> str:
    many = f" x {number}" if number > 1 else ""
    each = " each" if number > 1 else ""
    return f"{model}{many}" + (f", {size(memory)}{each}" if memory else "")


def _whole(board: Gpu) -> Sequence[Gpu]:
    return [board] if board.parts is None else board.parts


def _named(boards: Sequence[Gpu], entry: str) -> Sequence[Gpu] | None:
    """What an entry names, by index or by an unambiguous prefix of a UUID; None if nothing."""
    if entry.isascii() and entry.isdecimal():
        index = int(entry)
        return _whole(boards[index]) if index < len(boards) else None
    if entry.startswith("GPU-"):
        found = [board for board in boards if board.uuid.startswith(entry)]
        return _whole(found[0]) if len(found) == 1 else None
    if entry.startswith("MIG-"):
        parts = [part for board in boards for part in board.parts or ()]
        exactly = [part for part in parts if part.alias == entry]
        found = exactly or [part for part in parts if part.uuid.startswith(entry)]
        return found if len(found) == 1 else None
    return None
