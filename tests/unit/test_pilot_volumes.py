"""What is said of folders that do not answer and of checksums that take long; what is waited for, and what is not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from orchestra.domain.errors import VolumeError
from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.models.work import AttemptKey, Grant, InputFile, SharedFiles, TaskSpec
from orchestra.domain.states import Cause, Queue
from orchestra.files.manifest import check_file
from orchestra.pilot.context import Context
from orchestra.pilot.inputs import InputChecker
from orchestra.pilot.io_activity import Access, IOActivity
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.prepare import Unready, prepare
from orchestra.pilot.spawn import Spawner
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState
from orchestra.pilot.volumes import VolumeWatch

ENTRY = ManifestEntry("c", 1, 1, b"")
VOLUME, DATA = "the volume /v does not answer", "/data does not answer"


def local_attempt(phase: Phase = Phase.RUNNING) -> LocalAttempt:
    key = AttemptKey(3, 0, 1, uuid4())
    note = Note(Queue.CPU, 1, "/v/t", 1, None, None, None, 30.0)
    files = SharedFiles("/data", True, (ENTRY,))
    task = cast(TaskSpec, SimpleNamespace(id=3, volume="/v", shared=(files,), folder="/v/t"))
    grant = Grant(key, False, 1, None, InputFile("/configs/c", ENTRY, "/configs"))
    return LocalAttempt(key, uuid4(), note, phase, grant=grant, task=task)


class Office:
    """A desk whose I/O threads never come back, unless they are told to."""

    def __init__(self, *attempts: LocalAttempt) -> None:
        self.asked: dict[int | str, Callable[[Any], None]] = {}
        self.launch = LaunchConfig((), {}, InputChecker())
        state = PilotState()
        for attempt in attempts:
            state.add(attempt)
        self.context = cast(
            Context,
            SimpleNamespace(
                state=state,
                launch=self.launch,
                workers=self,
                troubles={},
                unresponsive={},
                stalled={},
            ),
        )
        self.watch = VolumeWatch(self.context)

    def submit(
        self, _work: object, then: Callable[[Any], None], _: object, *, lane: int | str
    ) -> None:
        self.asked[lane] = then

    def answer(self, *folders: str) -> None:
        for folder in folders:
            self.asked.pop(folder)(None)

    def at(self, path: str, *, began: float, moved: float, reads: bool = False) -> None:
        """Let an I/O thread of the task be at a path."""
        self.launch.io_activity._by_thread[1] = Access(3, path, began, moved, reads)

    def said(self) -> list[str]:
        return [trouble.text for trouble in self.context.troubles.values()]


def test_a_folder_that_does_not_answer_is_named_after_ten_seconds() -> None:
    office = Office(local_attempt())
    assert office.watch.tick(100.0) == 105.0
    assert set(office.asked) == {"/v", "/configs", "/data"}
    office.answer("/configs")
    assert office.watch.tick(105.0) == 110.0
    office.answer("/configs")
    assert office.said() == []
    office.watch.tick(110.0)
    assert office.said() == [DATA, VOLUME]
    assert set(office.context.unresponsive) == {"/v", "/data"}
    office.answer("/v", "/data")
    assert office.watch.tick(110.5) == 115.0
    assert office.said() == []


def test_it_keeps_its_name_when_no_job_needs_it_any_more() -> None:
    attempt = local_attempt()
    office = Office(attempt)
    office.watch.tick(100.0)
    office.answer("/configs", "/data")
    office.context.state.drop(attempt.key)
    office.watch.tick(110.0)
    assert office.said() == [VOLUME]
    office.answer("/v")
    office.watch.tick(110.5)
    assert office.said() == []
    assert office.watch.tick(112.0) == float("inf")


def test_a_file_for_which_a_thread_waits_is_named_by_its_folder() -> None:
    office = Office(local_attempt())
    office.at("/data/c", began=100.0, moved=100.0)
    office.watch.tick(100.0)
    office.answer("/v", "/configs", "/data")
    assert office.watch.tick(105.0) == 110.0
    office.answer("/v", "/configs", "/data")
    office.watch.tick(110.0)
    assert office.said() == [DATA]


def test_a_long_checksum_is_told_and_is_no_silence() -> None:
    office = Office(local_attempt())
    office.at("/data/c", began=100.0, moved=100.0, reads=True)
    office.watch.tick(100.0)
    office.answer("/v", "/configs", "/data")
    office.watch.tick(101.0)
    assert office.said() == []
    office.at("/data/c", began=100.0, moved=130.0, reads=True)
    office.watch.tick(131.0)
    assert office.said() == [
        "task 3 is waiting for the checksum of /data/c, which has another time than registered"
    ]


def starter(office: Office, attempt: LocalAttempt, returned: list[str]) -> Spawner:
    found = Spawner.__new__(Spawner)
    found.context = office.context
    found._preparing = {attempt.key: (100.0, attempt)}
    found._reporter = cast(Any, SimpleNamespace(release=lambda _held, why: returned.append(why)))
    return found


def test_a_start_is_given_back_where_its_file_does_not_answer_and_not_while_a_checksum_goes_on() -> (
    None
):
    attempt, returned = local_attempt(Phase.PREPARING), list[str]()
    office = Office(attempt)
    working = starter(office, attempt, returned)
    office.at("/data/c", began=100.0, moved=200.0, reads=True)
    office.launch.io_activity._last_read[3] = 200.0
    working._release_stalled(229.0)
    assert returned == []
    assert working._stalls_at(100.0, attempt) == 230.0
    working._release_stalled(230.0)
    assert returned == [f"not started: {DATA}"]
    assert office.said() == [f"task 3 cannot start: {DATA}"]


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.EIO, errno.ESTALE])
def test_trouble_of_a_file_system_says_nothing_of_the_file(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it holds no task: the job is given back, and its task is left alone for a moment."""

    def broken(path: Path) -> os.stat_result:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "stat", broken)
    words = f"/data/c cannot be read: {os.strerror(number)}"
    with pytest.raises(VolumeError, match=words):
        check_file(ENTRY, "/data/c")
    attempt = local_attempt(Phase.PREPARING)
    assert attempt.task
    assert attempt.grant
    grant = replace(attempt.grant, config=InputFile("/data/c", ENTRY))
    launch = replace(Office().launch, io_activity=IOActivity())
    result = prepare(launch, attempt.task, grant, attempt.note)
    assert result == Unready(Cause.RETURNED, f"not started: {words}", avoid_task=words)
