"""What pilots have left on this machine, seen from outside: nothing is written, nobody is spoken with."""

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
    """Give all below the folder that pilots of this account use, those with nothing left in them as well."""
    return [_look(folder) for folder in sorted(base.glob("*/*")) if folder.is_dir()]


def _look(folder: Path) -> StateInventory:
    keepers = list(_keepers(folder / "keepers"))
    living = [(alive, said) for alive, said in keepers if alive]
    return StateInventory(
        cluster=unquote(folder.parent.name),
        node=unquote(folder.name),
        folder=folder,
        agent=_is_locked(state_folder.presence(folder)),
        keepers=len(living),
        running=sum(len(said.running) for _, said in living if said),
        unsent=sum(len(said.outcomes) for _, said in keepers if said),
        set_aside=sum(1 for _ in (folder / "set-aside").glob("*.json")),
    )


def _keepers(folder: Path) -> Iterator[tuple[bool, Hello | None]]:
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            said = read_spool(each)
        except (OrchestraError, OSError, ValueError, KeyError):
            said = None  # just being made, or removed meanwhile
        yield is_alive(each), said


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
