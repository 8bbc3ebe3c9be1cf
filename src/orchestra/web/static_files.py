"""Styles, scripts and icons, each read once, at addresses that contain a hash of them all.

Such an address can be cached for ever. The scripts import each other by relative paths, so one hash stands for all.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import NotFound
from orchestra.reports.style import charts_of_pages

FOREVER = "public, max-age=31536000, immutable"
FOLDER = Path(__file__).parent / "static"
CHARTS = "charts.css"
"""The style of charts, which reports have, too."""
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent; `packed` is the same with gzip."""

    media_type: str
    content: bytes
    packed: bytes


@functools.cache
def files() -> dict[str, StaticFile]:
    """Return all files by their path below `static`. Only these are ever served, so no path leads elsewhere."""
    found = {
        str(path.relative_to(FOLDER)): _file(path.name, path.read_bytes())
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES
    }
    return {**found, CHARTS: _file(CHARTS, charts_of_pages().encode())}


def _file(name: str, content: bytes) -> StaticFile:
    return StaticFile(TYPES[Path(name).suffix], content, gzip.compress(content, mtime=0))


@functools.cache
def version() -> str:
    """Return twelve hexadecimal digits that change with any of the files."""
    whole = hashlib.sha256()
    for name, file in files().items():
        whole.update(f"{name}\0{len(file.content)}\0".encode())
        whole.update(file.content)
    return whole.hexdigest()[:12]


def address(name: str) -> str:
    """Return the path of a file below the server's root.

    Raises:
        KeyError: there is no such file.
    """
    if name not in files():
        raise KeyError(name)
    return f"/static/{version()}/{name}"


def serve(call: Call) -> Response:
    """Return a file. One that an older page asks for is there, too, but is not kept."""
    file = files().get(call.params["name"])
    if file is None:
        raise NotFound("there is no such file.")
    headers = {
        "Cache-Control": FOREVER if call.params["version"] == version() else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if "gzip" in call.request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(file.packed, headers=headers, media_type=file.media_type)
    return Response(file.content, headers=headers, media_type=file.media_type)


ENDPOINTS = (Endpoint("GET", "/static/{version}/{name:rest}", serve, open=True),)
