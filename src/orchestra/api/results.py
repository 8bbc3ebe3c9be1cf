"""The results of a task as files: CSV, JSON and Parquet, as `maestro task results` writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.downloads import attachment, parameters
from orchestra.api.endpoints import Endpoint
from orchestra.api.operations import API
from orchestra.domain import result_query, stored_results, where
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import DIRECTIONS, parse_goal
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.sheets import Sheet
from orchestra.interface.results import FindResults
from orchestra.reports.sheet_files import WRITERS

PARAMETERS = ("where", "group_by", "sort", "best", "direction", "columns")


def query_of(values: Mapping[str, str]) -> ResultQuery:
    """Return what parameters of an address ask of results; empty ones ask for nothing.

    Raises:
        BadInput: one of them is wrong; its params name it as `field`.
    """
    best, direction = values.get("best", ""), values.get("direction", "")
    if best and not (best.isascii() and best.isdecimal() and 0 < len(best) < 10 and int(best)):
        raise BadInput("“best” needs a whole number of at least 1.", field="best")
    if direction and direction not in DIRECTIONS:
        raise BadInput("“direction” is min or max.", field="direction")
    return ResultQuery(
        where=where.parse(values["where"]) if values.get("where") else None,
        group_by=_names(values.get("group_by", "")),
        sort=values.get("sort") or None,
        best=int(best) if best else None,
        highest=DIRECTIONS.get(direction),
        columns=_names(values.get("columns", "")) or None,
    )


def _names(text: str) -> Sequence[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def download(form: str, call: Call) -> Response:
    """Return the results that the parameters ask for, all of them, as a file.

    Raises:
        BadInput, NotFound: a parameter is wrong, or there is no such task.
        Refused: the format is not available.
    """
    values = parameters(call, PARAMETERS)
    query = query_of(values)
    sources = call.ask(FindResults(call.params["word"]))
    stated = parse_goal(sources.task.goal) if sources.task.goal else None
    table = result_query.matching(stored_results.table(sources), query)
    sheet: Sheet[Any]
    if query.group_by:
        _, sheet = result_query.groups(table, query, stated)
    else:
        sheet = result_query.rows(table, query, stated)[0].sheet
    name = re.sub(r"[^\w.-]", "_", sources.task.name, flags=re.ASCII)
    return attachment(name, form, sheet)


ENDPOINTS = tuple(
    Endpoint("GET", f"{API}/tasks/{{word}}/results.{form}", partial(download, form))
    for form in WRITERS
)
