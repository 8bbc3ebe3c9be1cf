"""Runs the programs that fetch images: with retries, a timeout for lack of progress, and cancellation."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestra.domain import human, image_errors
from orchestra.runtimes.images.progress import Progress
from orchestra.runtimes.images.request import ImageError, ImageRequest, kill

PAUSES = (2.0, 10.0, 30.0)
"""Seconds between one try to fetch an image and the next."""
SILENCE = 300.0
"""Seconds without progress after which a try is abandoned."""
SAY_EVERY = 3.0


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Runs programs for images.

    Args:
        environ: their environment.
        pauses: seconds between one try and the next.
        silence: seconds without progress after which a try is abandoned; 0 for no limit.
    """

    environ: Mapping[str, str]
    pauses: tuple[float, ...] = PAUSES
    silence: float = SILENCE

    def fetch(
        self,
        command: tuple[str, ...],
        address: str,
        request: ImageRequest,
        variables: Mapping[str, str] | None = None,
        watched: Path | None = None,
    ) -> str:
        """Run the command that fetches an image, again after each pause, and return its output.

        Args:
            variables: added to its environment.
            watched: a folder that grows with progress.

        Raises:
            ImageError: all tries have failed, or the request was cancelled.
        """
        words: str | None = ""
        for pause in (*self.pauses, None):
            done = self.run(command, request, variables, watched=watched)
            if done is None:
                words = None
            elif done.returncode == 0:
                return done.stdout.decode(errors="replace")
            else:
                words = error_summary(done.stderr.decode(errors="replace"))
            if pause is not None:
                silent = f"nothing arrived for {human.duration(self.silence)}"
                request.say(f"trying again in {pause:g} s: {words or silent}")
                request.wait(pause)
        trouble = image_errors.describe_failure(
            address, words, runtime=Path(command[0]).name, silence=self.silence
        )
        raise ImageError(trouble.sentence, hint=trouble.advice)

    def run(
        self,
        command: tuple[str, ...],
        request: ImageRequest,
        variables: Mapping[str, str] | None = None,
        *,
        watched: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes] | None:
        """Run a program to its end and report its progress; None if it was ended for lack of it.

        The program is killed when this process dies.

        Raises:
            ImageError: the request was cancelled.
        """
        setpriv = shutil.which("setpriv")
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                [*([setpriv, "--pdeathsig", "KILL"] if setpriv else []), *command],
                env={**self.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                cwd="/",
            )
            request.watch(process)
            try:
                has_ended = _wait(process, request, watched, self.silence)
            finally:
                request.watch(None)
            request.check()
            if not has_ended:
                return None
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(
                command, process.returncode, out.read(), err.read()[-100_000:]
            )


def _wait(
    process: subprocess.Popen[bytes], request: ImageRequest, watched: Path | None, silence: float
) -> bool:
    """Wait for the end of a program; False if it was killed for lack of progress."""
    began = moved = time.monotonic()
    progress = Progress(process.pid, watched)
    pause = min(SAY_EVERY, silence / 4) if silence else SAY_EVERY
    while not _ends_within(process, pause):
        now = time.monotonic()
        if progress.has_moved():
            moved = now
        elif silence and now - moved >= silence:
            kill(process)
            process.wait()
            return False
        request.say(f"{progress.words}{human.duration(now - began)}")
    return True


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


_LINES_KEPT = 3
_LEVELS = ("FATAL:", "ERROR:", "Error:", "error:")


def error_summary(text: str) -> str:
    """Return the last error of a program's output, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(_LEVELS)]
    words = " ".join(errors[-1:] or lines[-_LINES_KEPT:])
    for level in _LEVELS:
        words = words.removeprefix(level).strip()
    return words or "it printed nothing"
