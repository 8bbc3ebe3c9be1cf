"""One module for each page, with its ENDPOINTS."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from orchestra.api.endpoints import Endpoint


def endpoints() -> Iterator[Endpoint]:
    """Yield the endpoints of all pages."""
    for found in pkgutil.iter_modules(__path__):
        yield from import_module(f"{__name__}.{found.name}").ENDPOINTS
