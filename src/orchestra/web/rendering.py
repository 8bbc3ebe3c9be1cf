"""From a template and values to a response: the Jinja environment, its filters, and what every page is given."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from orchestra import __version__
from orchestra.api.call import Call
from orchestra.api.headers import SECURITY_HEADERS
from orchestra.domain import gpus, human, labels, node_text, resource_text
from orchestra.domain.identities import Identity
from orchestra.domain.models.jobs import Attempt
from orchestra.domain.models.nodes import Node
from orchestra.domain.models.pools import Pool
from orchestra.domain.pools import pool_text
from orchestra.domain.wording import Field, Sentence
from orchestra.web import page_words, static_files

TEMPLATES = Path(__file__).parent / "templates"
NOTE = "orchestra-note"
NOTE_AT_MOST = 1000
HEADERS = SECURITY_HEADERS
"""What every page is sent with."""


def page(call: Call, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Return a page for whoever makes the request.

    Args:
        template: its file in `templates`, which extends `base.html`.
        values: the template's variables. `here` is the entry of the navigation that the page belongs to.
    """
    return render(
        call.request, call.server.root_path, template, who=call.who, status=status, **values
    )


def render(
    request: Request,
    root: str,
    template: str,
    *,
    who: Identity | None = None,
    status: int = 200,
    **values: object,
) -> HTMLResponse:
    """Return a page, below the root of the server's addresses; for nobody in particular unless `who` is given."""
    note = request.cookies.get(NOTE)
    content = (
        environment()
        .get_template(template)
        .render(
            identity=who,
            root=root,
            now=datetime.now(UTC),
            note=unquote(note) if note else None,
            **values,
        )
    )
    response = HTMLResponse(content, status, HEADERS)
    if note:
        response.delete_cookie(NOTE, path=f"{root}/")
    return response


def go(call: Call, path: str, note: str = "") -> RedirectResponse:
    """Answer a form: let the browser fetch the page at a path below the root, which says `note` once."""
    response = RedirectResponse(address(call, path), status_code=303, headers=HEADERS)
    if note:
        response.set_cookie(
            NOTE,
            quote(note[:NOTE_AT_MOST]),
            max_age=60,
            path=address(call, "/"),
            secure=call.request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
    return response


def address(call: Call, path: str) -> str:
    """Return the address of a path below the server's root, which a proxy may have put under a prefix."""
    return f"{call.server.root_path}{path}"


@functools.cache
def environment() -> Environment:
    """Return the environment of all templates: everything is escaped, an unknown variable is an error."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals.update(
        url=_url, static=_static, version=__version__, label=page_words.LABELS.get, field=Field
    )
    jinja.filters.update(
        duration=human.duration,
        about=human.about,
        size=human.size,
        number=human.number,
        plural=human.count,
        percent=human.percent,
        compute_time=human.compute_time,
        rate=human.rate,
        listed=human.listed,
        one_line=human.one_line,
        worded=_worded,
        ago=_ago,
        iso=iso,
        utc=utc,
        gpus_in_words=resource_text.gpus_in_words,
        needs_in_words=resource_text.needs_in_words,
        labels=labels.in_words,
        hours_now=_hours_now,
        hours_in_words=node_text.hours_in_words,
        found_labels=labels.found_labels,
        shown_labels=labels.shown_labels,
        gpus=gpus.in_words,
        pool_state=_pool_state,
        pool_obstacles=_pool_obstacles,
        pool_why=_pool_why,
        pool_counts=pool_text.counts,
        pool_size=pool_text.size_in_words,
        pool_choices=pool_text.choices_in_words,
        pool_limits=pool_text.limits_in_words,
        assigned_gpus=_assigned_gpus,
        quoted=functools.partial(quote, safe=""),
    )
    return jinja


def _assigned_gpus(attempt: Attempt) -> str:
    return gpus.assigned_in_words(attempt.devices or "", attempt.device_models)


def iso(at: datetime) -> str:
    """A moment for programs: `2026-11-26T10:02:11Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def utc(at: datetime) -> str:
    """A moment for people: `2026-11-26 10:02:11 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC}"


@pass_context
def _ago(context: Context, at: datetime) -> str:
    return human.relative((at - context["now"]).total_seconds())


@pass_context
def _hours_now(context: Context, node: Node) -> str:
    return node_text.hours_now(node, context["now"]) or ""


@pass_context
def _pool_state(context: Context, pool: Pool) -> str:
    return pool_text.state_of(pool, context["now"])


@pass_context
def _pool_obstacles(context: Context, pool: Pool) -> list[Sentence]:
    return list(pool_text.obstacles(pool, context["now"]))


@pass_context
def _pool_why(context: Context, pool: Pool) -> Sentence:
    return pool_text.why(pool, context["now"])


@pass_context
def _worded(context: Context, said: Sentence) -> Markup:
    return page_words.worded(said, functools.partial(_url, context))


@pass_context
def _url(context: Context, path: str, **query: Any) -> str:
    """Return the address of a path below the server's root; what is None or empty in the query is left out."""
    pairs = "&".join(
        f"{quote(name)}={quote(str(value), safe='')}"
        for name, value in query.items()
        if value is not None and value is not False and value != ""
    )
    return f"{context['root']}{path}{f'?{pairs}' if pairs else ''}"


@pass_context
def _static(context: Context, name: str) -> str:
    return f"{context['root']}{static_files.address(name)}"
