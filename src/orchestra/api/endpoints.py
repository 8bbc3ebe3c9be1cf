"""What a server answers: each operation of the table, and endpoints of other kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from orchestra.api.call import Call


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is answered by `run` under a method and a path such as "/tasks/{task}".

    A name in braces is one segment of the path; "{name:rest}" at the end is all that follows.

    Args:
        run: returns a Starlette response. A plain function runs in the thread pool; with `live`, it is async.
        open: nobody needs to be signed in for it.
    """

    method: str
    path: str
    run: Callable[[Call], Any]
    open: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoint of a path, and the values in it, decoded."""

    endpoint: Endpoint
    params: Mapping[str, str]


class Routes:
    """Finds endpoints by the path as it was sent: a value may contain an encoded slash."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Raise ValueError if two endpoints have the same method and path."""
        self._by_path: dict[str, dict[str, Endpoint]] = {}
        for each in endpoints:
            methods = self._by_path.setdefault(each.path, {})
            if each.method in methods:
                raise ValueError(f"two endpoints: {each.method} {each.path}")
            methods[each.method] = each
        # Fixed segments come before values: /tasks/new is not the task "new".
        self._patterns = [
            (_pattern(path), methods)
            for path, methods in sorted(
                self._by_path.items(),
                key=lambda item: [part[:1] == "{" for part in item[0].split("/")],
            )
        ]

    def find(self, method: str, raw_path: str) -> Match | tuple[str, ...]:
        """Return the match, or the methods that the path has: none where there is no such path."""
        wanted = "GET" if method == "HEAD" else method
        allowed: tuple[str, ...] = ()
        for pattern, methods in self._patterns:
            if found := pattern.fullmatch(raw_path):
                if wanted in methods:
                    endpoint = methods[wanted]
                    names = re.findall(r"\{([\w.]+)(?::rest)?\}", endpoint.path)
                    values = (unquote(value, errors="surrogateescape") for value in found.groups())
                    return Match(endpoint, dict(zip(names, values, strict=True)))
                allowed += tuple(methods)
        return allowed


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[\w.]+(?::rest)?\})", path)
    return re.compile(
        "".join(
            ("(.*)" if part.endswith(":rest}") else "([^/]*)")
            if part.startswith("{")
            else re.escape(part)
            for part in parts
        )
    )
