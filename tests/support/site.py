"""The pages of a server in this process, as one user sees them, without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Self, cast
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request

from orchestra.api.call import Call
from orchestra.api.endpoints import Match, Routes
from orchestra.config import Settings
from orchestra.domain.errors import NotFound, OrchestraError
from orchestra.domain.identities import Identity, Via
from orchestra.web.errors import error_page
from orchestra.wiring.server import Database, endpoints, make_server
from support.people import caller


@dataclass(frozen=True)
class Page:
    """An answer: its text as sent, and as people read it."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def text(self) -> str:
        """What stands on the page, with single blanks."""
        return " ".join(_Text.of(self.html).said.split())

    @property
    def links(self) -> list[str]:
        """Where its links lead and its forms are sent, in order."""
        return _Text.of(self.html).links

    @property
    def values(self) -> dict[str, str]:
        """The values of the fields of its last form."""
        return _Text.of(self.html).values

    @property
    def location(self) -> str:
        """Where it leads the browser."""
        return self.headers.get("location", "")


@dataclass(frozen=True)
class OneConnection:
    """Connections of a server, all of which are the test's."""

    conn: psycopg.Connection

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        yield self.conn


class Site:
    """What one user sees."""

    def __init__(self, conn: psycopg.Connection, name: str = "ana") -> None:
        user = caller(conn, name).user
        self.identity = Identity(user, user.is_admin, Via.SESSION, account=name, host="gauss")
        self.conn = conn
        self.server = make_server(Settings(), cast("Database", OneConnection(conn)))
        self.routes = Routes(endpoints())

    def of(self, name: str) -> Self:
        """The same for another user."""
        return type(self)(self.conn, name)

    def get(self, path: str, **query: Any) -> Page:
        """Fetch a page."""
        return self._answer("GET", path, urlencode(query), b"")

    def post(self, path: str, **fields: Any) -> Page:
        """Send a form."""
        return self._answer("POST", path, "", urlencode(fields).encode())

    @staticmethod
    def first_form(page: Page) -> dict[str, str]:
        """Return the fields of the first form of a page after the one for signing out."""
        _, form, *_ = page.html.partition("</header>")[2].split("<form")
        return _Text.of(f"<form{form.partition('</form>')[0]}").values

    def _answer(self, method: str, path: str, query: str, body: bytes) -> Page:
        path, _, more = path.partition("?")
        request = Request(
            {
                "type": "http",
                "method": method,
                "scheme": "http",
                "path": path,
                "query_string": (query or more).encode(),
                "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
                "state": {"who": self.identity},
            }
        )
        try:
            match = self.routes.find(method, path)
            if not isinstance(match, Match):
                raise NotFound(f"there is nothing at {method} {path}")
            response = match.endpoint.run(
                Call(self.server, request, self.identity, match.params, body)
            )
        except OrchestraError as error:
            response = error_page(request, "", error)
        return Page(response.status_code, dict(response.headers), response.body.decode())


@dataclass
class _Text(HTMLParser):
    said: str = ""
    links: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._hidden = False
        self._field = ""

    @classmethod
    def of(cls, html: str) -> _Text:
        made = cls()
        made.feed(html)
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._hidden = tag in ("style", "script")
        self.links += [given[name] for name in ("href", "action") if name in given]
        if tag == "form":
            self.values.clear()
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.values[given.get("name", "")] = given.get("value", "")
        self._field = given.get("name", "") if tag in ("textarea", "select") else self._field
        if tag == "textarea":
            self.values[self._field] = ""
        if tag == "option" and "selected" in given:
            self.values[self._field] = given["value"]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False
        self._field = "" if tag in ("textarea", "select") else self._field

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.said += f" {data}"
        if self._field in self.values and self.values[self._field] == "" and data.strip():
            self.values[self._field] = data.removeprefix("\n")
