"""A data set in words and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.domain import human

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.datasets import DataSet, Manifest


def contents(dataset: DataSet) -> str:
    """Give what a data set holds in words: `36 files, 4.1 kB`."""
    return f"{human.count(dataset.files, 'file')}, {human.size(dataset.bytes)}"


def record(dataset: DataSet) -> Record:
    """Give what lists and `show` say of a data set in JSON alike."""
    return {
        "name": dataset.name,
        "owner": dataset.owner,
        "version": dataset.version,
        "path": dataset.root,
        "is_folder": dataset.is_folder,
        "files": dataset.files,
        "bytes": dataset.bytes,
        "created_at": dataset.created_at,
        "updated_at": dataset.updated_at,
    }


def note_texts(ctx: Context, manifest: Manifest) -> None:
    """Say where the database does not keep what all small files say."""
    if manifest.texts_cut:
        first = human.count(len(manifest.texts), "file")
        ctx.out.note(
            f"The values of the first {first} are kept in the database, those of the others are "
            "not: a mail about the best jobs does not show them."
        )
