"""PostgreSQL servers: the oldest supported version, and their names in messages."""

from __future__ import annotations

from collections.abc import Mapping

OLDEST = 15
"""The oldest supported major version of PostgreSQL."""


def place(address: Mapping[str, str]) -> str:
    """The name of a server in messages, from its address."""
    hosts = address.get("host", address.get("hostaddr", "")).split(",")
    ports = address.get("port", "5432").split(",")
    ports += ports[:1] * (len(hosts) - len(ports))
    places = [
        f"the database in {host}"
        if host.startswith("/")
        else f"the database at {host or 'localhost'}:{port}"
        for host, port in zip(hosts, ports, strict=False)
    ]
    return " or ".join(places)
