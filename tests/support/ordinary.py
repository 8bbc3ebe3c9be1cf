"""An ordinary user's account that root can use, with its own home folder."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg

SOURCE = Path(__file__).parents[2] / "src"
PACKAGES = Path(psycopg.__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Ordinary:
    """The account "nobody", with a home that belongs to it."""

    uid: int
    gid: int
    home: Path

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, in its home, with nothing of our environment."""
        return subprocess.run(
            arguments,
            check=False,
            timeout=timeout,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{SOURCE}{os.pathsep}{PACKAGES}",
            },
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def python(self, script: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a Python script with our packages as this user."""
        python = self.interpreter()
        assert python is not None
        return self.run(python, "-c", script, timeout=timeout)

    def interpreter(self) -> str | None:
        """Return a Python of our version that this user may run: ours may be in root's home."""
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
            try:
                if self.run(candidate, "-c", "import orchestra, psycopg").returncode == 0:
                    return candidate
            except OSError:
                continue
        return None
