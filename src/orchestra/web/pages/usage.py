"""What was used: a table, a chart over time, and downloads."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from markupsafe import Markup
from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.usage import PARAMETERS, USUAL, asked_of
from orchestra.domain import accounting
from orchestra.domain.charts.models import Spread
from orchestra.domain.charts.usage import every, over_time
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.models.accounts import UsageKey
from orchestra.interface.answers.usage import UsageReport
from orchestra.interface.operation import Interface
from orchestra.interface.usage import ListUsage
from orchestra.reports import charts
from orchestra.web.forms import asked, field_of
from orchestra.web.rendering import page

SHOWN = 500
TIMES = 24
"""Days or months of a chart, the latest ones."""


def show_usage(call: Call) -> Response:
    """Show what was used, as the address asks for."""
    form = asked(call)
    wrong: BadInput | NotFound | None = None
    question = ListUsage()
    with call.server.interface(call.identity) as ask:
        try:
            question = asked_of({name: form.text(name) for name in PARAMETERS})
            report = ask(question)
        except (BadInput, NotFound) as error:
            wrong, question = error, ListUsage()
            report = ask(question)
        plots = _plots(ask, question)
    return page(
        call,
        "usage.html",
        status=422 if wrong else 200,
        here="Usage",
        form=form,
        kept={name: form.text(name) for name in PARAMETERS if form.text(name)},
        by=form.text("by") or USUAL,
        error=wrong,
        wrong=field_of(wrong) if wrong else None,
        report=report,
        rows=report.rows[:SHOWN],
        more=len(report.rows) - SHOWN,
        has_gpus=report.total.gpu_requested > 0,
        plots=[Markup(str(charts.figure(each))) for each in plots],  # noqa: S704 - escaped by reports/markup.py
        keys=[key.value for key in UsageKey],
        hours=accounting.hours,
        both=accounting.hours_of_both,
        gb=accounting.GB_HOUR,
        formats=("csv", "json", *(["parquet"] if find_spec("pyarrow") else [])),
    )


def _plots(ask: Interface, question: ListUsage) -> list[Spread]:
    """Return charts over days, if there are few, else over months."""
    for over in (UsageKey.DAY, UsageKey.MONTH):
        found: UsageReport = ask(replace(question, by=(UsageKey.USER, over)))
        times = every(over, {row.key(over) for row in found.rows})
        if over is UsageKey.MONTH or len(times) <= TIMES:
            latest = times[-TIMES:]
            rows = [row for row in found.rows if row.key(over) in latest]
            return over_time(rows, over, latest)
    return []


ENDPOINTS = (Endpoint("GET", "/usage", show_usage),)
