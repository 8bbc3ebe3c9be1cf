"""Why a container image could not be fetched, and what to do. The runtime's own message comes last. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestra.domain import human, images
from orchestra.domain.images import Kind

_UNREACHABLE = re.compile(
    r"connection refused|no such host|server misbehaving|network is unreachable|no route to host|i/o timeout|"
    r"handshake timeout|connection reset|name resolution|context deadline exceeded|Client\.Timeout|: EOF\b",
    re.IGNORECASE,
)
_NO_TLS = re.compile(
    r"HTTP response to HTTPS client|x509|certificate|tls: first record", re.IGNORECASE
)
_DENIED = re.compile(
    r"unauthorized|denied|authentication required|forbidden|\b40[13]\b", re.IGNORECASE
)
_UNKNOWN = re.compile(
    r"manifest unknown|name unknown|not found|no such image|does not exist|\b404\b", re.IGNORECASE
)
_DISK_FULL = re.compile(r"no space left|quota exceeded", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why an image could not be fetched, with the runtime's message last, and what to do about it."""

    sentence: str
    advice: str | None = None


def describe_failure(
    address: str, message: str | None, *, runtime: str, silence: float = 0.0
) -> FetchFailure:
    """Say why an image could not be fetched.

    Args:
        message: the runtime's last output; None if it was ended because nothing arrived for `silence` seconds.
        runtime: its name.
    """
    host = registry_of(address)
    what = f"the image {address} cannot be fetched"
    if message is None:
        return FetchFailure(
            f"{what}: nothing arrived from {host or address} for {human.duration(silence)}.",
            f"{_check_network(host)} To allow a longer silence, set image_fetch_timeout.",
        )
    reason, advice = _reason(message, f"its registry {host}" if host else "its source", host)
    said = f"{what}{f': {reason}' if reason else ''}. {runtime} says: {message}"
    return FetchFailure(human.sentence(said), advice)


def registry_of(address: str) -> str | None:
    """The host of the registry that an image comes from; None for a file."""
    if images.kind_of(address) not in (Kind.REGISTRY, Kind.OTHER):
        return None
    scheme, slashes, rest = address.partition("://")
    first, slash, _ = (rest if slashes else address).partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    if not slashes or scheme == "docker":
        return first if named else "docker.io"
    return first if named else None


def _reason(message: str, where: str, host: str | None) -> tuple[str | None, str | None]:
    if _DISK_FULL.search(message):
        return "the node's disk is full", "Free some space, or set image_cache to another folder."
    if _NO_TLS.search(message):
        return (
            f"{where} does not use TLS, or has a certificate that this node does not trust",
            "docs/containers.md explains how to allow a registry without TLS.",
        )
    if _UNREACHABLE.search(message):
        return f"{where} cannot be reached from this node", _check_network(host)
    if _DENIED.search(message) and host:
        log_in = f"log in to {host} on the node with the pilot's account (docs/containers.md)"
        return (
            f"{where} refuses it to this node, or does not have it",
            f"Check the name; if the image is private, {log_in}.",
        )
    if _UNKNOWN.search(message) and host:
        return f"{where} does not have it", "Check its name and tag."
    return None, None


def _check_network(host: str | None) -> str:
    if not host:
        return "Check the node's network."
    return (
        f"Check the name and the network, for example with: curl -I https://{host}/v2/ on the node."
    )
