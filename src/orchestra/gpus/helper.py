"""The process that calls NVML: for each line that it reads, it writes one with what it sees, as JSON.

It keeps NVML open, because opening a GPU that no other process has open takes seconds. It ends when its input does, or
after an error that only a new process gets over, such as a driver that was replaced.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pynvml

from orchestra.domain.gpus import Gpu, Sample

T = TypeVar("T")

_Handle = Any
_Address = tuple[int, int, int]

# The GPU has failed. Other errors mean that NVML does not know, or may not say.
_FAILED = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED)
# CUDA does not count such a GPU.
_HIDDEN = (
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_OPERATING_SYSTEM,
    pynvml.NVML_ERROR_NOT_FOUND,
)
_IS_ABSENT = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)


def main() -> None:
    """Answer until the input ends."""
    look = Look()
    for _ in sys.stdin:
        try:
            answer: dict[str, Any] = {"boards": [board.to_json() for board in look.boards()]}
        except pynvml.NVMLError as error:
            answer = {"error": _words(error), "absent": error.value in _IS_ABSENT}
        except Exception as error:  # noqa: BLE001 - who asked has a log
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - this is its protocol
        if "error" in answer:
            return


class Look:
    """What there is to see, again and again."""

    def __init__(self) -> None:
        self._is_open = False
        self._sampled: dict[str, int] = {}

    def boards(self) -> list[Gpu]:
        """Return every board that this account may use, in the order of their addresses on the PCI bus.

        Raises:
            NVMLError: there is no driver, or it does not work.
        """
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open = True
        return list(_in_order(self._boards()))

    def _boards(self) -> Iterator[tuple[_Address | None, Gpu]]:
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                yield _address(handle), self._board(handle)
            except pynvml.NVMLError as error:
                if error.value not in _HIDDEN:
                    yield None, Gpu(failure=_words(error))

    def _board(self, handle: _Handle) -> Gpu:
        board = self._gpu(handle)
        mode = _ask(pynvml.nvmlDeviceGetMigMode, handle)
        if board.failure or not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return board
        count = _ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
        found = (_ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, n) for n in range(count))
        parts = [self._part(board, part) for part in found if part]
        return replace(board, parts=tuple(parts))

    def _part(self, board: Gpu, handle: _Handle) -> Gpu:
        instance = _ask(pynvml.nvmlDeviceGetGpuInstanceId, handle)
        compute = _ask(pynvml.nvmlDeviceGetComputeInstanceId, handle)
        part = self._gpu(handle)
        return replace(
            part, alias=f"MIG-{board.uuid}/{instance}/{compute}", model=part.model or board.model
        )

    def _gpu(self, handle: _Handle) -> Gpu:
        uuid = _ask(pynvml.nvmlDeviceGetUUID, handle) or ""
        try:
            memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
            return Gpu(
                uuid,
                _ask(pynvml.nvmlDeviceGetName, handle) or "",
                memory_bytes=memory and memory.total,
                used_bytes=_used(handle) if memory else None,
                processes=_processes(handle),
                samples=self._samples(uuid, handle),
            )
        except pynvml.NVMLError as error:
            return Gpu(uuid, failure=_words(error))

    def _samples(self, uuid: str, handle: _Handle) -> tuple[Sample, ...]:
        """Return those since the previous call. NVML keeps some dozens, a few for each second."""
        since = self._sampled.get(uuid, 0)
        found = _ask(
            pynvml.nvmlDeviceGetSamples, handle, pynvml.NVML_GPU_UTILIZATION_SAMPLES, since
        )
        if found is None:
            rates = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
            return () if rates is None else (Sample(_boottime(), min(rates.gpu, 100)),)
        new = sorted(
            (sample.timeStamp, min(sample.sampleValue.uiVal, 100))
            for sample in found[1]
            if sample.timeStamp > since
        )
        self._sampled[uuid] = max((since, *(at for at, _ in new)))
        shift = _boottime() - time.time()
        return tuple(Sample(at / 1e6 + shift, percent) for at, percent in new)


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _in_order(found: Iterator[tuple[_Address | None, Gpu]]) -> Iterator[Gpu]:
    """Order boards by their address, which is the order of their indexes in CUDA; one without keeps its place."""
    boards = list(found)
    by_address = iter(sorted((address, at) for at, (address, _) in enumerate(boards) if address))
    for address, board in boards:
        yield boards[next(by_address)[1]][1] if address else board


def _address(handle: _Handle) -> _Address | None:
    info = _ask(pynvml.nvmlDeviceGetPciInfo, handle)
    return info and (info.domain, info.bus, info.device)


def _used(handle: _Handle) -> int | None:
    """The memory in use, without what the driver reserves for itself if this version tells them apart."""
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    memory = memory or _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    return memory and memory.used


def _processes(handle: _Handle) -> tuple[int, ...] | None:
    """The processes that compute; those that only draw, such as a desktop's, are in another list."""
    for ask in (
        pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
        pynvml.nvmlDeviceGetComputeRunningProcesses_v2,  # before R510
    ):
        found = _ask(ask, handle)
        if found is not None:
            return tuple(sorted({process.pid for process in found}))
    return None


def _ask(call: Callable[..., T], *args: object) -> T | None:
    """Call NVML; return None for what it does not know or may not say.

    Raises:
        NVMLError: the GPU has failed.
    """
    try:
        return call(*args)
    except pynvml.NVMLError as error:
        if error.value in _FAILED:
            raise
        return None


def _words(error: pynvml.NVMLError) -> str:
    return str(error).rstrip(".")


if __name__ == "__main__":
    main()
