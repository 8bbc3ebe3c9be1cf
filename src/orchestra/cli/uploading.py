"""The option `--upload`, and uploads with a progress line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchestra.cli.output import clean

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.datasets import Manifest
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

        found = uploading.taken(ask, name.rpartition(".")[2], manifest, wanted, report)
    if found.note:
        ctx.out.note(clean(found.note))
    return found.manifest
