"""The program as people run it: real processes, a home folder and a configuration of their own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.api import records
from orchestra.store.postgres import embedded
from support import quick_start
from support.waiting import wait_until

MODULE = "orchestra.cli.main"
PROGRAM = (sys.executable, "-m", MODULE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a command printed, and its exit status."""

    command: str
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed as JSON."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"$ maestro {self.command}\n{self.out}{self.err}-> {self.status}"


@dataclass
class Maestro:
    """A user who types `maestro ...` in `folder`, with nothing of our environment but the PATH."""

    home: Path
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    within: tuple[str, ...] = ()
    """A command that runs the commands, such as unshare."""
    program: tuple[str, ...] = PROGRAM

    def configure(self, **settings: object) -> Path:
        """Write the configuration file."""
        path = self.home / ".orchestra.json"
        path.write_text(json.dumps(settings))
        path.chmod(0o600)
        return path

    def environment(self) -> dict[str, str]:
        """The environment of the commands."""
        base = {"PATH": os.environ["PATH"], "HOME": str(self.home), "USER": "ana"}
        base["MAESTRO_SYSTEM_CONFIG"] = ""  # whatever this machine has in /etc
        if os.geteuid() == 0 and self._has_address():  # only the test creates tasks there
            base["MAESTRO_ALLOW_ROOT"] = "1"
        if path := os.environ.get("PYTHONPATH"):  # set to test another copy of the source
            base["PYTHONPATH"] = path
        return {key: value for key, value in {**base, **self.env}.items() if value != "<unset>"}

    def _has_address(self) -> bool:
        configured = self.home / ".orchestra.json"
        return "MAESTRO_POSTGRES" in self.env or (
            configured.exists() and '"postgres"' in configured.read_text()
        )

    def __call__(
        self,
        *arguments: object,
        status: int | None = 0,
        typed: str | None = None,
        timeout: float = 60,
    ) -> Sentence:
        """Run a command to its end. `status` is the required exit status, None for any; `typed` is its stdin."""
        words = [str(argument) for argument in arguments]
        done = self._run(words, typed, timeout)
        said = Sentence(shlex.join(words), done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in said.err, said
        assert "bug in Orchestra" not in said.err, said
        assert status is None or said.status == status, said
        return said

    def _run(
        self, words: list[str], typed: str | None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        env = self.environment()
        if not self.within and quick_start.can_run(env):
            return quick_start.run(
                MODULE, words, cwd=self.folder, env=env, typed=typed, timeout=timeout
            )
        return subprocess.run(
            [*self.within, *self.program, *words],
            check=False,
            cwd=self.folder,
            env=env,
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def line(self, command: str, **options: Any) -> Sentence:
        """Run a command as it is typed: `line("task list -a")`."""
        return self(*shlex.split(command), **options)

    def refused(self, *arguments: object, **options: Any) -> str:
        """Run a command that must fail because of a user's mistake; return its error: one sentence, perhaps hints."""
        said = self(*arguments, status=2, **options)
        lines = said.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, said
        assert said.out == "", said
        return said.err[said.err.index("error: ") :]

    def pilot(self) -> Any:
        """The only pilot, as `pilot list` prints it."""
        [pilot] = self.line("pilot list -o json").json
        return pilot

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """Start a command in the background; it is ended with the test."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options}
        process = subprocess.Popen(
            [*self.within, *self.program, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End what was started."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        data = Path(self.env.get("MAESTRO_DATA_DIR", "/nowhere"))
        if data.exists() and embedded.url_if_running(data):
            self("down", "--kill", "--yes", status=None)
            embedded.stop(data, mode="immediate")
        for folder in Path(self.env.get("MAESTRO_STATE_DIR", "/nowhere")).glob("*/"):
            for server in records.running(folder):
                server.end()

    def wait_for(self, *arguments: object, shows: str, timeout: float = 30) -> Sentence:
        """Run a command again and again until its output contains a text."""

        def look() -> Sentence | None:
            said = self(*arguments, status=None)
            return said if shows in said.out else None

        found = wait_until(look, timeout, lambda: self(*arguments, status=None))
        assert found is not None
        return found
