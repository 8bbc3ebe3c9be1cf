"""What was used as files: CSV, JSON and Parquet, as `maestro usage` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.downloads import attachment, parameters
from orchestra.api.endpoints import Endpoint
from orchestra.api.operations import API
from orchestra.domain import accounting
from orchestra.interface.usage import ListUsage
from orchestra.reports.sheet_files import WRITERS

PARAMETERS = ("by", "since", "until", "user")
USUAL = "user,month"


def asked_of(values: Mapping[str, str]) -> ListUsage:
    """Return what parameters of an address ask for, as on the command line; empty ones ask for nothing.

    Raises:
        BadInput: one of them is wrong; its params name it as `field`.
    """
    since, until = values.get("since", ""), values.get("until", "")
    asked = ListUsage(
        accounting.parse_keys(values.get("by") or USUAL),
        accounting.first_day(since) if since else None,
        accounting.last_day(until) if until else None,
        values.get("user") or None,
    )
    accounting.check_period(asked.since, asked.until)
    return asked


def download(form: str, call: Call) -> Response:
    """Return what was used as a file.

    Raises:
        BadInput, NotFound: a parameter is wrong, or there was no such user.
        Refused: the format is not available.
    """
    values = parameters(call, PARAMETERS)
    report = call.ask(asked_of(values))
    return attachment("usage", form, accounting.sheet(report.rows, report.by))


ENDPOINTS = tuple(
    Endpoint("GET", f"{API}/usage.{form}", partial(download, form)) for form in WRITERS
)
