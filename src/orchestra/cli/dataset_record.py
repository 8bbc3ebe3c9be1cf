"""A data set in words and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.domain import human

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.datasets import DataSet, Manifest


def contents(dataset: DataSet) -> str:
    """Return what a data set contains in words: `36 files, 4.1 kB`."""
    return f"{human.count(dataset.files, 'file')}, {human.size(dataset.bytes)}"


def record(dataset: DataSet) -> Record:
    """Return a data set in JSON, as `dataset list` and `dataset show` have it."""
    return {
        "name": dataset.name,
        "owner": dataset.owner,
        "version": dataset.version,
        "path": dataset.root,
        "source": dataset.source,
        "is_folder": dataset.is_folder,
        "files": dataset.files,
        "bytes": dataset.bytes,
        "created_at": dataset.created_at,
        "updated_at": dataset.updated_at,
        "include": list(dataset.choice.include),
        "exclude": list(dataset.choice.exclude),
        "all_files": dataset.choice.all_files,
        "listed": dataset.choice.listed,
    }


def note_texts(ctx: Context, manifest: Manifest) -> None:
    """Note that the database does not keep the contents of all small files."""
    if manifest.texts_cut:
        first = human.count(len(manifest.texts), "file")
        ctx.out.note(
            f"Only the values of the first {first} are kept in the database; mails about the best jobs "
            "do not show those of the others."
        )
