"""Types the commands of docs/slurm.md on a real Slurm, writes what they print into the page, and draws its pilots.

    python -m bench.story

An output that the page shortens with a line "..." is left as it is. Needs root and Slurm (make slurm).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from bench.page import DOCS
from bench.site import Site, site
from bench.slurm import missing, slurm
from bench.timeline import Pilot, draw, pilots

PAGE, PICTURE = DOCS / "slurm.md", DOCS / "slurm-pilots.png"
_PIECE = re.compile(
    r"<!-- first:(?P<first>.*?)-->|(?P<reason><!-- not run: [^>]*-->\n+)?```console\n(?P<text>.*?)^```$",
    re.M | re.S,
)


class Reader:
    """Types the commands of a page, as ana in a folder of her home on a login node."""

    def __init__(self, place: Site) -> None:
        self._folder = place.folder / "home" / "tour"
        self._folder.mkdir()
        programs = Path(sys.executable).parent
        own = {
            "PATH": f"{programs}:{place.environment['PATH']}",
            "MAESTRO_VOLUME": str(self._folder),
        }
        self._environment = {**place.environment, **own}
        self._home = place.environment["HOME"]
        self._place = place
        self._pids = place.folder / "pids"
        self.pilots: list[Pilot] = []

    def type(self, text: str) -> str:
        """Run commands in a shell, and return what they print."""
        with tempfile.TemporaryFile(
            "w+"
        ) as printed:  # unlike a pipe, it does not wait for what goes on in the background
            subprocess.run(
                ["bash", "-c", text],
                check=False,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=300,
            )
            printed.seek(0)
            return told(printed.read().replace(self._home, "/home/ana").rstrip())

    def follow(self, piece: re.Match[str]) -> str:
        """Return a block of the page with what its commands print now."""
        if piece["first"] is not None:
            self.type(piece["first"])
            return piece[0]
        if piece["reason"]:
            return piece[0]
        typed = re.split(r"^\$ ", piece["text"], flags=re.M)[1:]
        shown = "```console\n" + "".join(map(self._typed, typed)) + "```"
        with self._place.connect() as conn:
            self.pilots = pilots(conn) or self.pilots  # a pool that is deleted takes them with it
        return shown

    def _typed(self, part: str) -> str:
        command, _, shown = part.partition("\n")
        while command.endswith("\\"):
            more, _, shown = shown.partition("\n")
            command += f"\n{more}"
        printed = self.type(
            f"{command} echo $! >>{self._pids}" if command.endswith("&") else command
        )
        print(f"$ {command}\n{printed}", flush=True)
        if "..." not in shown.splitlines():
            shown = f"{printed}\n" if printed else ""
        return f"$ {command}\n{shown}"

    def end(self) -> None:
        """End what its commands left in the background."""
        for pid in self._pids.read_text().split() if self._pids.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)


def told(printed: str) -> str:
    """Return what ana would see: here root runs the pool, so that its pilots may run everybody's jobs."""
    host = socket.gethostname()
    return printed.replace(
        f"root on {host}, for everybody's jobs", "ana on gauss, for jobs of the Unix account ana"
    )


def main() -> int:
    if why := missing():
        print(f"error: {why}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="orchestra-story-"))
    folder.chmod(0o711)
    try:
        with slurm(folder) as cluster, site(folder, variables=cluster.environment) as place:
            place.maestro("user", "create", "-n", "ana", "-e", "ana@example.org")
            reader = Reader(place)
            try:
                text = _PIECE.sub(reader.follow, PAGE.read_text(encoding="utf-8"))
            finally:
                reader.end()
            PAGE.write_text(text, encoding="utf-8")
            draw(reader.pilots, PICTURE)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    os.environ.pop("MAESTRO_CONFIG", None)
    sys.exit(main())
