"""Why an image could not be fetched: a sentence of ours before the runtime's own words, and what to do. Pure."""

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
_NO_ROOM = re.compile(r"no space left|quota exceeded", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an image, with the runtime's own words last, and what to do about it."""

    sentence: str
    advice: str | None = None


def of_fetch(address: str, words: str | None, *, runtime: str, silence: float = 0.0) -> Trouble:
    """Say why an image could not be fetched.

    Args:
        words: the runtime's last ones; None where it was ended because nothing came for `silence` seconds.
        runtime: its name.
    """
    host = registry_of(address)
    beginning = f"the image {address} cannot be fetched"
    where = f"its registry {host}" if host else "what it comes from"
    if words is None:
        return Trouble(
            f"{beginning}: nothing came from {host or address} for {human.duration(silence)}.",
            f"{_reach(host)} A longer silence is allowed with image_fetch_timeout.",
        )
    what, advice = _what(words, where, host)
    said = f"{beginning}{f': {what}' if what else ''}. {runtime} says: {words}"
    return Trouble(human.sentence(said), advice)


def registry_of(address: str) -> str | None:
    """Give the host that an image comes from; None for a file."""
    if images.kind_of(address) not in (Kind.REGISTRY, Kind.OTHER):
        return None
    scheme, slashes, rest = address.partition("://")
    first, slash, _ = (rest if slashes else address).partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    if not slashes or scheme == "docker":
        return first if named else "docker.io"
    return first if named else None


def _what(words: str, where: str, host: str | None) -> tuple[str | None, str | None]:
    if _NO_ROOM.search(words):
        return "the node's disk is full", "Make room, or name another folder with image_cache."
    if _NO_TLS.search(words):
        return (
            f"{where} has no TLS, or a certificate that this node does not know",
            "docs/containers.md says how a registry without TLS is allowed.",
        )
    if _UNREACHABLE.search(words):
        return f"{where} cannot be reached from this node", _reach(host)
    if _DENIED.search(words) and host:
        log_in = f"log in to {host} on the node, as the pilot's account (docs/containers.md)"
        return (
            f"{where} does not give it to this node, or does not have it",
            f"See whether the name is right; if it is private, {log_in}.",
        )
    if _UNKNOWN.search(words) and host:
        return f"{where} does not have it", "See whether its name and tag are right."
    return None, None


def _reach(host: str | None) -> str:
    if not host:
        return "See whether the node's network lets it through."
    return f"See whether the name is right and the network lets it through: curl -I https://{host}/v2/ on the node."
