"""The modules of requests, imported when one of their requests is used: a command over HTTP needs few of them.

`from orchestra.interface.later import tasks` gives a stand-in, whose `tasks.ListTasks` is a `Reference` to the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Reference:
    """A class by its names."""

    module: str
    name: str

    def load(self) -> Any:
        """Import the module and return the class."""
        return _load(self)

    @classmethod
    def to(cls, found: type) -> Reference:
        """Return the reference to a class."""
        return cls(found.__module__, found.__qualname__)


@cache
def _load(reference: Reference) -> Any:
    return getattr(import_module(reference.module), reference.name)


class Module:
    """Stands in for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Reference:
        return Reference(self._name, name)


def __getattr__(name: str) -> Module:
    if name.startswith("__"):
        raise AttributeError(name)
    return Module(f"{__package__}.{name}")
