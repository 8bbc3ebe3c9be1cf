"""The failures of a task in groups, and what is done with all jobs of a group, after its consequences were told."""

from __future__ import annotations

import pytest

from orchestra.domain.consequences import TaskAction
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.models.failures import JobsOnNode
from orchestra.domain.states import Cause, JobState, JobStatus, TaskState
from orchestra.interface.answers.consequences import Consequences
from orchestra.interface.consequences import ConsequencesOf
from orchestra.interface.failures import FailuresOf
from orchestra.interface.job_matches import KillMatching, RetryMatching, every_match
from orchestra.interface.job_search import SearchJobs
from orchestra.services.jobs import matches
from support.world import World

_LOGS = {
    0: b"ValueError: lr 0.5 is too large\n",
    1: b"ValueError: lr 1.5 is too large\n",
    2: b"out of tea \\o/ \xff\n",
    3: b"",
}


@pytest.fixture
def failed(world: World) -> int:
    """A task of 12 jobs: 0 to 3 failed with logs of their own, 0 and 2 on gauss and 1 and 3 on noether; 4 timed out on
    gauss, where 5 runs; 6 and 7 are done, 8 is claimed by noether, and 9 to 11 wait."""
    task = world.task(12, test_jobs=0, typical_seconds=3600.0)
    world.conduct(2)
    gauss, noether = world.pilot("gauss"), world.pilot("noether")
    for index in range(9):
        pilot = noether if index in (1, 3, 7, 8) else gauss
        (grant,) = pilot.claim(cpu=1)
        if index < 8:
            pilot.start(grant)
        if index < 4:
            pilot.end(grant, status=3)
        elif index == 4:
            pilot.end(grant, cause=Cause.TIMEOUT)
        elif index in (6, 7):
            pilot.end(grant)
    for index, log in _LOGS.items():
        world.conn.execute(
            "update attempt set log_tail = %s, log_bytes = %s where task_id = %s and ordinal = %s",
            [log, len(log), task, index],
        )
    world.conn.execute(
        "update attempt set started_at = now() - interval '2 hours' where ordinal = 5"
    )
    return task


def would(
    world: World, task: int, action: TaskAction, who: str = "ana", **choice: str
) -> Consequences:
    return world.interface(who)(ConsequencesOf(str(task), action, **choice))  # type: ignore[arg-type]


def test_failures_by_reason_by_last_line_and_by_node(world: World, failed: int) -> None:
    answer = world.interface()(FailuresOf(str(failed)))
    assert (answer.looked, answer.failed) == (5, 5)
    exits, timeout = answer.reasons
    assert (exits.reason, exits.words, exits.jobs) == ("exit:3", "exit status 3", 4)
    assert exits.nodes == (JobsOnNode("gauss", 2), JobsOnNode("noether", 2))
    assert [(line.line, line.jobs, line.index, line.tail) for line in exits.lines] == [
        ("ValueError: lr * is too large", 2, 0, ("ValueError: lr 0.5 is too large",)),
        ("out of tea \\o/ *", 1, 2, ("out of tea \\o/ �",)),
        (None, 1, 3, ()),
    ]
    assert (timeout.reason, timeout.jobs, timeout.lines[0].config) == (
        "timeout",
        1,
        "config.4.json",
    )


def test_jobs_are_searched_by_reason_and_by_last_line(world: World, failed: int) -> None:
    def found(**asked: str) -> list[int]:
        answer = world.interface()(SearchJobs(str(failed), **asked))  # type: ignore[arg-type]
        return [each.job.index for each in answer.jobs]

    assert found(reason="exit:3") == [0, 1, 2, 3]
    assert found(reason="exit") == [0, 1, 2, 3, 6, 7]
    assert found(reason="exit:3", node="noether") == [1, 3]
    assert found(reason="timeout", status=JobStatus.FAILED) == [4]
    for line in world.interface()(FailuresOf(str(failed))).reasons[0].lines[:2]:
        assert found(line=line.line or "") == ([0, 1] if line.jobs == 2 else [2])
    assert found(line="ValueError*") == [0, 1]
    assert found(line="lr*") == []
    for wrong in ({"reason": "exit:x"}, {"line": "x" * 2_000}):
        with pytest.raises(BadInput):
            found(**wrong)


def test_a_group_of_jobs_runs_again_and_the_count_is_exact(world: World, failed: int) -> None:
    told = would(world, failed, TaskAction.RETRY_JOBS, reason="exit:3", line="ValueError*")
    assert (
        told.sentences[0] == "Runs 2 jobs again, before the others of the task, about 2 CPU hours."
    )
    ask = world.interface()
    answer = ask(RetryMatching(failed, reason="exit:3", line="ValueError*"))
    assert (answer.jobs, answer.following) == (2, None)
    assert world.jobs(failed)[:5] == [*[JobState.REGISTERED] * 2, *[JobState.FAILED] * 3]
    assert world.counts(failed) == world.true_counts(failed)
    # What is left of all that is not done; nothing is left after that.
    assert would(world, failed, TaskAction.RETRY_JOBS).affected.again == 3
    assert ask(RetryMatching(failed)).jobs == 3
    assert ask(RetryMatching(failed)).jobs == 0
    assert ask(RetryMatching(failed, status=JobStatus.DONE)).jobs == 2
    with pytest.raises(BadInput, match="jobs that are running cannot be retried"):
        ask(RetryMatching(failed, status=JobStatus.RUNNING))


def test_the_jobs_on_a_node_are_killed(world: World, failed: int) -> None:
    told = would(world, failed, TaskAction.KILL_JOBS, node="gauss")
    assert told.sentences == ("Ends 1 running job, which has used 2 CPU hours.",)
    ask = world.interface()
    assert ask(KillMatching(failed, node="gauss", why="hot")).jobs == 1
    told = would(world, failed, TaskAction.KILL_JOBS)
    assert (told.affected.ends, told.affected.waits) == (0, 4)
    assert ask(KillMatching(failed)).jobs == 4
    assert world.counts(failed).kill == 2  # with processes
    with pytest.raises(BadInput, match="jobs that are done cannot be killed"):
        ask(KillMatching(failed, status=JobStatus.DONE))


def test_many_jobs_are_changed_in_several_transactions_and_answers(
    world: World, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matches, "CHUNK", 2)
    monkeypatch.setattr(matches, "LOOKED", 4)
    ask = world.interface()
    first = ask(KillMatching(failed, status=JobStatus.ASSIGNED))
    assert (first.jobs, first.following) == (4, (JobStatus.ASSIGNED, 12))
    assert every_match(ask, RetryMatching(failed)).jobs == 8
    assert would(world, failed, TaskAction.RETRY_JOBS, node="nowhere").affected.exact
    with pytest.raises(BadInput, match="goes on where"):
        ask(RetryMatching(failed, start=(JobStatus.RUNNING, 0)))


def test_the_consequences_for_a_whole_task(world: World, failed: int) -> None:
    killed = would(world, failed, TaskAction.KILL)
    assert (killed.affected.ends, killed.affected.waits, killed.refusal) == (1, 4, None)
    assert killed.sentences[0] == "Ends 1 running job, which has used 2 CPU hours."
    assert would(world, failed, TaskAction.HOLD).affected.waits == 4
    assert "are not finished" in str(would(world, failed, TaskAction.RETRY).refusal)
    assert 'belongs to user "ana", but you are "bob"' in str(
        would(world, failed, TaskAction.KILL, who="bob").refusal
    )
    world.conn.execute("update task set state = 'KILL', rank = null where id = %s", [failed])
    with pytest.raises(Refused, match="the whole task is being killed"):
        world.interface()(KillMatching(failed))
    assert (
        would(world, failed, TaskAction.KILL).refusal
        == f"task {failed} (user.ana.task) is KILL already."
    )
    assert world.state(failed) is TaskState.KILL
