"""`maestro dataset`, also `maestro castor` as in the original: registered lists of files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra import command_words
from orchestra.cli import dataset_files, dataset_sweep, uploading
from orchestra.cli.argument_types import whole
from orchestra.cli.dataset_record import contents, note_texts, record
from orchestra.cli.output import Record, ago, clean, local, with_tilde
from orchestra.cli.registry import Verb
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.datasets import DataSet, Manifest, ManifestEntry
    from orchestra.files.manifest import Progress

SHOWN = 20


def _name_arguments(parser: Parser) -> None:
    parser.add_argument("word", nargs="?", metavar="NAME", help="name of the data set")
    parser.add_argument(
        *("-n", "--name", "-d", "--dataset"),
        dest="name",
        metavar="NAME",
        help="name of the data set: NAME, in full user.<username>.NAME",
    )


def _name(ctx: Context) -> str:
    given = [name for name in (ctx.args.word, ctx.args.name) if name]
    if len(given) != 1:
        raise BadInput(
            "which data set?" if not given else "two data sets were named; this command takes one.",
            hint="Its name looks like user.ana.grid, in short grid.",
        )
    return str(given[0])


def _known_name(ctx: Context) -> str:
    """Return the full name of an existing data set."""
    return ctx.names.dataset(_name(ctx))


def _create_arguments(parser: Parser) -> None:
    dataset_files.arguments(parser, "a file, several files, or a folder of files")


def _create(ctx: Context) -> None:
    from orchestra.files import file_lists
    from orchestra.interface.dataset_changes import CheckNewDataSet, RegisterDataSet

    name, paths = dataset_files.name_and_paths(ctx)
    if not paths:
        raise BadInput(
            "-p/--path is missing.",
            hint=f"For example: maestro dataset create -n {clean(shlex.quote(name))} -p configs/",
        )
    choice = dataset_files.choice(ctx)
    with ctx.interface() as ask:
        full = ask(CheckNewDataSet(name))
        with checksums(ctx) as progress:
            found = file_lists.of_paths(paths, progress, choice)
        found = uploading.taken(ctx, ask, full, found)
        made = ask(RegisterDataSet(name, found))
    ctx.out.item(
        made,
        lambda dataset: [f"{dataset.name}: {contents(dataset)}, checksums taken"],
        record=record,
        key=lambda dataset: dataset.name,
    )
    note_left_out(ctx, found)
    _note_unmatched(ctx, found)


def _note_unmatched(ctx: Context, manifest: Manifest) -> None:
    if manifest.unmatched and dataset_files.is_chosen(ctx):
        patterns = human.listed([f'"{clean(each)}"' for each in manifest.unmatched])
        ctx.out.note(f"warning: no file matches {patterns}")


def note_left_out(ctx: Context, manifest: Manifest) -> None:
    from orchestra.files.listing import skipped_sentence

    if manifest.outputs:
        ctx.out.note(
            f"The outputs of tasks are left out: {clean(human.listed(list(manifest.outputs), most=3))}"
        )
    if skipped := skipped_sentence(manifest.skipped):
        ctx.out.note(clean(command_words.worded(skipped)))
    if manifest.missing:
        ctx.out.note(
            f"No longer there, and no longer listed: {clean(human.listed(manifest.missing, most=3))}"
        )
    note_texts(ctx, manifest)


@contextmanager
def checksums(ctx: Context) -> Iterator[Progress]:
    with ctx.out.progress("taking checksums", None, "files") as line:

        def show(done: int, total: int, _read: int) -> None:
            line.total = total
            line.set(done)

        yield show


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("-u", "--user", metavar="NAME", help="show the data sets of this user")
    parser.add_argument("-a", "--all", action="store_true", help="show the data sets of all users")


def _list(ctx: Context) -> None:
    from orchestra.interface.datasets import ListDataSets
    from orchestra.interface.me import Me

    with ctx.interface() as ask:
        owner = None if ctx.args.all else ctx.args.user or ask(Me()).name
        found = ask(ListDataSets(owner))
    columns: tuple[Column[DataSet], ...] = (
        Column("DATA SET", lambda dataset: dataset.name, fit=Fit.START),
        Column("FILES", lambda dataset: human.number(dataset.files), right=True),
        Column("SIZE", lambda dataset: human.size(dataset.bytes), right=True),
        Column("VERSION", lambda dataset: dataset.version, right=True, spare="1"),
        Column("CHANGED", lambda dataset: ago(dataset.updated_at), fit=Fit.WHOLE),
        Column("PATH", lambda dataset: dataset.root),
    )
    ctx.out.items(
        found,
        columns,
        narrow=((*columns[:-1], Column("PATH", lambda dataset: with_tilde(dataset.root))),),
        record=record,
        key=lambda dataset: dataset.name,
        empty="No data sets yet: maestro dataset create -n NAME -p PATH"
        if owner is None or not ctx.args.user
        else f"{owner} has no data sets.",
    )


def _show_arguments(parser: Parser) -> None:
    _name_arguments(parser)
    parser.add_argument(
        "--from", dest="first", type=whole, default=0, metavar="N", help="start at file N"
    )
    parser.add_argument(
        "--limit",
        type=whole,
        metavar="N",
        help=f"show at most N files (default {SHOWN}; all in JSON)",
    )


def _show(ctx: Context) -> None:
    from itertools import islice

    from orchestra.interface.datasets import GetDataSet, files_from

    first, limit = ctx.args.first, ctx.args.limit
    if first < 0 or (limit is not None and limit < 1):
        raise BadInput("--from must be at least 0, and --limit at least 1.")
    with ctx.interface() as ask:
        dataset = ask(GetDataSet(_known_name(ctx)))
        shown = limit or (dataset.files if ctx.out.form == "json" else SHOWN)
        files = tuple(islice(files_from(ask, dataset, first), shown))
    ctx.out.item(
        dataset,
        lambda found: _lines(found),
        record=lambda found: {**record(found), "manifest": [_file(file) for file in files]},
        key=lambda found: found.name,
    )
    if ctx.out.form == "table" and not ctx.out.quiet:
        ctx.out.table(list(enumerate(files, first)), _FILE_COLUMNS)
        if (left := dataset.files - first - len(files)) > 0:
            ctx.out.note(
                f"{human.number(left)} more: maestro dataset show {dataset.name} --from {first + len(files)}"
            )


def _lines(dataset: DataSet) -> Iterable[str]:
    yield f"{dataset.name}   {contents(dataset)}, version {dataset.version}"
    yield f"  {'folder' if dataset.is_folder else 'file':<11}{clean(dataset.root)}"
    if dataset.source:
        yield f"  uploaded   from {clean(dataset.source)}"
    if chosen := dataset_files.choice_words(dataset.choice):
        yield f"  chosen     {clean(chosen)}"
    yield f"  registered {local(dataset.created_at)} by {dataset.owner}"
    if dataset.version > 1:
        yield f"  changed    {local(dataset.updated_at)}"


def _modified(file: ManifestEntry) -> str:
    if file.mtime_ns is None:
        return ""
    return local(datetime.fromtimestamp(file.mtime_ns / 1e9, UTC), zone=False)


_FILE_COLUMNS: tuple[Column[tuple[int, ManifestEntry]], ...] = (
    Column("#", lambda row: row[0], right=True),
    Column("SIZE", lambda row: human.size(row[1].size or 0), right=True),
    Column("MODIFIED", lambda row: _modified(row[1]), fit=Fit.WHOLE),
    Column("SHA-256", lambda row: (row[1].sha256 or b"").hex()[:12], fit=Fit.WHOLE),
    Column("FILE", lambda row: row[1].path, fit=Fit.START),
)


def _file(file: ManifestEntry) -> Record:
    return {
        "path": file.path,
        "bytes": file.size,
        "modified_ns": file.mtime_ns,
        "sha256": file.sha256.hex() if file.sha256 else None,
    }


def _update_arguments(parser: Parser) -> None:
    dataset_files.arguments(
        parser, "other files, or another folder (default: those registered before)"
    )


def _update(ctx: Context) -> None:
    from orchestra.files import file_lists
    from orchestra.interface.dataset_changes import OwnDataSet, UpdateDataSet
    from orchestra.interface.datasets import listed_files

    name, paths = dataset_files.name_and_paths(ctx)
    choice = dataset_files.choice(ctx) if dataset_files.is_chosen(ctx) else None
    with ctx.interface() as ask:
        before = ask(OwnDataSet(ctx.names.dataset(name)))
        with checksums(ctx) as progress:
            found = file_lists.again(
                before, listed_files(ask, before), progress, choice=choice, paths=paths
            )
        found = uploading.taken(ctx, ask, before.name, found)
        update = ask(UpdateDataSet(before.name, found, before.version_id))
    changes = update.changes
    if changes:
        counts = [
            f"{human.number(number)} {what}"
            for number, what in (
                (changes.added, "added"),
                (changes.removed, "removed"),
                (changes.changed, "changed"),
            )
            if number
        ]
        same = "the same files at another path" if changes.moved else "the same files"
        what = f"version {update.dataset.version}: {', '.join(counts) or same}"
    else:
        what = f"no changes, still version {update.dataset.version}"
    ctx.out.item(
        update.dataset,
        lambda dataset: [f"{dataset.name}: {what}; {contents(dataset)}"],
        record=lambda dataset: {
            **record(dataset),
            "added": changes.added,
            "removed": changes.removed,
            "changed": changes.changed,
        },
        key=lambda dataset: dataset.name,
    )
    note_left_out(ctx, found)
    _note_unmatched(ctx, found)
    if changes:
        ctx.out.note(
            "Existing tasks keep the version that they were created with. To give one this version: "
            "maestro task retry TASK --update"
        )


def _delete(ctx: Context) -> None:
    from orchestra.interface import uploading as uploads
    from orchestra.interface.dataset_changes import DeleteDataSet

    with ctx.interface() as ask:
        removal = ask(DeleteDataSet(_known_name(ctx)))
        gone = uploads.remove(ask, removal)
    ctx.out.say(f"{removal.dataset.name} is deleted")
    if gone:
        ctx.out.note("Its uploaded files are removed from the server.")
    else:
        ctx.out.note(f"Its files stay in {clean(removal.dataset.root)}")
    if not removal.forgotten:
        ctx.out.note("Its list of files is kept for the ended tasks that used it.")


VERBS = (
    Verb(
        "create",
        "register a file or the files of a folder",
        _create,
        _create_arguments,
        example="maestro dataset create -n grid -p configs/\n"
        "maestro dataset create -n grid -p conf/ --include '*.yaml' --exclude old\n"
        "maestro dataset create -n seeds a.yaml b.yaml extra/c.yaml",
        description=dataset_files.DESCRIPTION,
        aliases=("registry", "register"),
        output=True,
    ),
    Verb(
        "sweep",
        "write and register the configs of a grid, a list or a random search",
        dataset_sweep.sweep,
        dataset_sweep.sweep_arguments,
        example=dataset_sweep.EXAMPLE,
        output=True,
        description=dataset_sweep.DESCRIPTION,
    ),
    Verb(
        "list",
        "show data sets",
        _list,
        _list_arguments,
        example="maestro dataset list\nmaestro dataset list -a -o json",
        output=True,
    ),
    Verb(
        "show",
        "show a data set and its files",
        _show,
        _show_arguments,
        example="maestro dataset show user.ana.grid",
        output=True,
    ),
    Verb(
        "update",
        "register the present files as a new version",
        _update,
        _update_arguments,
        example="maestro dataset update user.ana.grid",
        output=True,
    ),
    Verb(
        "delete",
        "delete a data set; its files stay",
        _delete,
        _name_arguments,
        example="maestro dataset delete user.ana.grid",
        aliases=("unregistry", "unregister"),
    ),
)
