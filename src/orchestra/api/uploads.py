"""Files of data sets from machines that share no folder with the nodes: `/api/v1/uploads`.

Each user has a folder of their own in the folder that the operator named. A request has a bounded size, and the
same request twice does no harm, so nothing is kept between requests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.operations import API
from orchestra.domain import manifests, naming
from orchestra.domain.errors import BadInput, Refused, VolumeError
from orchestra.domain.models.datasets import Manifest
from orchestra.domain.uploads import Part
from orchestra.files import fs_health, rooted
from orchestra.files.upload_store import Placed, UploadStore
from orchestra.interface import codec
from orchestra.interface import uploads as said

_PATIENCE = 5.0
"""Seconds for a folder of the operator's to respond."""


def terms(call: Call) -> Response:
    """Say whether uploads are taken, and below which folders files are compared."""
    return _json(said.Terms(call.server.uploads is not None, call.server.roots))


def sees(call: Call) -> Response:
    """Say whether the files of a list lie below a named folder, as the list says.

    The answer is no for whatever reason: what is not below such a folder is not looked at.
    """
    return _json(_sees(call.server.roots, _body(call, said.FileList)))


def _sees(roots: tuple[str, ...], files: said.FileList) -> bool:
    manifests.check(_manifest(files))
    folder = files.root if files.is_folder else str(Path(files.root).parent)
    root = rooted.root_of(folder, roots)
    if root is None:
        return False
    try:
        fs_health.check(root, patience=_PATIENCE)
    except VolumeError:
        return False
    return rooted.has_files(root, folder, files.entries)


def missing(call: Call) -> Response:
    """Say which contents have not arrived, or that they would be too many."""
    wanted = _body(call, said.Wanted)
    return _json(_store(call).missing(call.identity.user.name, wanted.contents))


def write(call: Call) -> Response:
    """Write parts of contents: a line of JSON that describes them, and their bytes."""
    line, newline, data = call.body.partition(b"\n")
    if not newline:
        raise BadInput("the line that describes the parts is missing.")
    parts: list[Part] = codec.decode(list[Part], line)
    _store(call).write(call.identity.user.name, parts, memoryview(data))
    return _json(None)


def place(call: Call) -> Response:
    """Make a folder of contents, or say which have not arrived."""
    asked = _body(call, said.NewFolder)
    found = _store(call).place(
        call.identity.user.name,
        _label(call, asked.label),
        _manifest(asked.files),
        frozenset(asked.executable),
    )
    if not isinstance(found, Placed):
        return _json(said.Placed(missing=found))
    name = "" if asked.files.is_folder else f"/{asked.files.entries[0].path}"
    return _json(said.Placed(f"{found.folder}{name}", found.mtimes_ns))


def remove(call: Call) -> Response:
    """Remove the folders of a label that no data set has any more."""
    label = _label(call, call.params["label"])
    store = _store(call)
    used = call.server.roots_in_use(f"{store.root}/")
    return _json(store.remove(call.identity.user.name, label, used))


def _store(call: Call) -> UploadStore:
    if call.server.uploads is None:
        raise Refused(
            "this server takes no uploads.",
            hint="Its operator can name a folder for them with the setting upload_root.",
        )
    return call.server.uploads


def _body(call: Call, kind: type[Any]) -> Any:
    return codec.decode(kind, call.body)


def _manifest(files: said.FileList) -> Manifest:
    return Manifest(files.root, files.is_folder, files.entries)


def _label(call: Call, text: str) -> str:
    """Return the last part of a data set's name; others cannot be the name of a folder of uploads."""
    user = call.identity.user.name
    return naming.parse_name(f"user.{user}.{text}", username=user).name


def _json(value: object) -> Response:
    return Response(codec.encode(value), media_type="application/json")


ENDPOINTS = (
    Endpoint("GET", f"{API}{said.PATH}", terms),
    Endpoint("POST", f"{API}{said.SEEN}", sees),
    Endpoint("POST", f"{API}{said.MISSING}", missing),
    Endpoint("PUT", f"{API}{said.CONTENT}", write),
    Endpoint("POST", f"{API}{said.FOLDERS}", place),
    Endpoint("DELETE", f"{API}{said.FOLDERS}/{{label}}", remove),
)
