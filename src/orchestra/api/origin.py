"""Where requests of browsers come from: pages of other sites make none, and no other name leads here. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from orchestra.domain.errors import CrossSite, WrongHost
from orchestra.domain.human import one_line

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_ELSEWHERE = "Other sites cannot act in your name here."


def check_host(host: str | None, names: Collection[str]) -> None:
    """Refuse a name that is not this server's: a page of another site could have it lead to this address.

    Names of the loopback and numeric addresses are always this server's, since no other site is called so.

    Args:
        host: the header of that name; its port does not matter, as a tunnel may have another.
        names: further names of this server.

    Raises:
        WrongHost: it is another name, or none.
    """
    name = _name(host or "")
    if name in names or name == "localhost" or name.endswith(".localhost") or _is_numeric(name):
        return
    raise WrongHost(
        f'this server does not answer under the name "{one_line(name)}".',
        hint='If it should, name it in "server_names" in the configuration of the server.',
    )


def _name(host: str) -> str:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::[0-9]{1,5})?", host)
    return found[1].lower().rstrip(".") if found else ""


def _is_numeric(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def check_origin(method: str, headers: Mapping[str, str], *, ambient: bool) -> None:
    """Refuse a change that a page of another site has a browser make.

    Args:
        headers: of the request, by their names in lower case.
        ambient: whether something proves the caller that a browser adds by itself: a cookie. Then the request must
            say that it comes from here; without, it must not say that it comes from elsewhere.

    Raises:
        CrossSite: it comes from elsewhere, or may do so.
    """
    if method in SAFE:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        here = site == "same-origin"
    elif origin is not None:
        here = (
            origin != "null" and urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
        )
    else:
        here = not ambient
    if not here:
        raise CrossSite("this request comes from a page of another site.", hint=_ELSEWHERE)
