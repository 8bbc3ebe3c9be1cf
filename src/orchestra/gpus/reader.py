"""Reads what the helper sees, and gives up on one that hangs."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from time import monotonic
from typing import Any

from orchestra.domain.errors import OrchestraError
from orchestra.domain.gpus import Gpu
from orchestra.domain.human import duration
from orchestra.domain.secrets import without_secrets
from orchestra.gpus import program

LIBRARY = "libnvidia-ml.so.1"
FIRST_WITHIN, NEXT_WITHIN = 20.0, 5.0
"""Seconds until the first answer, and until the next ones. To open eight GPUs that no process has open takes ten."""
_AT_ONCE = 1 << 16
_DIES_WITHIN = 1.0


class GpusUnknown(OrchestraError):
    """NVIDIA's driver does not say which GPUs there are."""

    code = "gpus_unknown"


@cache
def is_installed() -> bool:
    """Whether this machine has NVIDIA's management library. Costs a millisecond, once."""
    import ctypes

    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def look(within: float | None = None) -> tuple[Gpu, ...] | None:
    """Look once; as `Reader.look`."""
    reader = Reader()
    try:
        return reader.look(within)
    finally:
        reader.close()


class Reader:
    """Looks at the GPUs again and again, from any thread, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._helper: subprocess.Popen[bytes] | None = None
        self._hanging: subprocess.Popen[bytes] | None = None

    def look(self, within: float | None = None) -> tuple[Gpu, ...] | None:
        """Return the boards of this machine, in the order of their indexes; None if it has no driver of NVIDIA.

        Without the library they have only the names and UUIDs that nvidia-smi tells.

        Raises:
            GpusUnknown: the driver does not answer in time (`within` seconds), or with an error.
        """
        if not is_installed():
            return program.look(FIRST_WITHIN if within is None else within)
        with self._lock:
            answer = self._ask(within)
        if answer.get("absent"):
            return None
        if "error" in answer:
            raise GpusUnknown(f"NVIDIA's driver does not work: {answer['error']}.")
        return tuple(map(Gpu.from_json, answer["boards"]))

    def close(self) -> None:
        """End the helper."""
        with self._lock:
            if self._helper:
                _end(self._helper)
                self._helper = None

    def _ask(self, limit: float | None) -> dict[str, Any]:
        if self._hanging and self._hanging.poll() is None:
            raise _silent(self._hanging.pid)
        self._hanging = None
        if self._helper and self._helper.poll() is not None:  # somebody has ended it
            _end(self._helper)
            self._helper = None
        within = (NEXT_WITHIN if self._helper else FIRST_WITHIN) if limit is None else limit
        helper, self._helper = self._helper or _start(), None
        try:
            line = _answer(helper, within)
        except TimeoutError:
            self._hanging = None if _end(helper) else helper
            raise _silent(helper.pid, within) from None
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            _end(helper)
            raise GpusUnknown(
                f"The process that asks NVIDIA's driver has ended with status {helper.returncode}."
            ) from None
        if "error" in answer:
            _end(helper)
        else:
            self._helper = helper
        return answer


def _silent(pid: int, within: float | None = None) -> GpusUnknown:
    said = f" within {duration(within)}" if within else ""
    return GpusUnknown(f"NVIDIA's driver does not answer{said} (process {pid}).")


def _start() -> subprocess.Popen[bytes]:
    # -P: a json.py in the current folder must not replace the standard library's. A session of its own: Ctrl-C is for
    # the pilot.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestra.gpus.helper"],
        env=without_secrets(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _answer(helper: subprocess.Popen[bytes], within: float) -> bytes:
    """Return the helper's next line; what there is if it ends before.

    Raises:
        TimeoutError: it does not answer.
    """
    assert helper.stdin
    assert helper.stdout
    with suppress(BrokenPipeError):  # it has ended, which its output says as well
        os.write(helper.stdin.fileno(), b"\n")
    deadline, line = monotonic() + within, b""
    while not line.endswith(b"\n"):
        if not select.select([helper.stdout], [], [], max(0.0, deadline - monotonic()))[0]:
            raise TimeoutError
        more = os.read(helper.stdout.fileno(), _AT_ONCE)
        if not more:
            break
        line += more
    return line


def _end(helper: subprocess.Popen[bytes]) -> bool:
    """End the helper; return False if it cannot be killed now because it hangs in the driver."""
    helper.kill()
    for pipe in (helper.stdin, helper.stdout):
        if pipe:
            pipe.close()
    try:
        helper.wait(_DIES_WITHIN)
    except subprocess.TimeoutExpired:
        return False
    return True
