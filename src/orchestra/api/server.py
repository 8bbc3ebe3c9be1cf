"""What a server process has, for all its requests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.api.accounts import Accounts
from orchestra.api.hub import Hub
from orchestra.api.limits import Failures
from orchestra.api.request_figures import RequestFigures
from orchestra.domain.errors import DatabaseUnavailable
from orchestra.domain.identities import Identity
from orchestra.interface.operation import Interface, Request

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.domain.models.figures import Figures
    from orchestra.files.upload_store import UploadStore

T = TypeVar("T")


def _unknown() -> Any:
    raise DatabaseUnavailable("this server has no database.")


Once = Callable[[Identity, str, Request[Any]], Any]


@dataclass(frozen=True, slots=True)
class Server:
    """What a server process has. `wiring/server.py` provides it.

    Args:
        settings: the configuration.
        interface: provides an interface for what one identity requests, over a connection of the pool.
        accounts: who callers are.
        hub: the open streams of pages.
        once: carries out a change under an idempotency key: the same key gets the same answer.
        check: raises DatabaseUnavailable unless the database answers.
        figures: the figures of the cluster.
        requests: the figures of this process.
        failures: failed attempts to sign in.
        cluster: the id of the database.
        root_path: the prefix below which a proxy offers this server; "" without one.
        hosts: the names under which it answers, besides those of the loopback and numeric addresses.
        roots: the folders that it may read, as their operator named them.
        uploads: the folder for uploads, if there is one.
        roots_in_use: the roots of the data sets' versions that begin with some text.
        state: what parts of the server keep with it, by name.
    """

    settings: Settings
    interface: Callable[[Identity], AbstractContextManager[Interface]]
    once: Once
    accounts: Accounts
    hub: Hub
    check: Callable[[], None] = _unknown
    figures: Callable[[], Figures] = _unknown
    requests: RequestFigures = field(default_factory=RequestFigures)
    failures: Failures = field(default_factory=Failures)
    cluster: str = ""
    root_path: str = ""
    hosts: frozenset[str] = frozenset()
    roots: tuple[str, ...] = ()
    uploads: UploadStore | None = None
    roots_in_use: Callable[[str], Collection[str]] = lambda _: ()
    state: dict[str, Any] = field(default_factory=dict)

    def ask(self, identity: Identity, asked: Request[T]) -> T:
        """Carry out one request of an identity.

        Raises:
            OrchestraError: as the request does.
        """
        with self.interface(identity) as ask:
            return ask(asked)
