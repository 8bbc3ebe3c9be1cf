"""The program as people run it who have no database, but a server: the same commands, over HTTP."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.cli.registry import resolve
from orchestra.domain.errors import BadInput
from orchestra.wiring.settings import load_settings
from support.commands import Forkserver
from support.http_server import serving
from support.maestro import Maestro, Sentence

POSTGRES_ONLY = ("postgres", "username", "email")
"""Settings that are the server's here: who somebody is, it knows by itself."""


@dataclass
class RemoteMaestro(Maestro):
    """A user whose configuration names a server alone. Commands that are local by nature get the database's address.

    Each user name has a server of its own, since the peers of all of them are the account of the tests.
    """

    commands: Forkserver = field(kw_only=True)
    stack: ExitStack = field(default_factory=ExitStack)
    sockets: dict[str, str] = field(default_factory=dict)

    @property
    def _own(self) -> Path:
        return self.home / "own.json"

    def configure(self, **settings: object) -> Path:
        """Write a configuration with the database's address for the servers, and one without it for the commands."""
        for path, kept in (
            (self._own, settings),
            (
                self.home / ".orchestra.json",
                {key: value for key, value in settings.items() if key not in POSTGRES_ONLY},
            ),
        ):
            path.write_text(json.dumps(kept))
            path.chmod(0o600)
        return self.home / ".orchestra.json"

    def environment(self) -> dict[str, str]:
        """The environment of commands over HTTP: nothing in it leads to the database."""
        given = super().environment()
        given["MAESTRO_SERVER"] = f"unix:{self._socket(given.pop('MAESTRO_USERNAME', ''))}"
        given["MAESTRO_DATA_DIR"] = str(self.home / "no-database")
        given.pop("MAESTRO_EMAIL", None)
        return given

    def local_environment(self) -> dict[str, str]:
        """The environment of commands that need the database."""
        return {**super().environment(), "MAESTRO_CONFIG": str(self._own)}

    def _has_address(self) -> bool:
        return True

    def _socket(self, username: str) -> str:
        if username not in self.sockets:
            given: dict[str, object] = {"username": username} if username else {}
            settings = load_settings(str(self._own), given=given)
            self.sockets[username] = self.stack.enter_context(serving(settings))
        return self.sockets[username]

    def __call__(
        self,
        *arguments: object,
        status: int | None = 0,
        typed: str | None = None,
        timeout: float = 60,
    ) -> Sentence:
        """Run a command to its end, over HTTP unless it is local by nature."""
        words = [str(argument) for argument in arguments]
        if is_local(words):
            local = Maestro(self.home, self.folder, {**self.env, "MAESTRO_CONFIG": str(self._own)})
            return local(*words, status=status, typed=typed, timeout=timeout)
        if "PYTHONPATH" in self.env:  # other modules than those that are loaded
            return super().__call__(*words, status=status, typed=typed, timeout=timeout)
        done = self.commands.run(
            words, folder=self.folder, env=self.environment(), typed=typed, timeout=timeout
        )
        said = Sentence(shlex.join(words), done.status, done.out, done.err)
        assert "Traceback" not in said.err, said
        assert "bug in Orchestra" not in said.err, said
        assert not done.loaded, (said, done.loaded)
        assert status is None or said.status == status, said
        return said

    def start(self, *arguments: object, **options: Any) -> Any:
        """Start a command in the background."""
        if not is_local([str(argument) for argument in arguments]):
            return super().start(*arguments, **options)
        before = self.environment
        self.environment = self.local_environment  # type: ignore[method-assign]
        try:
            return super().start(*arguments, **options)
        finally:
            self.environment = before  # type: ignore[method-assign]

    def end(self) -> None:
        """End what was started, and the servers."""
        super().end()
        self.stack.close()


def is_local(words: list[str]) -> bool:
    """Whether a command is for this machine alone."""
    if words[:2] in (["job", "run"], ["user", "init"], ["pool", "run"]):
        return True
    try:
        _word, verb, _command = resolve(words)
    except (BadInput, IndexError):
        return False
    return verb.run.__module__.startswith("orchestra.cli.local")
