"""A client in another process: what goes along with a pickled client, task or job, and what is made of it there.

No secret of the configuration goes along (a task has its `env` with it, as everybody can read it in the database): the
other process reads passwords where this one did, in the configuration or the environment. If
that fails, the first call says so, not the unpickling: with an error there, a pool of processes hangs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestra.config import Settings


@dataclass(frozen=True)
class Handover:
    """A client's settings without the secret ones. Equal ones share a connection in the process that receives them.

    `address` has the parts of `postgres` that are no secret, where it holds one; else that is among the settings.
    """

    path: Path | None
    settings: tuple[tuple[str, Any], ...]
    address: tuple[tuple[str, str], ...] = ()

    def unpacked(self) -> Settings:
        """Give the settings that the client has here.

        Raises:
            ConfigurationError: the configuration cannot be used, or lacks the password.
        """
        from orchestra.config import load

        is_there = self.path is not None and self.path.exists()
        found = load(str(self.path) if is_there else None)
        if self.address and (not found.postgres or _public(found.postgres) != self.address):
            raise _no_password(dict(self.address))
        return replace(found, **dict(self.settings))


def pack(settings: Settings) -> Handover:
    """Give what goes along of a client's settings."""
    from orchestra.config import SETTINGS

    values = {each.name: getattr(settings, each.name) for each in SETTINGS if not each.secret}
    address = _public(settings.postgres) if settings.postgres else ()
    if not address:
        values["postgres"] = settings.postgres
    path = settings.path.absolute() if settings.path else None
    return Handover(path, tuple(values.items()), address)


def _public(url: str) -> tuple[tuple[str, str], ...]:
    """Give the parts of an address that are no secret; none where nothing in it is secret."""
    from orchestra.wiring.database import public_address

    return tuple(sorted(public_address(url).items()))


def _no_password(address: Mapping[str, str]) -> ConfigurationError:
    place = f"{address.get('host') or address.get('hostaddr') or 'localhost'}:{address.get('port') or 5432}"
    return ConfigurationError(
        f"the password for the database at {place} is not handed to another process, and the configuration there has "
        "none for it.",
        hint='Put "postgres" into the configuration or MAESTRO_POSTGRES, or give the process numbers (task.id, '
        "job.address) and have it make an orchestra.Client(postgres=...) of its own.",
    )
