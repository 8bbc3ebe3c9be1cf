"""The written report on a task, as a page of its own or as a file."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import stored_results
from orchestra.domain.naming import report_file
from orchestra.interface.reports import ReportTask
from orchestra.reports import page
from orchestra.reports.style import CSS
from orchestra.web.forms import asked
from orchestra.web.rendering import HEADERS

_STYLE = b64encode(sha256(CSS.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE}'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; sandbox"
)
"""A report has one style, which is known, and nothing else; in a sandbox it is of no origin."""


def show_report(call: Call) -> Response:
    """Show the report on a task, or with `download` send it as a file that needs no other.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    report = call.ask(ReportTask(call.params["word"]))
    content = page.html(report, stored_results.table(report.results))
    headers = {**HEADERS, "Content-Security-Policy": POLICY}
    if asked(call).ticked("download"):
        name = report_file(report.shown.task.name)
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(
        content.encode(errors="backslashreplace"),
        headers=headers,
        media_type="text/html; charset=utf-8",
    )


ENDPOINTS = (Endpoint("GET", "/tasks/{word}/report", show_report),)
