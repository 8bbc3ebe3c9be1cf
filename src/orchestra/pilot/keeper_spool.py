"""A keeper's spool: whether the keeper lives, and what it has recorded."""

from __future__ import annotations

import fcntl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestra.pilot import keeper
from orchestra.pilot.keeper_messages import (
    Ended,
    Hello,
    KeeperError,
    SpoolDamaged,
    Started,
    parse_event,
    parse_hello,
)


def is_alive(folder: Path) -> bool:
    """Whether a keeper lives in the folder, stopped or not. A living one holds the lock of its spool.

    True also where a broken disk or missing permissions hide the answer, so that a living keeper is never given up.
    """
    try:
        with (folder / "spool").open("rb") as spool:
            fcntl.flock(spool, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def read_spool(folder: Path) -> Hello:
    """Return what the keeper of a folder would say in its hello if it were alive.

    If it is dead, `outcomes` are to be reported. How the attempts in `running` end is unknown, and their processes may
    be alive.

    Raises:
        SpoolDamaged: it has records, but the header is missing or a record is not of this version's format.
        KeeperError: no keeper has ever run in that folder.
    """
    try:
        content = (folder / "spool").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        content = b""
    except OSError as error:
        raise SpoolDamaged(f"The spool in {folder} cannot be read: {error.strerror}.") from None
    slots = (
        content[at : at + keeper.SLOT_BYTES] for at in range(0, len(content), keeper.SLOT_BYTES)
    )
    header, *records = [keeper.unseal(slot) for slot in slots] or [None]
    if header is None:
        if any(records):
            raise SpoolDamaged(f"The spool in {folder} has lost its beginning.")
        raise KeeperError(f"No keeper ever ran in {folder}.")
    try:
        return _parse(header, [record for record in records if record])
    except keeper.MALFORMED as error:
        raise SpoolDamaged(f"The spool in {folder} cannot be understood: {error!r}.") from None


def _parse(header: keeper.Message, records: Sequence[keeper.Message]) -> Hello:
    events = [parse_event(record) for record in records]
    outcomes = (event for event in events if isinstance(event, Ended))
    return replace(
        parse_hello(header),
        running=tuple(event for event in events if isinstance(event, Started)),
        outcomes=tuple(sorted(outcomes, key=lambda ended: ended.sequence)),
    )
