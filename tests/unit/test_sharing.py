"""From what `maestro up --share` is given to addresses and networks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.sharing import Access, access, connected_network


def route(destination: str, gateway: str, mask: str) -> str:
    """A line of /proc/net/route."""

    def hexadecimal(address: str) -> str:
        return int(ip_address(address)).to_bytes(4, sys.byteorder).hex().upper()

    numbers = [hexadecimal(address) for address in (destination, gateway, mask)]
    return f"eth0\t{numbers[0]}\t{numbers[1]}\t0001\t0\t0\t100\t{numbers[2]}\t0\t0\t0"


ROUTES = "\n".join(
    [
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT",
        route("0.0.0.0", "10.1.3.1", "0.0.0.0"),
        route("10.1.0.0", "0.0.0.0", "255.255.0.0"),
        route("10.1.3.0", "0.0.0.0", "255.255.255.0"),
        route("172.16.0.0", "10.1.3.2", "255.255.0.0"),
        "",
    ]
)


@dataclass
class Gauss:
    """A machine with the addresses 10.1.3.7 and fd00::7."""

    routes: str = ROUTES
    names: dict[str, list[str]] = field(
        default_factory=lambda: {
            "gauss": ["127.0.1.1"],
            "gauss.lab": ["127.0.1.1", "10.1.3.7"],
            "localhost": ["127.0.0.1", "::1"],
            "kant": ["10.1.3.9"],
        }
    )

    def is_own(self, address: str) -> bool:
        return address in ("10.1.3.7", "fd00::7") or ip_address(address).is_loopback

    def source(self, target: str) -> str | None:
        if self.is_own(target):
            return target
        if ":" in target:
            return "fd00::7" if target.startswith("fd00:") else None
        return "10.1.3.7" if self.routes else None

    def resolve(self, name: str) -> Sequence[str]:
        return self.names.get(name, [])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        # Nothing: this machine's network.
        ("", Access("10.1.3.7", ("10.1.3.7",), ("10.1.3.0/24",))),
        # A network, also one that is beyond a router; or an address with its length.
        ("10.1.0.0/16", Access("10.1.3.7", ("10.1.3.7",), ("10.1.0.0/16",))),
        ("172.16.0.0/12", Access("10.1.3.7", ("10.1.3.7",), ("172.16.0.0/12",))),
        ("10.1.3.7/16", Access("10.1.3.7", ("10.1.3.7",), ("10.1.0.0/16",))),
        ("fd00::/64", Access("fd00::7", ("fd00::7",), ("fd00::/64",))),
        # An address of this machine: its network. Another one: that machine alone.
        ("10.1.3.7", Access("10.1.3.7", ("10.1.3.7",), ("10.1.3.0/24",))),
        ("10.1.3.9", Access("10.1.3.7", ("10.1.3.7",), ("10.1.3.9/32",))),
        ("127.0.0.1", Access("127.0.0.1", ("127.0.0.1",), ("127.0.0.0/8",))),
        # Names.
        ("kant", Access("10.1.3.7", ("10.1.3.7",), ("10.1.3.9/32",))),
        ("gauss.lab", Access("gauss.lab", ("10.1.3.7",), ("10.1.3.0/24",))),
        ("localhost", Access("localhost", ("127.0.0.1",), ("127.0.0.0/8",))),
        # Several.
        (
            " kant, 10.2.0.0/16,kant",
            Access("10.1.3.7", ("10.1.3.7",), ("10.1.3.9/32", "10.2.0.0/16")),
        ),
    ],
)  # fmt: skip
def test_what_is_named_is_what_may_connect(wanted: str, expected: Access) -> None:
    assert access(wanted, Gauss()) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("0.0.0.0/0", "all machines of the Internet"),
        ("10.1.3.7/0", "all machines of the Internet"),
        ("::/0", "all machines of the Internet"),
        ("0.0.0.0", "is not the address of a machine"),
        ("224.0.0.1", "is not the address of a machine"),
        ("10.1.0.0/33", '"10.1.0.0/33" is not a network, an address or the name of a machine'),
        ("10.1", '"10.1" is not a network'),
        ("weyl", '"weyl" is not a network'),
        ("a\nb", "is not a network"),
        ("gauss", "gauss is the address 127.0.1.1, which other machines cannot reach"),
        ("2001:db8::/32", "no way to the network 2001:db8::/32"),
        ("2001:db8::9", "no way to 2001:db8::9"),
        ("fd00::7", "the network of fd00::7, an address of this machine, is not known"),
    ],
)
def test_what_cannot_be_shared_with_is_refused(wanted: str, words: str) -> None:
    with pytest.raises(BadInput, match=words.replace("\n", " ")) as refused:
        access(wanted, Gauss())
    assert "\n" not in str(refused.value)


def test_without_a_default_route_the_network_must_be_named() -> None:
    with pytest.raises(BadInput, match="no default route"):
        access("", Gauss(routes=""))


def test_lines_of_routes_that_are_not_understood_are_left_out() -> None:
    text = f"{ROUTES}eth1\nbroken line\n"
    assert connected_network(ip_address("10.1.3.7"), text) == "10.1.3.0/24"
    assert connected_network(ip_address("192.168.0.1"), text) is None
