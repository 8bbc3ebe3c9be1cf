"""What a job in a container can access on its machine, for all runtimes."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from orchestra.domain.binds import Bind, parse_bind


def binds(
    *,
    own: Iterable[PurePosixPath],
    reads: Iterable[str],
    node: Iterable[Bind],
    task: Iterable[str],
) -> tuple[Bind, ...]:
    """Return the binds of a job, parents before their subfolders: its folders for writing, its data sets for reading.

    Args:
        own: its output folder and its scratch folder.
        reads: the folders of its data sets, or the file of a data set of one file.
        node: the binds in the node's configuration.
        task: the binds of the task, which take precedence for the same target.
    """
    chosen: dict[PurePosixPath, Bind] = {}
    for bind in (
        *node,
        *(Bind(PurePosixPath(path), read_only=True) for path in reads),
        *map(parse_bind, task),
        *map(Bind, own),
    ):
        chosen[bind.seen_as] = bind
    return tuple(sorted(chosen.values(), key=lambda bind: (len(bind.seen_as.parts), bind.seen_as)))


def with_linked(bound: Sequence[Bind], files: Iterable[str]) -> tuple[Bind, ...]:
    """Add the targets of files that are symlinks, for reading, so that these work in the container. Does I/O."""
    added = []
    for path in files:
        real = PurePosixPath(os.path.realpath(path))
        seen = any(real.is_relative_to(bind.seen_as) and not bind.target for bind in bound)
        if str(real) != path and not seen:
            added.append(Bind(real, read_only=True))
    return (*bound, *dict.fromkeys(added))


def home(environ: Mapping[str, str], bound: Iterable[Bind], out: PurePosixPath) -> str:
    """Return the job's HOME: that of its account if it is bound, else the job's folder, where it can write."""
    try:
        own = PurePosixPath(environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:  # an account without a name
        return str(out)
    return str(own) if any(own.is_relative_to(bind.seen_as) for bind in bound) else str(out)
