"""Keepers that are lost, and what is made of what they left."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.keepers import Keepers, Port
from orchestra.pilot.link import Hello, Started


def _lost(folder: Path) -> tuple[Keepers, Port]:
    keepers = Keepers(folder.parent, uuid4())
    started = Started(AttemptKey(3, 17, 1, uuid4()), 1, 1, 1.0, None)
    port = Port(
        Hello(uuid4(), "boot", 1, "1", 1, running=(started,)), folder, None, registered=True
    )
    keepers.ports[port.id] = port
    return keepers, port


def test_a_keeper_that_another_agent_has_buried_has_nothing_left_to_say(tmp_path: Path) -> None:
    keepers, port = _lost(tmp_path / "gone")
    assert keepers.reconnect(port)
    assert (port.dead, port.buried, port.retired) == (True, True, True)
    assert (port.hello.running, port.hello.outcomes) == ((), ())
    keepers.bury(port)
    assert not keepers.ports


def test_a_keeper_whose_spool_cannot_be_read_is_dead_but_not_buried(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "spool").write_bytes(b"\0" * 4096)
    keepers, port = _lost(folder)
    assert keepers.reconnect(port)
    assert (port.dead, port.buried, port.hello.running) == (True, False, ())
