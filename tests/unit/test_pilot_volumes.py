"""How folders that do not answer and long checksums are reported, and which attempts wait for them."""

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
from orchestra.domain.resources import Request
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
    note = Note(Queue.CPU, Request(cpus=1), "/v/t", 1, None, None, None, 30.0)
    files = SharedFiles("/data", True, (ENTRY,))
    task = cast(TaskSpec, SimpleNamespace(id=3, volume="/v", shared=(files,), folder="/v/t"))
    grant = Grant(key, False, 1, None, InputFile("/configs/c", ENTRY, "/configs"))
    return LocalAttempt(key, uuid4(), note, phase, grant=grant, task=task)


class FakeAgent:
    """A context whose I/O threads never finish, unless `answer` is called."""

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

    def access(self, path: str, *, progress_at: float, is_checksum: bool = False) -> None:
        """Let an I/O thread of the task access a path since 100.0."""
        self.launch.io_activity._by_thread[1] = Access(3, path, 100.0, progress_at, is_checksum)

    def said(self) -> list[str]:
        return [trouble.text for trouble in self.context.troubles.values()]


def test_a_folder_that_does_not_answer_is_reported_after_ten_seconds() -> None:
    agent = FakeAgent(local_attempt())
    assert agent.watch.tick(100.0) == 105.0
    assert set(agent.asked) == {"/v", "/configs", "/data"}
    agent.answer("/configs")
    assert agent.watch.tick(105.0) == 110.0
    agent.answer("/configs")
    assert agent.said() == []
    agent.watch.tick(110.0)
    assert agent.said() == [DATA, VOLUME]
    assert set(agent.context.unresponsive) == {"/v", "/data"}
    agent.answer("/v", "/data")
    assert agent.watch.tick(110.5) == 115.0
    assert agent.said() == []


def test_it_remains_reported_when_no_job_needs_it_any_more() -> None:
    attempt = local_attempt()
    agent = FakeAgent(attempt)
    agent.watch.tick(100.0)
    agent.answer("/configs", "/data")
    agent.context.state.drop(attempt.key)
    agent.watch.tick(110.0)
    assert agent.said() == [VOLUME]
    agent.answer("/v")
    agent.watch.tick(110.5)
    assert agent.said() == []
    assert agent.watch.tick(112.0) == float("inf")


def test_a_file_for_which_a_thread_waits_is_reported_by_its_folder() -> None:
    agent = FakeAgent(local_attempt())
    agent.access("/data/c", progress_at=100.0)
    agent.watch.tick(100.0)
    agent.answer("/v", "/configs", "/data")
    assert agent.watch.tick(105.0) == 110.0
    agent.answer("/v", "/configs", "/data")
    agent.watch.tick(110.0)
    assert agent.said() == [DATA]


def test_a_long_checksum_is_reported_and_does_not_count_as_silence() -> None:
    agent = FakeAgent(local_attempt())
    agent.access("/data/c", progress_at=100.0, is_checksum=True)
    agent.watch.tick(100.0)
    agent.answer("/v", "/configs", "/data")
    agent.watch.tick(101.0)
    assert agent.said() == []
    agent.access("/data/c", progress_at=130.0, is_checksum=True)
    agent.watch.tick(131.0)
    assert agent.said() == ["task 3 is waiting for the checksum of /data/c, whose time has changed"]


def spawner(agent: FakeAgent, attempt: LocalAttempt, released: list[str]) -> Spawner:
    found = Spawner.__new__(Spawner)
    found.context = agent.context
    found._preparing = {attempt.key: (100.0, attempt)}
    found._reporter = cast(Any, SimpleNamespace(release=lambda _, why: released.append(why)))
    return found


def test_an_attempt_whose_file_does_not_answer_is_released_but_not_during_a_checksum() -> None:
    attempt, released = local_attempt(Phase.PREPARING), list[str]()
    agent = FakeAgent(attempt)
    working = spawner(agent, attempt, released)
    agent.access("/data/c", progress_at=200.0, is_checksum=True)
    agent.launch.io_activity._last_read[3] = 200.0
    working._release_stalled(229.0)
    assert released == []
    assert working._stalls_at(100.0, attempt) == 230.0
    working._release_stalled(230.0)
    assert released == [f"not started: {DATA}"]
    assert agent.said() == [f"task 3 cannot start: {DATA}"]


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.EIO, errno.ESTALE])
def test_an_error_of_a_file_system_says_nothing_about_the_file(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it puts no task on hold: the job is released, and its task is avoided for a moment."""

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
    launch = replace(FakeAgent().launch, io_activity=IOActivity())
    result = prepare(launch, attempt.task, grant, attempt.note)
    assert result == Unready(Cause.RETURNED, f"not started: {words}", avoid_task=words)
