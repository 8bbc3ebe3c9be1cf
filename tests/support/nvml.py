"""A stand-in for NVIDIA's management library (nvml.c), compiled once a run, and the GPUs that it describes."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from orchestra.gpus import reader
from support.needs import need

SOURCE = Path(__file__).with_suffix(".c")

NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED = 3, 4, 9
UNKNOWN_ERROR, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH = 999, 15, 16, 18


@dataclass(frozen=True)
class Gpu:
    """A board or MIG device. Memory in MiB; `util` in percent.

    Args:
        mig: whether it is divided; None if it cannot be.
        lost: the error of every call about it; `handle` that of the call that looks it up.
    """

    uuid: str
    name: str = "NVIDIA A100-SXM4-40GB"
    total: int = 40960
    used: int = 3
    reserved: int = 600
    bus: str = ""
    util: int = 0
    mig: bool | None = None
    parts: Sequence[Gpu] = ()
    processes: Sequence[int] = ()
    lost: int = 0
    handle: int = 0
    gi: int = 0
    ci: int = 0


@dataclass(frozen=True)
class Nvml:
    """The library in a folder, and the file that it answers from."""

    folder: Path
    description: Path
    is_older: bool = False

    @property
    def library(self) -> Path:
        return self.folder / "libnvidia-ml.so.1"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to find this library and no other."""
        return {"LD_LIBRARY_PATH": str(self.folder), "NVML_STANDIN": str(self.description)}

    def describe(
        self, *boards: Gpu, hang: Sequence[str] = (), fail: Mapping[str, int] | None = None
    ) -> None:
        """Change what the library answers from now on.

        Args:
            hang: functions that do not return.
            fail: the code that functions return.
        """
        lines = [f"hang\t{name}" for name in hang]
        lines += [f"fail\t{name}\t{code}" for name, code in (fail or {}).items()]
        for index, board in enumerate(boards):
            bus = board.bus or f"00000000:{index + 1:02X}:00.0"
            lines += _lines("gpu", board, bus=bus, slots=7)
            for part in board.parts:
                lines += _lines("mig", part)
        beside = self.description.with_suffix(".new")
        beside.write_text("".join(f"{line}\n" for line in lines))
        beside.replace(self.description)


def _lines(kind: str, gpu: Gpu, **more: object) -> list[str]:
    keys = ("uuid", "name", "total", "used", "reserved", "util", "lost", "handle", "gi", "ci")
    values = {key: getattr(gpu, key) for key in keys} | more
    values["mig"] = -1 if gpu.mig is None else int(gpu.mig)
    return [
        "\t".join([kind, *(f"{key}={value}" for key, value in values.items())]),
        *(f"process\t{pid}" for pid in gpu.processes),
    ]


def compiled(folder: Path, *, older: bool = False) -> Path:
    """Compile the library into a folder of its own, unless another worker has; return that folder."""
    place = folder / ("nvml-older" if older else "nvml")
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = place / "libnvidia-ml.so.1"
        if not target.exists():
            words = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
            words += ["-DOLDER"] * older
            subprocess.run([*words, "-o", target, SOURCE], check=True, env=dict(os.environ))
    return place


def made(folder: Path, description: Path, *, older: bool = False) -> Nvml:
    """Return the stand-in, without GPUs."""
    need("cc")
    found = Nvml(compiled(folder, older=older), description, older)
    found.describe()
    return found


def installed(
    folder: Path, description: Path, monkeypatch: pytest.MonkeyPatch, *, older: bool = False
) -> Nvml:
    """Make the stand-in the library of this process and of those that it starts."""
    found = made(folder, description, older=older)
    monkeypatch.setattr(reader, "LIBRARY", str(found.library))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(reader, "is_installed", cache(reader.is_installed.__wrapped__))
    return found
