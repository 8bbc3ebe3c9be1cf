"""The Python API, for notebooks and scripts: `orchestra.Client`.

It does what the command line does, through the same requests (`orchestra.interface`) and with the same configuration.
See docs/client.md.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.client import words
from orchestra.client.datasets import DataSets, SweepPreview
from orchestra.client.mails import MailContent, Mails
from orchestra.client.nodes import Nodes
from orchestra.client.pools import Pools
from orchestra.client.session import Session, with_hint
from orchestra.client.task import Job, Task
from orchestra.client.tasks import Tasks
from orchestra.client.users import Users

if TYPE_CHECKING:
    from datetime import date

    from orchestra.domain.models.users import User
    from orchestra.interface.answers.order import QueueOrder
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
    "Pools",
    "SweepPreview",
    "Task",
    "Tasks",
    "Users",
]


class Client:
    """Data sets, tasks, nodes, pools, users and mails, as on the command line.

    It connects to the database, or to a server over HTTP, at the first call, and again after a lost connection; an
    embedded database is started if needed.
    Threads may share a client: their calls wait for one another, except `wait()` and reading results.

    Attributes:
        datasets: registered lists of files.
        tasks: tasks and their jobs.
        nodes: machines and their slots.
        pools: pilots that Slurm starts when there is work.
        users: people who use this database.
        mails: mail that Orchestra wrote to them.
    """

    def __init__(self, config: str | os.PathLike[str] | None = None, **settings: object) -> None:
        """Read the configuration as the command line does.

        Args:
            config: path of a configuration file, instead of `~/.orchestra.json` or MAESTRO_CONFIG.
            settings: settings by name (docs/configuration.md), such as `server` and `token`, `postgres`, `volume`; they
                override the file and the environment. None is a setting's default.

        Raises:
            ConfigurationError: the file, a variable or a setting cannot be used.
        """
        from orchestra.wiring.settings import load_settings

        with with_hint():
            found = load_settings(None if config is None else os.fspath(config), given=settings)
        for caution in found.warnings:
            warnings.warn(str(caution), stacklevel=2)
        self._session = Session(found)
        self.datasets = DataSets(self._session)
        self.tasks = Tasks(self._session)
        self.nodes = Nodes(self._session)
        self.pools = Pools(self._session)
        self.users = Users(self._session)
        self.mails = Mails(self._session)

    def __repr__(self) -> str:
        from orchestra.domain.errors import OrchestraError

        try:
            if server := self._session.settings.server:
                return f"<orchestra.Client at {server}>"
            return f"<orchestra.Client of {self._session.user_name}>"
        except OrchestraError:  # it was pickled in another process, and cannot be used in this one
            return "<orchestra.Client>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def user(self) -> User:
        """You, as a user of Orchestra; your names begin with `user.<username>.`.

        Raises:
            DatabaseUnavailable, SchemaMismatch, ConfigurationError: the database cannot be used.
        """
        from orchestra.interface.me import Me

        return self._session(Me())

    def order(self) -> QueueOrder:
        """Return in which order waiting jobs start, and why: users, tasks, and nodes that wait for a job."""
        from orchestra.interface.queues import ShowOrder

        return self._session(ShowOrder())

    def ask(self, request: Request[T]) -> T:
        """Carry out any request of `orchestra.interface` and return its answer, for operations without a method here.

        `orchestra.interface.table.OPERATIONS` lists all requests. Names must be complete: "user.ana.fit".

        Raises:
            OrchestraError: the request was refused, or the database cannot be used.
        """
        return self._session(request)

    def queue(self, queue: str) -> QueueReport:
        """Return the running jobs of a queue, "cpu" or "gpu", and the next waiting ones in order, of all users.

        Raises:
            BadInput: there is no such queue.
        """
        from orchestra.interface.queues import ShowQueue

        return self._session(ShowQueue(words.queue(queue)))

    def usage(
        self,
        by: str | Sequence[str] = "user,month",
        *,
        since: str | date | None = None,
        until: str | date | None = None,
        user: str | User | None = None,
    ) -> list[dict[str, Any]]:
        """Return what jobs requested and used, a dictionary for each row: `pandas.DataFrame(client.usage("task"))`.

        Args:
            by: what to sum by, in this order: "user", "task", "node", "queue", "day", "month".
            since: the first day, "2026-11-03", the first of a month, "2026-11", or "30d" for the last 30 days.
            until: the last day, or month. Days are UTC's.
            user: only what this user's tasks took.

        Raises:
            BadInput: usage cannot be summed by one of these, or a day is none.
            NotFound: there is no such user, and was none.
        """
        from orchestra.client import users
        from orchestra.domain import accounting
        from orchestra.interface.usage import ListUsage

        keys = accounting.parse_keys(by if isinstance(by, str) else ",".join(by))
        name = None if user is None else users.name_of(user)
        first = accounting.first_day(since) if isinstance(since, str) else since
        last = accounting.last_day(until) if isinstance(until, str) else until
        report = self._session(ListUsage(keys, first, last, name))
        return list(accounting.sheet(report.rows, report.by).records())

    def close(self) -> None:
        """Close the connection; jobs continue."""
        self._session.close()
