"""Changes of a node: each is a page that says what would happen, and a form that does it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import human
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, OrchestraError, Refused, about
from orchestra.domain.models.nodes import Node
from orchestra.domain.moments import parse_moment, shown
from orchestra.interface.node_changes import (
    AttemptsAtStake,
    DeleteNode,
    DrainNode,
    LoseNode,
    ResumeNode,
    StopNode,
)
from orchestra.interface.nodes import GetNode
from orchestra.interface.problems import status_of
from orchestra.web.forms import Form, posted
from orchestra.web.pages.nodes import may_stop
from orchestra.web.questions import Question
from orchestra.web.rendering import go, page


def _jobs(node: Node, verb: str, verbs: str) -> str:
    return f"{human.count(node.jobs, 'job')} there {verb if node.jobs == 1 else verbs}"


def _drain(node: Node) -> Question:
    rest = f"{_jobs(node, 'runs', 'run')} to the end." if node.jobs else "No job runs there."
    return Question(
        f"Drain node {node.name}?",
        ("No new job starts on it until it is resumed.", rest),
        "Drain",
        fields=("reason", "at"),
    )


def _resume(node: Node) -> Question:
    slots = human.listed(
        [human.count(each.enabled, f"{kind} slot") for kind, each, _ in node.kinds if each.enabled]
    )
    does = f"Jobs start again on its {slots}." if slots else "It has no enabled slots."
    if node.drain_at and not node.drained_at:
        return Question(
            f"Call off the drain of node {node.name}?", ("It takes jobs as before.",), "Call it off"
        )
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
    given = form.text("at")
    with about("at"):
        at = parse_moment(given, datetime.now(UTC), UTC) if given else None
    call.ask(DrainNode(name, form.text("reason") or None, at))
    return f"Node {name} takes no new jobs" + (f" from {shown(at, UTC)} UTC on." if at else ".")


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
    node = changeable(call, change)
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
    return go(call, "/nodes" if change == "delete" else path_of(name), note)


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
        path=f"{path_of(node.name)}/{change}",
        back=path_of(node.name),
        question=question.question,
        consequences=question.consequences,
        button=question.button,
        kind=question.kind,
        asks=question.fields,
        form=form,
        error=error,
    )


def changeable(call: Call, change: str) -> Node:
    """Return the node, if who asks may change it."""
    with call.server.interface(call.identity) as ask:
        node = ask(GetNode(call.params["name"]))
        if not (change == "stop" and may_stop(call, node)):
            ask(AttemptsAtStake(node.name, force=True))  # refused for others
    return node


def path_of(name: str) -> str:
    return f"/nodes/{quote(name, safe='')}"


ENDPOINTS = (
    *(Endpoint("GET", f"/nodes/{{name}}/{each}", partial(ask_first, each)) for each in CHANGES),
    *(Endpoint("POST", f"/nodes/{{name}}/{each}", partial(carry_out, each)) for each in CHANGES),
)
