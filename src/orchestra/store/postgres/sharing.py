"""Sharing the embedded database with other machines: what is shared, the server's rules for it, and their role.

`share.json` in the data folder says what is shared; every start of the server follows it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from orchestra.domain.errors import DatabaseUnavailable
from orchestra.domain.sharing import ROLE
from orchestra.store.driver.database import connect
from orchestra.store.driver.sql import load
from orchestra.store.postgres import initdb
from orchestra.store.postgres.postmaster import NAME, Place
from orchestra.store.postgres.programs import Programs

_SQL = load("postgres/sharing")
_BEGIN, _END = "# Begin: written by maestro up --share", "# End"


@dataclass(frozen=True, slots=True)
class Share:
    """With whom the database is shared: machines of `networks`, at the addresses `listen` and one port.

    `host` is the address that they are given; `url_file` contains it with the password.
    """

    host: str
    port: int
    listen: tuple[str, ...]
    networks: tuple[str, ...]
    url_file: str

    def url(self, password: str) -> str:
        """The database's address for other machines."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{ROLE}:{quote(password, safe='')}@{host}:{self.port}/{NAME}"


def read(place: Place) -> Share | None:
    """Return with whom the database is shared; None if with nobody."""
    try:
        found = json.loads(_file(place).read_text(encoding="utf-8"))
        lists = {key: tuple(map(str, found[key])) for key in ("listen", "networks")}
        return Share(**{**found, **lists})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write(place: Place, share: Share) -> None:
    """Record what is shared from the next start on."""
    initdb.write_private(_file(place), json.dumps(asdict(share), indent=2) + "\n")


def forget(place: Place) -> None:
    """Share nothing from the next start on."""
    _file(place).unlink(missing_ok=True)


def _file(place: Place) -> Path:
    return place.data / "share.json"


def server_settings(share: Share) -> Mapping[str, str]:
    """Return the server's settings for a share."""
    return {"listen_addresses": ",".join(share.listen), "port": str(share.port)}


def write_rules(place: Place, programs: Programs, share: Share | None) -> None:
    """Let the role connect from the shared networks and from this machine, and nobody else by TCP.

    The rules come before those that are there, because PostgreSQL follows the first one that matches.
    """
    path = place.cluster / "pg_hba.conf"
    before = path.read_text(encoding="utf-8")
    after = _rules(share) + _without_rules(before)
    if after != before:
        initdb.write_private(path, after, programs)


def _rules(share: Share | None) -> str:
    if share is None:
        return ""
    networks = dict.fromkeys([*share.networks, *map(str, map(ip_network, share.listen))])
    lines = [f"host {NAME} {ROLE} {network} scram-sha-256" for network in networks]
    return "\n".join([_BEGIN, *lines, "host all all all reject", _END, ""])


def _without_rules(text: str) -> str:
    before, begins, rest = text.partition(f"{_BEGIN}\n")
    return before + rest.partition(f"{_END}\n")[2] if begins else text


def make_role(conn: psycopg.Connection, password: str) -> None:
    """Create the role of other machines or change its password, and grant it its rights."""
    secret = conn.pgconn.encrypt_password(password.encode(), ROLE.encode(), b"scram-sha-256")
    conn.execute(_SQL.make_role)
    conn.execute(sql.SQL(_SQL.set_password).format(sql.Literal(secret.decode())))
    grant_rights(conn)


def grant_rights(conn: psycopg.Connection) -> None:
    """Grant the role its rights on all tables, for example after the schema was replaced."""
    conn.execute(_SQL.grant_rights)


def remove_role(conn: psycopg.Connection) -> None:
    """Remove the role of other machines with all its rights."""
    if conn.execute(_SQL.has_role).fetchone():
        conn.execute(_SQL.remove_role)


def is_in_effect(conn: psycopg.Connection, share: Share) -> bool:
    """Whether the server listens as a share says; at its start, the address or the port may have been unavailable."""
    found = conn.execute(_SQL.listens).fetchone()
    return found == (",".join(share.listen), share.port)


def check(conn: psycopg.Connection, share: Share, password: str) -> None:
    """Check that the server listens as it should, and that other machines' role can connect.

    Raises:
        DatabaseUnavailable: it does not, or cannot.
    """
    if not is_in_effect(conn, share):
        raise DatabaseUnavailable(
            f"the embedded database does not listen at {share.host}:{share.port}.",
            hint='If its settings were changed with "alter system", run "alter system reset all" in it.',
        )
    connect(share.url(password), name="maestro up").close()


def trouble(share: Share) -> str | None:
    """Return why the server cannot listen as it should, in a sentence; None if it can. It does not run now."""
    for address in share.listen:
        if not has_address(address):
            return (
                f"the database is not shared now: {address} is no longer an address of this machine"
            )
        if not is_free(address, share.port):
            return f"the database is not shared now: another program uses port {share.port} of {address}"
    return None


def has_address(address: str) -> bool:
    """Whether this machine has an address: only such a one can be bound to."""
    return is_free(address, 0)


def is_free(address: str, port: int) -> bool:
    """Whether a server can listen at an address and a port of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
    except OSError:
        return False
    return True
