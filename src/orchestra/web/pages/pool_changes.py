"""Changes of a pool: each is a page that says what would happen, and a form that does it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import human
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, OrchestraError, Refused
from orchestra.domain.models.pools import Deletion, Pool
from orchestra.domain.pools import pool_text
from orchestra.interface.pool_changes import (
    AllocationsAtStake,
    DeletePool,
    PausePool,
    ResumePool,
)
from orchestra.interface.pools import ShowPool
from orchestra.interface.problems import status_of
from orchestra.web.forms import Form, posted
from orchestra.web.questions import Question
from orchestra.web.rendering import go, page


def _pause(pool: Pool) -> Question:
    running, pending = pool_text.running(pool), pool_text.pending(pool)
    parts = ["Nothing more is submitted until it is resumed."]
    parts += (
        [f"{human.count(len(pending), 'pending allocation')} will be withdrawn."] if pending else []
    )
    parts += [f"{human.count(len(running), 'running allocation')} will go on."] if running else []
    return Question(f"Pause pool {pool.name}?", tuple(parts), "Pause", fields=("reason",))


def _resume(pool: Pool) -> Question:
    return Question(
        f"Resume pool {pool.name}?", ("It submits at once if jobs wait for its pilots.",), "Resume"
    )


def _delete(pool: Pool) -> Question:
    parts = ["Finished jobs and their results stay."]
    if pool.live:
        parts.insert(0, f"It has {human.count(len(pool.live), 'allocation')}, which end first.")
    return Question(
        f"Delete pool {pool.name}?",
        tuple(parts),
        "Delete",
        "danger",
        ("how",) if pool.live else (),
    )


def _pause_now(call: Call, name: str, form: Form) -> str:
    call.ask(PausePool(name, form.text("reason") or None))
    return f"Pool {name} is paused."


def _resume_now(call: Call, name: str, _form: Form) -> str:
    return (
        f"Pool {name} is resumed."
        if call.ask(ResumePool(name))
        else f"Nothing held pool {name} back."
    )


def _delete_now(call: Call, name: str, form: Form) -> str:
    how: Deletion | None = (
        "now" if form.text("how") == "now" else "drain" if form.text("how") else None
    )
    left = call.ask(DeletePool(name, how))
    return (
        f"Pool {name} is deleted."
        if left is None
        else f"Pool {name} is deleted once its allocations have ended."
    )


CHANGES: dict[str, tuple[Callable[[Pool], Question], Callable[[Call, str, Form], str]]] = {
    "pause": (_pause, _pause_now),
    "resume": (_resume, _resume_now),
    "delete": (_delete, _delete_now),
}
"""What each asks, and what carries it out."""


def ask_first(change: str, call: Call) -> Response:
    """Say what a change would do.

    Raises:
        NotFound: there is no such pool.
        NotAllowed: it belongs to somebody else.
    """
    with call.server.interface(call.identity) as ask:
        pool = ask(ShowPool(call.params["name"], 0)).pool
        ask(AllocationsAtStake(pool.name))  # refused for others
    return _question(call, change, pool, Form({}))


def carry_out(change: str, call: Call) -> Response:
    """Carry out a change, or ask again where it was refused.

    Raises:
        NotFound: there is no such pool.
        NotAllowed: it belongs to somebody else.
    """
    name, form = call.params["name"], posted(call)
    try:
        note = CHANGES[change][1](call, name, form)
    except (NotAllowed, NotFound):
        raise
    except (BadInput, Refused) as error:
        return _question(call, change, call.ask(ShowPool(name, 0)).pool, form, error)
    return go(call, "/pools" if change == "delete" else path_of(name), note)


def _question(
    call: Call, change: str, pool: Pool, form: Form, error: OrchestraError | None = None
) -> Response:
    question = CHANGES[change][0](pool)
    return page(
        call,
        "pool_question.html",
        status=status_of(error) if error else 200,
        here="Pools",
        path=f"{path_of(pool.name)}/{change}",
        back=path_of(pool.name),
        question=question.question,
        consequences=question.consequences,
        button=question.button,
        kind=question.kind,
        asks=question.fields,
        form=form,
        error=error,
    )


def path_of(name: str) -> str:
    """Return the path of a pool's page."""
    return f"/pools/{quote(name, safe='')}"


ENDPOINTS = (
    *(Endpoint("GET", f"/pools/{{name}}/{each}", partial(ask_first, each)) for each in CHANGES),
    *(Endpoint("POST", f"/pools/{{name}}/{each}", partial(carry_out, each)) for each in CHANGES),
)
