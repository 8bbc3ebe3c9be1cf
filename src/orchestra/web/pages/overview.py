"""The overview: what needs attention, what runs, and how the machines are."""

from __future__ import annotations

from starlette.responses import Response

from orchestra import command_words
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.attention import Attention
from orchestra.interface.overview import AcknowledgeTask, ShowOverview
from orchestra.web import page_words, spark
from orchestra.web.forms import asked
from orchestra.web.pages.tasks import number_of
from orchestra.web.rendering import go, page

SHOWN = 15
"""Live tasks on the page; the list has all of them."""


def show(call: Call) -> Response:
    """Show what concerns who asks, or with `all` everybody."""
    everybody = asked(call).ticked("all")
    found = call.ask(ShowOverview(None if everybody else call.identity.user.name))
    return page(
        call,
        "overview.html",
        here="Overview",
        found=found,
        attention=[(each, *_remedy(call, each)) for each in found.attention],
        everybody=everybody,
        live=found.live[:SHOWN],
        more=found.live_tasks - SHOWN,
        hours=spark.bars(found.hours),
        done=sum(hour.done for hour in found.hours),
        failed=sum(hour.failed for hour in found.hours),
        may_change=call.identity.caller.may_change,
    )


def _remedy(call: Call, each: Attention) -> tuple[str, str]:
    """Return the words and the path of the remedy's page, or what to type; nothing if who asks may not apply it."""
    mine = each.owner is None or call.identity.caller.may_change(each.owner)
    if each.remedy is None or not mine:
        return "", ""
    if each.remedy.action in page_words.PAGES:
        return page_words.page_of(each.remedy)
    return command_words.term(each.remedy), ""


def acknowledge(call: Call) -> Response:
    """Note that the failures of a task were seen.

    Raises:
        NotFound, Refused: there is none, it is live, or it belongs to somebody else.
    """
    task = call.ask(AcknowledgeTask(number_of(call)))
    return go(call, "/", f"Task {task.id} no longer needs attention.")


ENDPOINTS = (
    Endpoint("GET", "/", show),
    Endpoint("POST", "/tasks/{task}/acknowledge", acknowledge),
)
