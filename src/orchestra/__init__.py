"""Orchestra runs one command over many configuration files and keeps track of the jobs and their results.

`orchestra.Client` is for notebooks and scripts; docs/client.md shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.client import Client

__version__ = "0.2.0"
__all__ = ["Client", "__version__"]


if not TYPE_CHECKING:  # a type checker is to find names that are not there

    def __getattr__(name: str) -> object:
        # Every command imports this module; the client comes with its first use.
        if name == "Client":
            from orchestra.client import Client

            return Client
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
