"""The slots, settings and owner of a node: one form."""

from __future__ import annotations

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import human
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, OrchestraError, Refused, about
from orchestra.domain.labels import in_words, parse_label
from orchestra.domain.models.nodes import Node, NodeSettings, SlotsWanted
from orchestra.domain.opening_hours import ALWAYS
from orchestra.domain.quantities import parse_size, typed_size
from orchestra.interface.node_changes import AttemptsEndedByHours, SetNode
from orchestra.interface.nodes import GetNode
from orchestra.interface.problems import status_of
from orchestra.web.forms import Form, asked, field_of, posted
from orchestra.web.pages.node_changes import changeable, path_of
from orchestra.web.rendering import go, page

SLOTS = (
    ("cpu", "CPU", "enabled"),
    ("cpu_maximum", "CPU", "maximum"),
    ("gpu", "GPU", "enabled"),
    ("gpu_maximum", "GPU", "maximum"),
)


def edit(call: Call) -> Response:
    """Show the form with a node's slots, settings and owner.

    Raises:
        NotFound, NotAllowed: there is no such node, or it belongs to somebody else.
    """
    node = changeable(call, "slots")
    values = {name: (str(getattr(_slots(node, kind), part)),) for name, kind, part in SLOTS}
    values["labels"] = (in_words(node.labels),)
    values["memory"] = (typed_size(node.memory_bytes) if node.memory_bytes else "",)
    values["open"] = (node.open_hours or "",)
    values["nice"] = (str(node.nice),)
    return _form(call, node, Form({**values, "owner": (node.owner or "",), **asked(call).values}))


def change_slots(call: Call) -> Response:
    """Set a node's slots, settings and owner; ask first where its hours would end jobs.

    Raises:
        NotFound, NotAllowed: there is no such node, or it belongs to somebody else.
    """
    node, form = call.ask(GetNode(call.params["name"])), posted(call)
    try:
        wanted = {name: _whole(form, name) for name, _, _ in SLOTS}
        owner, settings = form.text("owner"), _settings(form, node)
        if ends := _ended(call, node, settings, form):
            return _form(call, node, form, ends=ends)
        call.ask(
            SetNode(
                node.name,
                SlotsWanted("CPU", wanted["cpu"], wanted["cpu_maximum"]),
                SlotsWanted("GPU", wanted["gpu"], wanted["gpu_maximum"]),
                owner if owner and owner != node.owner else None,
                settings,
            )
        )
    except NotAllowed:
        raise
    except (BadInput, Refused, NotFound) as error:
        return _form(call, node, form, error)
    return go(call, path_of(node.name), f"Node {node.name} is changed.")


def _slots(node: Node, kind: str) -> object:
    return node.cpu if kind == "CPU" else node.gpu


def _whole(form: Form, name: str) -> int | None:
    text = form.text(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise BadInput(f'"{human.one_line(text, 40)}" is not a number of slots.', field=name)
    return int(text)


def _settings(form: Form, node: Node) -> NodeSettings:
    """Return the settings that a form has; an empty field is the default."""
    memory = None
    if "memory" in form:
        with about("memory"):
            memory = parse_size(form.text("memory") or "0")
    return NodeSettings(
        _labels(form, node),
        memory,
        (form.text("open") or ALWAYS) if "open" in form else None,
        (_whole(form, "nice") or 0) if "nice" in form else None,
    )


def _ended(call: Call, node: Node, settings: NodeSettings, form: Form) -> int:
    """Return how many jobs new hours would end, unless the user has said that they may."""
    hours = settings.open_hours
    if form.ticked("end") or hours in (None, node.open_hours or ALWAYS):
        return 0
    return call.ask(AttemptsEndedByHours(node.name, hours or ALWAYS))


def _labels(form: Form, node: Node) -> dict[str, str]:
    """Return the labels that a form has, and an empty value for those that it no longer has."""
    if "labels" not in form:
        return {}
    with about("labels"):
        given = dict(map(parse_label, form.text("labels").replace(",", " ").split()))
    return {**dict.fromkeys(node.labels, ""), **given}


def _form(
    call: Call, node: Node, form: Form, error: OrchestraError | None = None, ends: int = 0
) -> Response:
    return page(
        call,
        "node_slots.html",
        status=status_of(error) if error else 200,
        here="Nodes",
        node=node,
        path=f"{path_of(node.name)}/slots",
        back=path_of(node.name),
        form=form,
        error=error,
        ends=ends,
        wrong=(field_of(error) or "owner") if error else None,
    )


ENDPOINTS = (
    Endpoint("GET", "/nodes/{name}/slots", edit),
    Endpoint("POST", "/nodes/{name}/slots", change_slots),
)
