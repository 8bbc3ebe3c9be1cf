"""Tables as files: CSV, JSON and Parquet."""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import Any

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.domain.errors import BadInput
from orchestra.domain.nearest import nearest
from orchestra.domain.sheets import Sheet
from orchestra.reports.sheet_files import WRITERS

_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}


def parameters(call: Call, known: Collection[str]) -> dict[str, str]:
    """Return the parameters of a download's address.

    Raises:
        BadInput: one of them is not among the `known` ones.
    """
    values = dict(call.request.query_params)
    for name in values:
        if name not in known:
            guess = nearest(name, known)
            raise BadInput(
                f'there is no parameter "{name}".' + (f' Did you mean "{guess}"?' if guess else "")
            )
    return values


def attachment(name: str, form: str, sheet: Sheet[Any]) -> Response:
    """Return a sheet as a file of that name and form.

    Raises:
        Refused: the form is not available.
    """
    content = io.BytesIO()
    WRITERS[form](sheet, content)
    return Response(
        content.getvalue(),
        media_type=_MEDIA_TYPES[form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{form}"',
            "X-Content-Type-Options": "nosniff",
        },
    )
