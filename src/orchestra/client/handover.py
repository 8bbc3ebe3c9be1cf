"""Pickling: what is passed on with a pickled client, task or job, and how another process connects with it.

No secret of the configuration is pickled (but a task's `env` is, which everybody can read in the database): the other
process reads passwords where this one did, in the configuration or the environment. If that fails, the first call
raises, not the unpickling: an error during unpickling hangs a pool of processes.
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
    """A client's settings without secrets. Equal handovers share a connection in the process that receives them.

    If `postgres` contains a secret, `address` has its other parts; else it is among the settings. `token` says whether
    there is one for `server`.
    """

    path: Path | None
    settings: tuple[tuple[str, Any], ...]
    address: tuple[tuple[str, str], ...] = ()
    token: bool = False

    def unpacked(self) -> Settings:
        """Return the client's settings in this process.

        Raises:
            ConfigurationError: the configuration cannot be used, or lacks the password or the token.
        """
        from orchestra.config import load

        is_there = self.path is not None and self.path.exists()
        found = load(str(self.path) if is_there else None)
        if self.address and (not found.postgres or _public(found.postgres) != self.address):
            raise _no_password(dict(self.address))
        values = dict(self.settings)
        # A token for one server is never sent to another one.
        token = found.token if self.token and found.server == values["server"] else None
        if self.token and token is None:
            raise _no_token(values["server"])
        return replace(found, **values, token=token)


def pack(settings: Settings) -> Handover:
    """Return the settings to pickle with a client."""
    from orchestra.config import SETTINGS

    values = {each.name: getattr(settings, each.name) for each in SETTINGS if not each.secret}
    address = _public(settings.postgres) if settings.postgres else ()
    if not address:
        values["postgres"] = settings.postgres
    path = settings.path.absolute() if settings.path else None
    return Handover(
        path, tuple(values.items()), address, token=bool(settings.server and settings.token)
    )


def _public(url: str) -> tuple[tuple[str, str], ...]:
    """Return the parts of an address that are not secret; none if it contains no secret."""
    from orchestra.wiring.database import public_address

    return tuple(sorted(public_address(url).items()))


def _no_token(server: str) -> ConfigurationError:
    return ConfigurationError(
        f"the token for the server at {server} is not passed to another process, and the configuration there does not "
        "have it.",
        hint='Put "server" and "token" into the configuration there, or give the process numbers (task.id, '
        "job.address) and have it make an orchestra.Client(server=..., token=...) of its own.",
    )


def _no_password(address: Mapping[str, str]) -> ConfigurationError:
    place = f"{address.get('host') or address.get('hostaddr') or 'localhost'}:{address.get('port') or 5432}"
    return ConfigurationError(
        f"the password for the database at {place} is not passed to another process, and the configuration there "
        "does not have it.",
        hint='Put "postgres" into the configuration or MAESTRO_POSTGRES, or give the process numbers (task.id, '
        "job.address) and have it make an orchestra.Client(postgres=...) of its own.",
    )
