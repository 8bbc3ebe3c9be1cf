"""The Python API, for notebooks and scripts: `orchestra.Client`.

It does what the command line does, by the same requests (`orchestra.interface`) and with the same configuration.
docs/client.md shows it.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, TypeVar

from orchestra.client import words
from orchestra.client.datasets import DataSets, SweepPreview
from orchestra.client.mails import MailContent, Mails
from orchestra.client.nodes import Nodes
from orchestra.client.session import Session, with_hint
from orchestra.client.task import Job, Task
from orchestra.client.tasks import Tasks
from orchestra.client.users import Users

if TYPE_CHECKING:
    from orchestra.domain.models.users import User
    from orchestra.interface.answers.queues import QueueReport
    from orchestra.interface.operation import Request

T = TypeVar("T")

__all__ = [
    "Client",
    "DataSets",
    "Job",
    "MailContent",
    "Mails",
    "Nodes",
    "SweepPreview",
    "Task",
    "Tasks",
    "Users",
]


class Client:
    """Data sets, tasks, nodes, users and mails, as the command line has them.

    The connection is made at first need; one that was lost is made anew by the next call, and an embedded database is
    started where needed. Threads may share a client: their calls wait for one another, `wait()` and reading results
    do not.

    Attributes:
        datasets: registered lists of files.
        tasks: the work.
        nodes: the machines and their slots.
        users: the people.
        mails: what was written to them.
    """

    def __init__(self, config: str | os.PathLike[str] | None = None, **settings: object) -> None:
        """Read the configuration as the command line does.

        Args:
            config: another file than `~/.orchestra.json` or that of MAESTRO_CONFIG.
            settings: settings by name (docs/configuration.md), over the file and the environment: `postgres`,
                `username`, `volume`, ...; None is a setting's default.

        Raises:
            ConfigurationError: the file, a variable or a setting cannot be used.
        """
        from orchestra.config import load

        with with_hint():
            found = load(None if config is None else os.fspath(config), given=settings)
        for caution in found.warnings:
            warnings.warn(str(caution), stacklevel=2)
        self._session = Session(found)
        self.datasets = DataSets(self._session)
        self.tasks = Tasks(self._session)
        self.nodes = Nodes(self._session)
        self.users = Users(self._session)
        self.mails = Mails(self._session)

    def __repr__(self) -> str:
        from orchestra.domain.errors import OrchestraError

        try:
            return f"<orchestra.Client of {self._session.user_name}>"
        except OrchestraError:  # it came from another process, and cannot be used in this one
            return "<orchestra.Client>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def user(self) -> User:
        """Give who you are in Orchestra; your names begin with `user.<username>.`.

        Raises:
            DatabaseUnavailable, SchemaMismatch, ConfigurationError: the database cannot be used.
        """
        from orchestra.interface.me import Me

        return self._session(Me())

    def ask(self, request: Request[T]) -> T:
        """Carry out any request of `orchestra.interface` and return its answer: for what has no method of its own.

        `orchestra.interface.table.OPERATIONS` lists all requests. Names are whole here: "user.ana.fit".

        Raises:
            OrchestraError: it was refused, or the database cannot be used; one sentence says why.
        """
        return self._session(request)

    def queue(self, queue: str) -> QueueReport:
        """Return what runs on a queue, "cpu" or "gpu", and the next jobs that wait, everybody's, in their order.

        Raises:
            BadInput: there is no queue of that name.
        """
        from orchestra.interface.queues import ShowQueue

        return self._session(ShowQueue(words.queue(queue)))

    def close(self) -> None:
        """Close the connection; what runs, runs on."""
        self._session.close()
