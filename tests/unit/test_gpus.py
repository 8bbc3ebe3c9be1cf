"""GPUs: which are visible, and what NVML says of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import gpus
from orchestra.domain.gpus import Gpu, Sample, visible, visible_devices
from orchestra.domain.models.nodes import Device
from orchestra.gpus import reader
from orchestra.gpus.reader import GpusUnknown, Reader
from orchestra.pilot.gpu_processes import Ours
from orchestra.pilot.gpus import look
from support import nvml
from support.nvml import Nvml
from support.waiting import wait_until

# Which are visible


A100, H100, OTHER_H100 = BOARDS = [
    Gpu("GPU-11111111-2222", "NVIDIA A100-SXM4-40GB"),
    Gpu("GPU-11133333-4444", "NVIDIA H100 80GB HBM3"),
    Gpu("GPU-55555555-6666", "NVIDIA H100 80GB HBM3"),
]
LOST = Gpu(failure="GPU is lost")
HALF, OTHER_HALF, SEVENTH = (
    Gpu("MIG-aaaaaaaa-0001", alias="MIG-GPU-11111111-2222/2/0"),
    Gpu("MIG-aaaaaaaa-0002", alias="MIG-GPU-11111111-2222/3/0"),
    Gpu("MIG-GPU-77777777-8888/1/0", alias="MIG-GPU-77777777-8888/1/0"),  # before R470
)
DIVIDED = [
    replace(A100, parts=(HALF, OTHER_HALF)),
    Gpu("GPU-77777777-8888", parts=(SEVENTH,)),
    Gpu("GPU-99999999-0000", parts=()),
]


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("0,1", ("0", "1")),
        (" GPU-8932f937 , 3 ", ("GPU-8932f937", "3")),
        ("2,-1,3", ("2",)),
        ("1,1,0", ("1", "0")),
        ("MIG-a/b", ("MIG-a/b",)),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    value: str | None, devices: tuple[str, ...] | None
) -> None:
    assert visible_devices(value) == devices


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, BOARDS),
        ("", []),
        ("-1", []),
        ("1,0", [H100, A100]),
        ("2,-1,0", [OTHER_H100]),
        ("0,7,1", [A100]),
        ("0,0,1", [A100, H100]),
        ("GPU-5,GPU-111333", [OTHER_H100, H100]),
        ("GPU-111", []),  # two boards begin so
        ("0,GPU-1111,1", [A100]),  # the same board again
        ("none", []),
        ("MIG-aaaaaaaa-0001", []),
        ("0x1,0", []),
        ("²", []),
    ],
)
def test_boards_that_are_visible(value: str | None, found: list[Gpu]) -> None:
    assert visible(BOARDS, value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, [HALF, OTHER_HALF, SEVENTH]),
        ("0,1", [HALF, OTHER_HALF, SEVENTH]),
        ("2,1", [SEVENTH]),  # a divided board without parts has nothing to compute on
        ("GPU-7", [SEVENTH]),
        ("MIG-aaaaaaaa-0002,MIG-aaaaaaaa-0001", [OTHER_HALF, HALF]),
        ("MIG-aaaaaaaa-0001,MIG-aaaaaaaa-0001", [HALF]),
        ("MIG-aaaaaaaa-0002,MIG-ffffffff,MIG-aaaaaaaa-0001", [OTHER_HALF]),
        ("MIG-aaaaaaaa", []),
        ("MIG-aaaaaaaa-0001,1", [HALF, SEVENTH]),
        ("MIG-aaaaaaaa-0001,0", [HALF]),  # which is a part of it
        ("MIG-GPU-77777777-8888/1/0", [SEVENTH]),
        ("MIG-GPU-11111111-2222/3/0,MIG-GPU-11111111-2222/2/0", [OTHER_HALF, HALF]),
        ("MIG-GPU-99999999-9999/2/0", []),
    ],
)
def test_a_divided_board_is_replaced_by_its_parts(value: str | None, found: list[Gpu]) -> None:
    assert visible(DIVIDED, value) == found


@pytest.mark.parametrize("value", [None, "0,1,2", "GPU-1111,GPU-ffffffff,GPU-5", "0,1,GPU-5"])
def test_a_board_that_has_failed_hides_no_other(value: str | None) -> None:
    found = visible([A100, LOST, OTHER_H100], value)
    assert [device.uuid for device in gpus.usable(found)] == [A100.uuid, OTHER_H100.uuid]


@given(st.lists(st.sampled_from(["0", "1", "9", "-1", "", " 2", "GPU-5", "GPU-11111", "MIG-x"])))
def test_each_visible_device_is_the_entry_that_a_pilot_gives_to_jobs(entries: list[str]) -> None:
    value = ",".join(entries)
    found = visible(BOARDS, value)
    given_out = visible_devices(value)
    assert given_out is not None
    assert [visible(BOARDS, entry) for entry in given_out[: len(found)]] == [[g] for g in found]


def test_devices_in_words() -> None:
    devices = [Device("1", "NVIDIA A100", 42949672960)] * 2
    assert gpus.in_words(devices) == "NVIDIA A100 x 2, 43 GB each"
    assert gpus.in_words([Device("1", "NVIDIA GB10"), Device("2")]) == "NVIDIA GB10; GPU"
    assert gpus.in_words([]) == ""


# NVML

EIGHTY = nvml.Gpu("GPU-80", "NVIDIA H100 80GB HBM3", total=81559, used=500, reserved=700)
FORTY = nvml.Gpu("GPU-40")
PARTS = [
    nvml.Gpu(f"MIG-{n}", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", total=19968, gi=n + 1)
    for n in range(2)
]


@pytest.fixture
def library(
    request: pytest.FixtureRequest,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Nvml:
    """The stand-in, as this machine's library."""
    is_older = getattr(request, "param", "now") != "now"
    return nvml.installed(run_folder, tmp_path / "gpus", monkeypatch, older=is_older)


@pytest.fixture
def driver() -> Iterator[Reader]:
    found = Reader()
    yield found
    found.close()


def offered(driver: Reader) -> list[str] | None:
    """The devices that a pilot offers."""
    devices = look(driver, Ours()).devices
    return None if devices is None else [device.uuid for device in devices]


@pytest.mark.parametrize("library", ["now", "before R510"], indirect=True)
def test_what_nvml_says_of_boards(library: Nvml, driver: Reader) -> None:
    at_zero = replace(FORTY, processes=[41, 7, 41], util=130)
    library.describe(at_zero, EIGHTY, nvml.Gpu("GPU-shared", "NVIDIA GB10", total=0))
    found = driver.look()
    assert found
    first, second, third = found
    assert (first.uuid, first.model, first.memory_bytes) == ("GPU-40", FORTY.name, 40960 << 20)
    assert (first.processes, second.processes, first.parts) == ((7, 41), (), None)
    reserved = 700 if library.is_older else 0
    assert second.used_bytes == 500 + reserved << 20
    assert (third.memory_bytes, third.used_bytes) == (None, None)
    assert {sample.percent for sample in first.samples} == {100}
    assert {sample.percent for sample in second.samples} == {0}


def test_samples_follow_those_of_the_previous_look(library: Nvml, driver: Reader) -> None:
    library.describe(replace(FORTY, util=60))
    first = driver.look()
    assert first
    last = first[0].samples[-1].at

    def later() -> tuple[Sample, ...]:
        found = driver.look()
        assert found
        return found[0].samples

    new = wait_until(later, timeout=10)
    assert new[0].at > last
    library.describe(replace(FORTY, util=70), fail={"nvmlDeviceGetSamples": nvml.NOT_SUPPORTED})
    assert [sample.percent for sample in later()] == [70]
    unknown = {"nvmlDeviceGetUtilizationRates": nvml.NOT_SUPPORTED}
    library.describe(FORTY, fail={"nvmlDeviceGetSamples": nvml.NOT_SUPPORTED, **unknown})
    assert later() == ()


def test_boards_are_in_the_order_of_their_addresses(library: Nvml, driver: Reader) -> None:
    library.describe(
        replace(FORTY, bus="00000000:C1:00.0"),
        nvml.Gpu("", handle=nvml.GPU_IS_LOST),
        replace(EIGHTY, bus="00000000:41:00.0"),
    )
    assert [board.uuid for board in driver.look() or ()] == ["GPU-80", "", "GPU-40"]


def test_a_divided_board_has_parts(library: Nvml, driver: Reader) -> None:
    library.describe(
        replace(FORTY, mig=True, parts=[replace(PARTS[0], processes=[9]), PARTS[1]]),
        replace(EIGHTY, mig=False),
    )
    divided, whole = driver.look() or ()
    assert whole.parts is None
    assert divided.parts
    assert [part.uuid for part in divided.parts] == ["MIG-0", "MIG-1"]
    assert [part.processes for part in divided.parts] == [(9,), ()]
    assert divided.parts[0].memory_bytes == 19968 << 20
    assert divided.parts[1].alias == "MIG-GPU-40/2/0"
    assert divided.parts[0].samples == ()
    assert offered(driver) == ["MIG-0", "MIG-1", "GPU-80"]


def test_a_board_that_has_failed_keeps_its_index(
    library: Nvml, driver: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = {
        nvml.Gpu("GPU-1", handle=nvml.GPU_IS_LOST): "GPU is lost",
        nvml.Gpu("GPU-1", lost=nvml.GPU_IS_LOST): "GPU is lost",
        nvml.Gpu("GPU-1", lost=nvml.RESET_REQUIRED): "GPU requires restart",
        nvml.Gpu("GPU-1", handle=nvml.UNKNOWN_ERROR): "Unknown Error",
    }
    for gpu, why in failed.items():
        library.describe(FORTY, gpu, EIGHTY)
        boards = driver.look() or ()
        assert list(gpus.failures(boards)) == [f"GPU 1 cannot be used: {why}"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert offered(driver) == ["GPU-80"]


def test_a_board_that_this_account_may_not_use_has_no_index(
    library: Nvml, driver: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe(nvml.Gpu("GPU-1", handle=nvml.NO_PERMISSION), FORTY, EIGHTY)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert offered(driver) == ["GPU-80"]


def test_what_nvml_may_not_say_is_unknown(library: Nvml, driver: Reader) -> None:
    names = ["v2", "v3"]
    fail = {f"nvmlDeviceGetComputeRunningProcesses_{n}": nvml.NO_PERMISSION for n in names}
    library.describe(FORTY, fail={**fail, "nvmlDeviceGetMigMode": nvml.NO_PERMISSION})
    (board,) = driver.look() or ()
    assert (board.processes, board.parts, board.failure) == (None, None, None)


def test_a_driver_that_hangs_is_given_up(library: Nvml, driver: Reader) -> None:
    library.describe(FORTY, hang=["nvmlDeviceGetMemoryInfo"])
    with pytest.raises(GpusUnknown, match="does not answer within 300 ms"):
        driver.look(0.3)
    library.describe(FORTY)
    assert driver.look()


def test_a_driver_that_does_not_work(library: Nvml, driver: Reader) -> None:
    library.describe(FORTY, fail={"nvmlInitWithFlags": nvml.VERSION_MISMATCH})
    with pytest.raises(GpusUnknown, match=r"does not work: RM has detected .* mismatch"):
        driver.look()
    assert offered(driver) == []
    library.describe(FORTY)  # the module was loaded again
    assert driver.look()


def test_a_helper_that_was_killed_is_replaced(library: Nvml, driver: Reader) -> None:
    library.describe(FORTY)
    assert driver.look()
    first = driver._helper
    assert first
    first.kill()
    first.wait(10)
    assert driver.look()
    library.describe(FORTY, hang=["nvmlDeviceGetCount_v2"])
    assert driver._helper
    threading.Timer(0.3, driver._helper.kill).start()
    with pytest.raises(GpusUnknown, match="has ended with status -9"):
        driver.look()


def test_without_a_driver_the_number_is_unknown(library: Nvml, driver: Reader) -> None:
    library.describe(FORTY, fail={"nvmlInitWithFlags": nvml.DRIVER_NOT_LOADED})
    assert offered(driver) is None
    library.describe()
    assert offered(driver) == []


def test_without_the_library_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LIBRARY", "libnvidia-ml-of-no-machine.so")
    monkeypatch.setattr(reader, "is_installed", reader.is_installed.__wrapped__)
    monkeypatch.setattr(reader, "_start", lambda: pytest.fail("a process was started"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert reader.look() is None


def test_without_the_library_the_program_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reader, "is_installed", lambda: False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    smi = tmp_path / "nvidia-smi"
    smi.write_text(
        "#!/bin/sh\ncat <<E\nGPU 0: Tesla T4 (UUID: GPU-1)\nGPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-2)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-a)\n  MIG 3g.20gb     Device  1: (UUID: MIG-b)\nE\n"
    )
    smi.chmod(0o755)
    parts = tuple(Gpu(f"MIG-{name}", "NVIDIA A100-SXM4-40GB MIG 3g.20gb") for name in "ab")
    assert reader.look() == (
        Gpu("GPU-1", "Tesla T4"),
        Gpu("GPU-2", "NVIDIA A100-SXM4-40GB", parts=parts),
    )
    smi.write_text("#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n")
    assert reader.look() is None


@pytest.mark.needs("nvidia gpu")
def test_the_real_library_says_the_same_as_its_program(driver: Reader) -> None:
    boards = driver.look()
    assert boards
    for board in boards:
        assert board.uuid.startswith("GPU-")
        assert board.model
        assert Gpu.from_json(json.loads(json.dumps(board.to_json()))) == board
