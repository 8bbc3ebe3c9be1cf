"""What fetches images: run under watch, tried again, given up where nothing comes, ended when nobody waits any more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestra.domain import human, image_errors
from orchestra.domain.errors import OrchestraError

Say = Callable[[str], None]

PAUSES = (2.0, 10.0, 30.0)
"""Seconds between one try to fetch an image and the next."""
SILENCE = 300.0
"""Seconds without progress after which a try is given up."""
SAY_EVERY = 3.0
_READ_AT_LEAST = 4096
_WORK_AT_LEAST = 1.0
"""Bytes read and seconds of processor time that are progress; a program that only waits stays below both."""
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class ImageError(OrchestraError):
    """An image cannot be made ready."""

    code = "image_error"


class Order:
    """Somebody's wish for an image. It can be called off by any thread, at any time."""

    def __init__(self, say: Say = lambda _: None) -> None:
        """`say` is told in a few words what happens, every few seconds."""
        self.say = say
        self._off = threading.Event()
        self._why = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def call_off(self, why: str) -> None:
        """End the work on it at once."""
        with self._lock:
            self._why = self._why or why
            self._off.set()
            if self._process:
                _kill(self._process)

    def check(self) -> None:
        """Raise ImageError once it is called off."""
        if self._off.is_set():
            raise ImageError(self._why)

    def wait(self, seconds: float) -> None:
        """Wait; raises ImageError when it is called off meanwhile."""
        self._off.wait(seconds)
        self.check()

    def watch(self, process: subprocess.Popen[bytes] | None) -> None:
        """Take note of what works on it now."""
        with self._lock:
            self._process = process
            if process and self._off.is_set():
                _kill(process)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Runs the programs that fetch images.

    Args:
        environ: what they are started with.
        pauses: seconds between one try and the next.
        silence: seconds without progress after which a try is given up; 0 waits for ever.
    """

    environ: Mapping[str, str]
    pauses: tuple[float, ...] = PAUSES
    silence: float = SILENCE

    def fetch(
        self,
        command: tuple[str, ...],
        address: str,
        order: Order,
        own: Mapping[str, str] | None = None,
        watched: Path | None = None,
    ) -> str:
        """Run what fetches an image, again after each pause; gives what it printed.

        Args:
            own: further variables.
            watched: a folder that grows meanwhile.

        Raises:
            ImageError: it did not come, or nobody wants it any more.
        """
        words: str | None = ""
        for pause in (*self.pauses, None):
            done = self.run(command, order, own, watched=watched)
            if done is None:
                words = None
            elif done.returncode == 0:
                return done.stdout.decode(errors="replace")
            else:
                words = last_words(done.stderr.decode(errors="replace"))
            if pause is not None:
                said = (
                    f"nothing came for {human.duration(self.silence)}" if words is None else words
                )
                order.say(f"trying again in {pause:g} s: {said}")
                order.wait(pause)
        trouble = image_errors.of_fetch(
            address, words, runtime=Path(command[0]).name, silence=self.silence
        )
        raise ImageError(trouble.sentence, hint=trouble.advice)

    def run(
        self,
        command: tuple[str, ...],
        order: Order,
        own: Mapping[str, str] | None = None,
        *,
        watched: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes] | None:
        """Run a program to its end, saying how far it is; None where it was ended after so much silence.

        It dies with this process.

        Raises:
            ImageError: nobody wants it any more.
        """
        dying = shutil.which("setpriv")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                [*([dying, "--pdeathsig", "KILL"] if dying else []), *command],
                env={**self.environ, **(own or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                cwd="/",
            )
            order.watch(process)
            try:
                spoke = _wait(process, order, watched, self.silence)
            finally:
                order.watch(None)
            order.check()
            out.seek(0)
            err.seek(0)
            return (
                subprocess.CompletedProcess(
                    command, process.returncode, out.read(), err.read()[-100_000:]
                )
                if spoke
                else None
            )


def _wait(
    process: subprocess.Popen[bytes], order: Order, watched: Path | None, silence: float
) -> bool:
    """Wait for a program's end; False where it was ended since nothing came of it."""
    began = moved = time.monotonic()
    progress = Progress(process.pid, watched)
    pause = min(SAY_EVERY, silence / 4) if silence else SAY_EVERY
    while not _ended(process, pause):
        now = time.monotonic()
        if progress.is_made():
            moved = now
        elif silence and now - moved >= silence:
            _kill(process)
            process.wait()
            return False
        order.say(f"{progress.words}{human.duration(now - began)}")
    return True


class Progress:
    """What a session of processes has done, as far as it shows from outside.

    That is what they have read and computed, and what lies in their folder. A service's client reads how far its
    service is. What they have written does not count: somebody may ask again and again and be given no answer.
    """

    def __init__(self, session: int, folder: Path | None) -> None:
        self._session, self._folder = session, folder
        self._seen = (0, 0.0, 0)

    def is_made(self) -> bool:
        """Whether there was some since the last time that there was."""
        now = (*_work_of(self._session), size_of(self._folder) if self._folder else 0)
        read, worked, size = (new - old for new, old in zip(now, self._seen, strict=True))
        # A process that has ended takes its figures with it.
        moved = read >= _READ_AT_LEAST or worked >= _WORK_AT_LEAST or size != 0 or read < 0
        if moved:
            self._seen = now
        return moved

    @property
    def words(self) -> str:
        """How much there is so far, for people; nothing where that is not known."""
        size = self._seen[2]
        return f"{human.size(size)} so far, " if size else ""


def _work_of(session: int) -> tuple[int, float]:
    """Give the bytes that the processes of a session have read, and the seconds of a processor that they took."""
    read, ticks = 0, 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{name}/stat").read_bytes()
            fields = stat[stat.rindex(b")") + 2 :].split()
            if int(fields[3]) == session:
                ticks += sum(
                    map(int, fields[11:15])
                )  # its own and those of children that it waited for
                first = Path(f"/proc/{name}/io").read_bytes().split(b"\n", 1)[0]
                read += int(first.split()[1])
    return read, ticks * _TICK


def size_of(folder: Path) -> int:
    """Give how many bytes of the disk a folder takes."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512  # noqa: PTH118
    return total


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


_LINES_KEPT = 3
_LEVEL = ("FATAL:", "ERROR:", "Error:", "error:")


def last_words(text: str) -> str:
    """Give what a program said last that tells why it failed, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(_LEVEL)]
    chosen = telling[-1:] or lines[-_LINES_KEPT:]
    words = " ".join(chosen)
    for level in _LEVEL:
        words = words.removeprefix(level).strip()
    return words or "it said nothing"
