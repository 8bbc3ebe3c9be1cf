"""Sharing an embedded database with other machines: from what was named to addresses and networks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv6Address,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Protocol

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line

ROLE = "orchestra_shared"
"""The role of other machines. It can use the tables, but not create, alter or drop any."""
PORT = 5433
PORTS = range(PORT, PORT + 60)
"""Ports to try, the first free one is used. 5432 is often taken by a PostgreSQL of the system."""

_ELSEWHERE = "192.0.2.1"
"""An address beyond every router (RFC 5737): the way to it is that of the default route."""

Address = IPv4Address | IPv6Address


class Machine(Protocol):
    """What is to be known of this machine's network."""

    @property
    def routes(self) -> str:
        """The contents of /proc/net/route."""
        ...

    def is_own(self, address: str) -> bool:
        """Whether this machine has the address."""
        ...

    def source(self, target: str) -> str | None:
        """The address from which this machine sends to another; None if there is no way to it."""
        ...

    def resolve(self, name: str) -> Sequence[str]:
        """The addresses of a host name, IPv4 first; empty if it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the database: machines of `networks`, at the addresses `listen`; `host` is what they are given."""

    host: str
    listen: tuple[str, ...]
    networks: tuple[str, ...]


def access(wanted: str, machine: Machine) -> Access:
    """Return who may use the database, from what was named.

    `wanted` has networks (10.1.0.0/16), addresses or host names, separated by commas. An address of this machine stands
    for the network that it is in, another machine's for that machine. If it is empty, it is this machine's network: the
    one with its default route.

    Raises:
        BadInput: something else was named, or a network that this machine has no way to.
    """
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    parts = [_of_word(word, machine) for word in words] or [_own_network(machine)]
    return Access(
        host=parts[0].host,
        listen=tuple(dict.fromkeys(address for part in parts for address in part.listen)),
        networks=tuple(dict.fromkeys(network for part in parts for network in part.networks)),
    )


def _own_network(machine: Machine) -> Access:
    address = machine.source(_ELSEWHERE)
    if address is None:
        raise BadInput(
            "this machine has no default route, so it is not clear with which network to share.",
            hint="Name the network, for example 10.1.0.0/16.",
        )
    return _of_own_address(ip_address(address), machine)


def _of_word(word: str, machine: Machine) -> Access:
    if "/" in word:
        return _of_network(word, machine)
    try:
        address = ip_address(word)
    except ValueError:
        return _of_name(word, machine)
    return _of_address(address, machine)


def _of_network(word: str, machine: Machine) -> Access:
    try:
        given = ip_interface(word)
    except ValueError:
        raise _not_an_address(word) from None
    network = given.network
    if network.prefixlen == 0:
        raise BadInput(
            f"{word} means all machines of the Internet.",
            hint="Name a network, for example 10.1.0.0/16.",
        )
    if machine.is_own(str(given.ip)):
        here: str | None = str(given.ip)
    else:
        first = network.network_address + (1 if network.num_addresses > 2 else 0)
        here = machine.source(str(first))
    if here is None:
        raise BadInput(f"this machine has no way to the network {network}.")
    return Access(here, (here,), (str(network),))


def _of_address(address: Address, machine: Machine) -> Access:
    if address.is_unspecified or address.is_multicast:
        raise BadInput(
            f"{address} is not the address of a machine.",
            hint="Name a network, for example 10.1.0.0/16.",
        )
    if machine.is_own(str(address)):
        return _of_own_address(address, machine)
    here = machine.source(str(address))
    if here is None:
        raise BadInput(f"this machine has no way to {address}.")
    return Access(here, (here,), (str(ip_network(address)),))


def _of_own_address(address: Address, machine: Machine) -> Access:
    network = connected_network(address, machine.routes)
    if network is None:
        raise BadInput(
            f"the network of {address}, an address of this machine, is not known.",
            hint=f"Name it with its length, for example {address}/{24 if address.version == 4 else 64}.",
        )
    return Access(str(address), (str(address),), (network,))


def _of_name(name: str, machine: Machine) -> Access:
    addresses = [ip_address(found) for found in machine.resolve(name)]
    if not addresses:
        raise _not_an_address(name)
    address = next((each for each in addresses if not each.is_loopback), addresses[0])
    if address.is_loopback and name != "localhost":
        raise BadInput(
            f"on this machine, {name} is the address {address}, which other machines cannot reach.",
            hint="Name the machine's address in the network, or the network.",
        )
    found = _of_address(address, machine)
    is_here = found.listen == (str(address),)
    return Access(name if is_here else found.host, found.listen, found.networks)


def _not_an_address(word: str) -> BadInput:
    return BadInput(
        f'"{one_line(word)}" is not a network, an address or the name of a machine.',
        hint="For example 10.1.0.0/16.",
    )


def connected_network(address: Address, routes: str) -> str | None:
    """Return the network of one of this machine's addresses, from /proc/net/route; None if it is not listed there.

    That file has IPv4 only, without the loopback. Its numbers are hexadecimal and in the order of the machine's bytes.
    """
    if address.is_loopback:
        return "127.0.0.0/8" if address.version == 4 else "::1/128"
    found = []
    for line in routes.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        destination, gateway, mask = (_from_hex(fields[place]) for place in (1, 2, 7))
        if int(gateway) or not int(mask):
            continue
        network = ip_network(f"{destination}/{mask}", strict=False)
        if address in network:
            found.append(network)
    # The narrowest one: others are routes to what surrounds it.
    return str(max(found, key=lambda network: network.prefixlen)) if found else None


def _from_hex(text: str) -> IPv4Address:
    import sys

    return IPv4Address(int.from_bytes(bytes.fromhex(text), sys.byteorder))
