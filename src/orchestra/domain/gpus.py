"""NVIDIA GPUs as `nvidia-smi -L` lists them, and which of them CUDA_VISIBLE_DEVICES leaves visible. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a...)
#   MIG 3g.20gb     Device  0: (UUID: MIG-c6...)
_PART = re.compile(r"\s+(?P<name>MIG \S+)\s.*\(UUID: (?P<uuid>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class MigDevice:
    """A MIG device: a part of a divided GPU."""

    name: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU board. `parts` is None if it is unknown whether it is divided."""

    name: str
    uuid: str = ""
    parts: tuple[MigDevice, ...] | None = ()


def listed(text: str) -> tuple[Gpu, ...]:
    """Parse the output of `nvidia-smi -L`."""
    gpus: list[Gpu] = []
    for line in text.splitlines():
        if line.startswith("GPU "):
            name, _, uuid = line.partition(": ")[2].partition(" (UUID: ")
            gpus.append(Gpu(name, uuid.rstrip(") ")))
        elif gpus and (part := _PART.match(line)):
            last = gpus[-1]
            found = MigDevice(f"{last.name} {part['name']}", part["uuid"])
            gpus[-1] = Gpu(last.name, last.uuid, (*(last.parts or ()), found))
    return tuple(gpus)


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


def visible_names(gpus: Sequence[Gpu], value: str | None) -> list[str]:
    """Return the name of each device that CUDA_VISIBLE_DEVICES leaves visible: a board or a MIG device.

    An entry that names no device ends the list, and so does one that names a device a second time.
    """
    entries = visible_devices(value)
    if entries is None:
        return [gpu.name for gpu in gpus]
    found: list[Gpu | MigDevice] = []
    for entry in entries:
        device = _find(gpus, entry)
        if device is None or device in found:
            break
        found.append(device)
    return [device.name for device in found]


def _find(gpus: Sequence[Gpu], entry: str) -> Gpu | MigDevice | None:
    """The device that an entry names, by index or by an unambiguous prefix of its UUID."""
    if entry.isascii() and entry.isdecimal():
        index = int(entry)
        return gpus[index] if index < len(gpus) else None
    if not entry.startswith("MIG-"):
        boards = [gpu for gpu in gpus if entry.startswith("GPU-") and gpu.uuid.startswith(entry)]
        return boards[0] if len(boards) == 1 else None
    if any(gpu.parts is None for gpu in gpus):
        return MigDevice("MIG device", entry)
    parts = [part for gpu in gpus for part in gpu.parts or () if part.uuid.startswith(entry)]
    return parts[0] if len(parts) == 1 else _by_older_name(gpus, entry)


def _by_older_name(gpus: Sequence[Gpu], entry: str) -> MigDevice | None:
    """The device of a name in the style before R470: MIG-<board UUID>/<GPU instance>/<compute instance>."""
    board = re.fullmatch(r"MIG-(GPU-[^/]+)/\d+/\d+", entry)
    gpu = next((gpu for gpu in gpus if board and gpu.parts and gpu.uuid == board[1]), None)
    return MigDevice(f"{gpu.name} MIG", entry) if gpu else None
