"""What a job in a container sees of its machine, whatever the runtime."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from orchestra.domain.binds import Bind, parse_bind


def binds(
    *,
    out: PurePosixPath,
    reads: Iterable[str],
    node: Iterable[Bind],
    task: Iterable[str],
) -> tuple[Bind, ...]:
    """Give what is bound, outer paths before those within them: its folder for writing, its data sets for reading.

    Args:
        reads: the folders of its data sets; the file where one is of one file alone.
        node: what the node's configuration names.
        task: what the task names, which wins where two have the same target.
    """
    chosen: dict[PurePosixPath, Bind] = {}
    for bind in (
        *node,
        *(Bind(PurePosixPath(path), read_only=True) for path in reads),
        *map(parse_bind, task),
        Bind(out),
    ):
        chosen[bind.seen_as] = bind
    return tuple(sorted(chosen.values(), key=lambda bind: (len(bind.seen_as.parts), bind.seen_as)))


def with_linked(bound: Sequence[Bind], files: Iterable[str]) -> tuple[Bind, ...]:
    """Add what files really are that are links, for reading: a link would lead nowhere in the container. Does I/O."""
    added = []
    for path in files:
        real = PurePosixPath(os.path.realpath(path))
        seen = any(real.is_relative_to(bind.seen_as) and not bind.target for bind in bound)
        if str(real) != path and not seen:
            added.append(Bind(real, read_only=True))
    return (*bound, *dict.fromkeys(added))


def home(environ: Mapping[str, str], bound: Iterable[Bind], out: PurePosixPath) -> str:
    """Give the job's HOME: its account's own where that is seen inside, else its folder, so that it can write there."""
    try:
        own = PurePosixPath(environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:  # an account that only a number knows
        return str(out)
    return str(own) if any(own.is_relative_to(bind.seen_as) for bind in bound) else str(out)
