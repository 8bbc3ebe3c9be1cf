"""Changes of a node: each is a page that says what would happen, and a form that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal
from urllib.parse import quote

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import human
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, OrchestraError, Refused, about
from orchestra.domain.labels import in_words, parse_label
from orchestra.domain.models.nodes import Node, NodeSettings, SlotsWanted
from orchestra.interface.node_changes import (
    AttemptsAtStake,
    DeleteNode,
    DrainNode,
    LoseNode,
    ResumeNode,
    SetNode,
    StopNode,
)
from orchestra.interface.nodes import GetNode
from orchestra.interface.problems import status_of
from orchestra.web.forms import Form, asked, field_of, posted
from orchestra.web.pages.nodes import may_stop
from orchestra.web.rendering import go, page

SLOTS = (
    ("cpu", "CPU", "enabled"),
    ("cpu_maximum", "CPU", "maximum"),
    ("gpu", "GPU", "enabled"),
    ("gpu_maximum", "GPU", "maximum"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """What a page asks before it changes a node. `fields` names what the form has besides its button."""

    question: str
    consequences: tuple[str, ...]
    button: str
    kind: str = "primary"
    fields: tuple[Literal["reason", "now", "force"], ...] = ()


def _jobs(node: Node, verb: str, verbs: str) -> str:
    return f"{human.count(node.jobs, 'job')} there {verb if node.jobs == 1 else verbs}"


def _drain(node: Node) -> Question:
    rest = f"{_jobs(node, 'runs', 'run')} to the end." if node.jobs else "No job runs there."
    return Question(
        f"Drain node {node.name}?",
        ("No new job starts on it until it is resumed.", rest),
        "Drain",
        fields=("reason",),
    )


def _resume(node: Node) -> Question:
    slots = human.listed(
        [human.count(each.enabled, f"{kind} slot") for kind, each, _ in node.kinds if each.enabled]
    )
    does = f"Jobs start again on its {slots}." if slots else "It has no enabled slots."
    return Question(f"Let jobs start on node {node.name} again?", (does,), "Resume")


def _stop(node: Node) -> Question:
    rest = f"{_jobs(node, 'runs', 'run')} to the end first." if node.jobs else "No job runs there."
    return Question(
        f"Stop the pilot of node {node.name}?",
        ("It takes no new job, and exits.", rest, "A pilot is started on the machine itself."),
        "Stop the pilot",
        "danger",
        ("now",) if node.jobs else (),
    )


def _lose(node: Node) -> Question:
    start = "starts" if node.jobs == 1 else "start"
    return Question(
        f"Declare node {node.name} lost?",
        (
            f"{human.count(node.jobs, 'job')} of it {start} again on other nodes, which costs no retry.",
            "Only if that machine is certainly off: otherwise jobs run twice.",
        ),
        "Declare it lost",
        "danger",
        ("reason", "force") if node.online else ("reason",),
    )


def _delete(node: Node) -> Question:
    return Question(
        f"Delete node {node.name}?", ("Jobs that ran there are kept.",), "Delete", "danger"
    )


def _drain_now(call: Call, name: str, form: Form) -> str:
    call.ask(DrainNode(name, form.text("reason") or None))
    return f"Node {name} takes no new jobs."


def _resume_now(call: Call, name: str, _form: Form) -> str:
    resumed = call.ask(ResumeNode(name))
    return f"Node {name} takes jobs again." if resumed else f"Node {name} was not drained."


def _stop_now(call: Call, name: str, form: Form) -> str:
    now = form.ticked("now")
    if not call.ask(StopNode(name, now)):
        return f"No pilot is online on node {name}."
    end = "now" if now else "when the running jobs have ended"
    return f"The pilot of node {name} stops {end}."


def _lose_now(call: Call, name: str, form: Form) -> str:
    requeued = call.ask(LoseNode(name, form.text("reason") or None, form.ticked("force")))
    return f"Node {name} is lost; {human.count(requeued, 'job')} requeued."


def _delete_now(call: Call, name: str, _form: Form) -> str:
    call.ask(DeleteNode(name))
    return f"Node {name} is deleted."


CHANGES: dict[str, tuple[Callable[[Node], Question], Callable[[Call, str, Form], str]]] = {
    "drain": (_drain, _drain_now),
    "resume": (_resume, _resume_now),
    "stop": (_stop, _stop_now),
    "lost": (_lose, _lose_now),
    "delete": (_delete, _delete_now),
}
"""What each asks, and what carries it out."""


def ask_first(change: str, call: Call) -> Response:
    """Say what a change would do.

    Raises:
        NotFound: there is no such node.
        NotAllowed: it belongs to somebody else.
    """
    node = _changeable(call, change)
    return _question(call, change, node, Form({}))


def carry_out(change: str, call: Call) -> Response:
    """Carry out a change, or ask again where it was refused.

    Raises:
        NotFound: there is no such node.
        NotAllowed: it belongs to somebody else.
    """
    name, form = call.params["name"], posted(call)
    try:
        note = CHANGES[change][1](call, name, form)
    except (NotAllowed, NotFound):
        raise
    except (BadInput, Refused) as error:
        return _question(call, change, call.ask(GetNode(name)), form, error)
    return go(call, "/nodes" if change == "delete" else _path(name), note)


def _question(
    call: Call, change: str, node: Node, form: Form, error: OrchestraError | None = None
) -> Response:
    question = CHANGES[change][0](node)
    return page(
        call,
        "node_question.html",
        status=status_of(error) if error else 200,
        here="Nodes",
        node=node,
        path=f"{_path(node.name)}/{change}",
        back=_path(node.name),
        question=question.question,
        consequences=question.consequences,
        button=question.button,
        kind=question.kind,
        asks=question.fields,
        form=form,
        error=error,
    )


def _changeable(call: Call, change: str) -> Node:
    """Return the node, if who asks may change it."""
    with call.server.interface(call.identity) as ask:
        node = ask(GetNode(call.params["name"]))
        if not (change == "stop" and may_stop(call, node)):
            ask(AttemptsAtStake(node.name, force=True))  # refused for others
    return node


def _path(name: str) -> str:
    return f"/nodes/{quote(name, safe='')}"


def edit(call: Call) -> Response:
    """Show the form with a node's slots, labels and owner.

    Raises:
        NotFound, NotAllowed: there is no such node, or it belongs to somebody else.
    """
    node = _changeable(call, "slots")
    values = {name: (str(getattr(_slots(node, kind), part)),) for name, kind, part in SLOTS}
    values["labels"] = (in_words(node.labels),)
    return _form(call, node, Form({**values, "owner": (node.owner or "",), **asked(call).values}))


def change_slots(call: Call) -> Response:
    """Set a node's slots, labels and owner.

    Raises:
        NotFound, NotAllowed: there is no such node, or it belongs to somebody else.
    """
    node, form = call.ask(GetNode(call.params["name"])), posted(call)
    try:
        wanted = {name: _whole(form, name) for name, _, _ in SLOTS}
        owner = form.text("owner")
        call.ask(
            SetNode(
                node.name,
                SlotsWanted("CPU", wanted["cpu"], wanted["cpu_maximum"]),
                SlotsWanted("GPU", wanted["gpu"], wanted["gpu_maximum"]),
                owner if owner and owner != node.owner else None,
                NodeSettings(labels=_labels(form, node)),
            )
        )
    except NotAllowed:
        raise
    except (BadInput, Refused, NotFound) as error:
        return _form(call, node, form, error)
    return go(call, _path(node.name), f"Node {node.name} is changed.")


def _slots(node: Node, kind: str) -> object:
    return node.cpu if kind == "CPU" else node.gpu


def _whole(form: Form, name: str) -> int | None:
    text = form.text(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise BadInput(f'"{human.one_line(text, 40)}" is not a number of slots.', field=name)
    return int(text)


def _labels(form: Form, node: Node) -> dict[str, str]:
    """Return the labels that a form has, and an empty value for those that it no longer has."""
    if "labels" not in form:
        return {}
    with about("labels"):
        given = dict(map(parse_label, form.text("labels").replace(",", " ").split()))
    return {**dict.fromkeys(node.labels, ""), **given}


def _form(call: Call, node: Node, form: Form, error: OrchestraError | None = None) -> Response:
    return page(
        call,
        "node_slots.html",
        status=status_of(error) if error else 200,
        here="Nodes",
        node=node,
        path=f"{_path(node.name)}/slots",
        back=_path(node.name),
        form=form,
        error=error,
        wrong=(field_of(error) or "owner") if error else None,
    )


ENDPOINTS = (
    *(Endpoint("GET", f"/nodes/{{name}}/{each}", partial(ask_first, each)) for each in CHANGES),
    *(Endpoint("POST", f"/nodes/{{name}}/{each}", partial(carry_out, each)) for each in CHANGES),
    Endpoint("GET", "/nodes/{name}/slots", edit),
    Endpoint("POST", "/nodes/{name}/slots", change_slots),
)
