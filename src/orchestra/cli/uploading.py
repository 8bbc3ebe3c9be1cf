"""The option `--upload`, and uploads with a progress line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchestra.cli.output import clean
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.datasets import Manifest
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.interface.operation import Interface

_LARGE = 10_000_000
_UNITS = ((1_000_000, "MB"), (1_000, "kB"))


def arguments(parser: Parser) -> None:
    """Add `--upload` and `--no-upload`."""
    parser.add_argument(
        "--upload",
        action=argparse.BooleanOptionalAction,
        help="send the files to the server, or register them where they lie "
        "(default: send them if the server takes uploads and does not see them)",
    )


def taken(ctx: Context, ask: Interface, name: str, manifest: Manifest) -> Manifest:
    """Return files as they are to be registered for a data set with a name: after an upload, if one is needed.

    Raises:
        BadInput, Refused, ServerUnavailable: as `interface.uploading.taken`.
    """
    from orchestra.interface import uploading

    wanted = getattr(ctx.args, "upload", None)
    if uploading.uploads_of(ask) is None and not wanted:
        return manifest
    size, unit = _UNITS[0] if manifest.bytes >= _LARGE else _UNITS[1]
    with ctx.out.progress("uploading", None, unit) as line:

        def report(sent: int, total: int) -> None:
            line.total = -(-total // size)
            line.set(sent // size)

        found = uploading.taken(ask, uploading.label_of(name), manifest, wanted, report)
    if found.note:
        ctx.out.note(clean(found.note))
    return found.manifest


def check_files(ctx: Context, ask: Interface, new: NewTask, folder: str) -> NewTask:
    """Check the files of a new task, as `files.task_files.check`; its volume need not be on a laptop.

    Raises:
        BadInput, VolumeError: its image, its volume or its folder cannot be used.
    """
    from orchestra.files import task_files
    from orchestra.interface import uploading

    if uploading.uploads_of(ask) and uploading.is_uploaded(ask, new.config):
        check_volume(ctx, new)
    elsewhere = uploading.is_elsewhere(ask, new.volume)
    if elsewhere:
        ctx.out.note(
            f"note: the volume {clean(new.volume)} is not on this machine; the nodes check it"
        )
    return task_files.check(new, folder, dry=ctx.args.dry_run, elsewhere=elsewhere)


def check_volume(ctx: Context, new: NewTask) -> None:
    """Refuse the current folder as the volume of a task whose files were uploaded, unless it was named.

    Raises:
        BadInput: no volume was named.
    """
    if not (ctx.args.volume or ctx.settings.volume):
        raise BadInput(
            f"results would be written to the current folder, {clean(new.volume)}, which the nodes may not see.",
            hint='Name a folder of theirs with -v or as "volume" in the configuration; -v . if they see this one.',
        )
