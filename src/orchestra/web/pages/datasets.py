"""The data sets: what is registered, each with its files and versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import NotAllowed, NotFound, Refused
from orchestra.domain.models.datasets import ManifestEntry
from orchestra.interface.dataset_changes import DeleteDataSet, OwnDataSet
from orchestra.interface.datasets import GetDataSet, ListDataSets, ListFiles, ListVersions
from orchestra.interface.problems import status_of
from orchestra.web.forms import asked, number
from orchestra.web.rendering import go, page

PAGE = 200


@dataclass(frozen=True, slots=True)
class File:
    """A file as a page shows it. `modified` is None where that is not known."""

    number: int
    path: str
    size: int | None
    modified: datetime | None
    digest: str


def show_datasets(call: Call) -> Response:
    """Show the data sets of who asks, of another user, or of everybody.

    Raises:
        NotFound: there is no such user.
    """
    form = asked(call)
    everybody, user = form.ticked("all"), form.text("user")
    owner = None if everybody else user or call.identity.user.name
    found = call.ask(ListDataSets(owner))
    first = number(form, "first", 0)
    shown = found[first : first + PAGE]
    return page(
        call,
        "datasets.html",
        here="Data sets",
        datasets=shown,
        count=len(found),
        first=first,
        following=first + PAGE if first + PAGE < len(found) else None,
        owner=owner,
        user=user,
    )


def how_to_register(call: Call) -> Response:
    """Say how files become a data set: a command reads them where they are."""
    return page(
        call,
        "dataset_new.html",
        here="Data sets",
        address=f"{call.request.url.scheme}://{call.request.url.netloc}{call.server.root_path}",
        uploads=call.server.settings.upload_root is not None,
    )


def show_dataset(call: Call) -> Response:
    """Show one data set, with a page of its files.

    Raises:
        BadInput, NotFound: there is none of this name.
    """
    first = number(asked(call), "first", 0)
    with call.server.interface(call.identity) as ask:
        dataset = ask(GetDataSet(call.params["name"]))
        files = ask(ListFiles(dataset.name, first, PAGE))
        versions = ask(ListVersions(dataset.name))
    return page(
        call,
        "dataset.html",
        here="Data sets",
        dataset=dataset,
        files=[_file(place, entry) for place, entry in enumerate(files, first)],
        first=first,
        following=first + PAGE if first + PAGE < dataset.files else None,
        versions=versions,
        may_change=call.identity.caller.may_change(dataset.owner),
    )


def _file(place: int, entry: ManifestEntry) -> File:
    return File(
        place,
        entry.path,
        entry.size,
        None if entry.mtime_ns is None else datetime.fromtimestamp(entry.mtime_ns / 1e9, UTC),
        (entry.sha256 or b"").hex()[:12],
    )


def ask_to_delete(call: Call) -> Response:
    """Say what deleting a data set would do.

    Raises:
        BadInput, NotFound, NotAllowed: there is none of this name, or it belongs to somebody else.
    """
    return _question(call)


def delete(call: Call) -> Response:
    """Delete a data set.

    Raises:
        BadInput, NotFound, NotAllowed: there is none of this name, or it belongs to somebody else.
    """
    name = call.params["name"]
    try:
        call.ask(DeleteDataSet(name))
    except (NotAllowed, NotFound):
        raise
    except Refused as error:
        return _question(call, error)
    return go(call, "/datasets", f"{name} is deleted; its files are where they were.")


def _question(call: Call, refused: Refused | None = None) -> Response:
    dataset = call.ask(OwnDataSet(call.params["name"]))
    path = f"/datasets/{quote(dataset.name, safe='')}"
    return page(
        call,
        "preview.html",
        status=status_of(refused) if refused else 200,
        here="Data sets",
        question=f"Delete data set {dataset.name}?",
        consequences=(
            f"Its {dataset.files:,} {'file stays' if dataset.files == 1 else 'files stay'} at {dataset.root}.",
            "No new task can use it. Tasks that have used it keep what they know of it.",
        ),
        path=f"{path}/delete",
        back=path,
        button="Delete",
        kind="danger",
        refused=refused,
    )


ENDPOINTS = (
    Endpoint("GET", "/datasets", show_datasets),
    Endpoint("GET", "/datasets/new", how_to_register),
    Endpoint("GET", "/datasets/{name}", show_dataset),
    Endpoint("GET", "/datasets/{name}/delete", ask_to_delete),
    Endpoint("POST", "/datasets/{name}/delete", delete),
)
