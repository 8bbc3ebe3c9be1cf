"""What pilots have left on this machine, read from outside: nothing is written, and no process is contacted."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from orchestra.domain.errors import OrchestraError
from orchestra.domain.state_inventory import StateInventory
from orchestra.pilot import state_folder
from orchestra.pilot.keeper_messages import Hello
from orchestra.pilot.keeper_spool import is_alive, read_spool


def state_inventories(base: Path) -> list[StateInventory]:
    """Return the contents of all pilots' folders of this account, including empty ones."""
    found = (folder for folder in sorted(base.glob("*/*")) if folder.name != state_folder.IMAGES)
    return [_inventory(folder) for folder in found if folder.is_dir()]


def _inventory(folder: Path) -> StateInventory:
    keepers = list(_keepers(folder / "keepers"))
    living = [spool for alive, spool in keepers if alive]
    return StateInventory(
        cluster=unquote(folder.parent.name),
        node=unquote(folder.name),
        folder=folder,
        agent=_is_locked(state_folder.lock_path(folder)),
        keepers=len(living),
        running=sum(len(spool.running) for spool in living if spool),
        unsent=sum(len(spool.outcomes) for _, spool in keepers if spool),
        set_aside=sum(1 for _ in (folder / "set-aside").glob("*.json")),
    )


def _keepers(folder: Path) -> Iterator[tuple[bool, Hello | None]]:
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            spool = read_spool(each)
        except (OrchestraError, OSError, ValueError, KeyError):
            spool = None  # the keeper is just being started, or was removed meanwhile
        yield is_alive(each), spool


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
