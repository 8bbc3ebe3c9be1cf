"""What a server process has, for all its requests."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.api.hub import Hub
from orchestra.domain.identities import Identity
from orchestra.domain.models.users import User
from orchestra.interface.operation import Interface, Request

if TYPE_CHECKING:
    from orchestra.config import Settings

T = TypeVar("T")

Once = Callable[[Identity, str, Request[Any]], Any]


@dataclass(frozen=True, slots=True)
class Server:
    """What a server process has. `wiring/server.py` provides it.

    Args:
        settings: the configuration.
        interface: provides an interface for what one identity requests, over a connection of the pool.
        user_of: the user of a Unix account, given its user id; created if there is none.
        hub: the open streams of pages.
        once: carries out a change under an idempotency key: the same key gets the same answer.
        root_path: the prefix below which a proxy offers this server; "" without one.
        hosts: the names under which it answers; empty, under every name.
        state: what parts of the server keep with it, by name.
    """

    settings: Settings
    interface: Callable[[Identity], AbstractContextManager[Interface]]
    once: Once
    user_of: Callable[[int], User]
    hub: Hub
    root_path: str = ""
    hosts: frozenset[str] = frozenset()
    state: dict[str, Any] = field(default_factory=dict)

    def ask(self, identity: Identity, asked: Request[T]) -> T:
        """Carry out one request of an identity.

        Raises:
            OrchestraError: as the request does.
        """
        with self.interface(identity) as ask:
            return ask(asked)
