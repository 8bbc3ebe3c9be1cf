"""The operations of the table as endpoints below `/api/v1`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import BadInput
from orchestra.interface import codec
from orchestra.interface.table import OPERATIONS, Operation

API = "/api/v1"
LONGEST_KEY = 200


def endpoints(but: Collection[str] = ()) -> Iterator[Endpoint]:
    """Yield an endpoint for each operation but some, which have one of another kind."""
    for operation in OPERATIONS:
        if operation.name not in but:
            yield Endpoint(operation.method, API + operation.path, partial(carry_out, operation))


def carry_out(operation: Operation, call: Call) -> Response:
    """Carry out a request and return its answer as JSON. A change with an idempotency key is made once.

    The answer to that is kept in the database, so a change whose answer has a secret ignores the key.

    Raises:
        OrchestraError: the request is not valid, was refused or has failed.
    """
    asked = codec.read(
        operation, call.params, call.request.query_params.multi_items(), call.body or None
    )
    key = call.request.headers.get("Idempotency-Key")
    if key is not None and operation.takes_key:
        if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
            raise BadInput(f"an Idempotency-Key has 1 to {LONGEST_KEY} printable characters.")
        answer = call.server.once(call.identity, key, asked)
    else:
        answer = codec.encode(call.ask(asked))
    return Response(answer, media_type="application/json")
