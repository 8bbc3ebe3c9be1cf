"""Every sentence of `job explain`, from facts that are made up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestra import command_words
from orchestra.domain.explanation import Facts, KeeperLease, explain
from orchestra.domain.fair_share import Share
from orchestra.domain.forecast import Competitor, RunningJobs
from orchestra.domain.lifecycle import TestFacts
from orchestra.domain.matchmaking import Need, NodeOffer, eligible
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailedAttempt
from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.tasks import Counts, Hold, Policy, Resources, Task
from orchestra.domain.states import Cause, JobState, PendingOperation, Queue, TaskState
from orchestra.domain.troubles import Kind, Trouble
from orchestra.domain.usage import NOT_MEASURED, Usage

NOW = datetime(2026, 11, 2, 12, 0, 0, tzinfo=UTC)


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


TASK = Task(
    id=1,
    name="user.bob.scan",
    owner="bob",
    account="bob",
    queue=Queue.GPU,
    state=TaskState.RUNNING,
    command="run -d %DATA -c %IN -o %OUT",
    image=None,
    volume="/data/bob",
    folder="/data/bob/user.bob.scan",
    complete_file=None,
    config_version_id=1,
    env={},
    policy=Policy(),
    resources=Resources(gpus=1),
    jobs=100,
    run=1,
    counts=Counts(),
    created_at=ago(days=1),
    state_at=ago(hours=1),
)
JOB = Job(
    task_id=1,
    index=40,
    state=JobState.ASSIGNED,
    config="h16.json",
    is_test=False,
    kill_requested=False,
    claimed=False,
    attempts=0,
    failures=0,
    losses=0,
    done_attempt=None,
    changed_at=ago(minutes=5),
)
GPU = Need(Queue.GPU, 1, "bob")
PLACE = NodeOffer("caloba21", 2, in_use=2, online=True, account="bob", silent_for=3.0)
OWN = Competitor(1, "bob", GPU, living=2, waiting=60)
FACTS = Facts(
    now=NOW,
    task=TASK,
    job=JOB,
    result="/data/bob/user.bob.scan/job_configId_40",
    offers=(PLACE,),
    competitors=(OWN,),
    busy=(RunningJobs("caloba21", 1, 2, 1, 300.0),),
)


def attempt(number: int = 1, **changes: Any) -> Attempt:
    """An attempt that failed three hours ago."""
    values: dict[str, Any] = {
        "task_id": 1,
        "index": 40,
        "number": number,
        "node": "caloba21",
        "run": 1,
        "is_test": False,
        "claimed_at": ago(hours=4),
        "started_at": ago(hours=4),
        "ended_at": ago(hours=3),
        "lost_at": None,
        "folder": f"/data/bob/user.bob.scan/.attempts/job_configId_40/{number}",
        "devices": None,
        "cause": Cause.EXIT,
        "reason": "exit status 3",
        "exit_status": 3,
        "signal": None,
        "seconds": 3600.0,
        "usage": Usage(cpu_seconds=3000.0, max_rss_bytes=212_000_000),
        "accepted": True,
        "log_bytes": 100,
    }
    return Attempt(**{**values, **changes})


def under_way(number: int = 1, **changes: Any) -> Attempt:
    nothing = dict.fromkeys(("ended_at", "cause", "reason", "exit_status", "seconds"))
    return attempt(
        number, **{**nothing, "usage": NOT_MEASURED, "started_at": ago(minutes=12), **changes}
    )


def event(**changes: Any) -> Event:
    values: dict[str, Any] = {
        "id": 1,
        "at": ago(hours=3),
        "kind": "job",
        "task_id": 1,
        "index": 40,
        "attempt": None,
        "from_state": "assigned",
        "to_state": "killed",
        "who": "ana",
        "why": "too long",
        "jobs": None,
    }
    return Event(**{**values, **changes})


def told(facts: Facts = FACTS, *, job: Any = None, task: Any = None, **changes: Any) -> list[str]:
    """The headline and the sentences, with changes to the facts, the job and the task."""
    found = explain(
        replace(
            facts, job=replace(JOB, **(job or {})), task=replace(TASK, **(task or {})), **changes
        )
    )
    return [found.headline, *map(command_words.worded, found.told)]


# Waiting for a slot


def test_the_sketch() -> None:
    """What a user of two nodes, one of them drained, is told."""
    drained = replace(
        PLACE,
        node="caloba22",
        enabled=1,
        in_use=0,
        drained_at=ago(hours=3),
        drained_by="admin",
        drain_reason="new disk",
    )
    carla = Competitor(2, "carla", Need(Queue.GPU, 1, "carla"), living=0, waiting=9)
    facts = replace(
        FACTS,
        before=3,
        offers=(replace(PLACE, enabled=3, in_use=3, serves_all=True), drained),
        competitors=(replace(OWN, living=3), carla),
        busy=(RunningJobs("caloba21", 1, 3, 1, 450.0),),
    )
    found = explain(facts)
    assert found.headline == "Job 40 of task 1 (user.bob.scan) is waiting for a GPU."
    assert found.sentences == (
        "4 GPU slots are enabled on 2 nodes: 3 in use (3 on caloba21), 1 on a drained node.",
        'Node caloba22 was drained 3 h ago by admin: "new disk".',
        "9 jobs are ahead: 6 of carla (has used less), 3 of its own task.",
        "At the present rate it starts in about 25 min.",
    )
    assert found.starts_in == pytest.approx(1500)


def test_a_free_slot() -> None:
    said = told(offers=(replace(PLACE, in_use=1),), job={"state": JobState.ASSIGNED})
    assert said[1:] == [
        "2 GPU slots are enabled on 1 node: 1 in use, 1 free.",
        "No job is ahead of it.",
        "A slot is free for it: a pilot claims it at once, or within 30 s at the latest.",
    ]


def test_the_cpu_queue() -> None:
    need = Need(Queue.CPU, 1, "bob")
    said = told(
        task={"queue": Queue.CPU},
        offers=(replace(PLACE, enabled=1, in_use=1),),
        competitors=(replace(OWN, need=need),),
        before=1,
    )
    assert said[0].endswith("is waiting for a CPU slot.")
    assert said[1] == "1 CPU slot is enabled on 1 node: 1 in use."
    assert said[2] == "1 job is ahead: 1 of its own task."


def test_nodes_that_are_away() -> None:
    offers = (
        PLACE,
        replace(PLACE, node="b", in_use=0, online=False, silent_for=240.0),
        replace(PLACE, node="c", in_use=0, online=False, silent_for=None, account=None),
        replace(PLACE, node="d", in_use=0, leaving=True),
        replace(PLACE, node="e", in_use=0, enabled=0, drained_at=ago(hours=3), drained_by="x"),
        replace(PLACE, node="f", in_use=0, troubles=(Trouble(Kind.OTHER, "no room in its spool"),)),
        replace(PLACE, node="g", in_use=0, drained_at=ago(hours=3), drained_by="x"),
    )
    assert told(offers=offers)[1:7] == [
        (
            "12 GPU slots are enabled on 6 nodes: 2 in use (2 on caloba21), 2 free, 2 on a leaving node, "
            "2 on a drained node, 4 on offline nodes."
        ),
        "Node g was drained 3 h ago by x.",
        "Node b is offline: its pilot was last seen 4 min ago.",
        "Node c has had no pilot yet: maestro pilot run -n c",
        "The pilot of node d is stopping and takes no new jobs.",
        "The pilot of node f says: no room in its spool",
    ]


def test_many_nodes_are_not_all_named() -> None:
    away = [replace(PLACE, node=f"n{n}", in_use=1, online=False) for n in range(7)]
    said = told(offers=(PLACE, *away))
    assert said[1] == "16 GPU slots are enabled on 8 nodes: 9 in use, 7 on offline nodes."
    assert "The same goes for 3 more: maestro node list." in said
    assert sum("is offline" in line for line in said) == 4


def test_nodes_that_will_not_have_it() -> None:
    offers = (
        replace(PLACE, enabled=4),
        replace(PLACE, node="small", enabled=1),
        replace(PLACE, node="other", enabled=4, account="carla"),
        replace(PLACE, node="third", enabled=4, account="dan"),
    )
    said = told(task={"resources": Resources(gpus=2)}, offers=offers)
    assert "It needs 2 GPU slots at once; node small cannot offer them." in said
    assert 'Nodes other and third run no jobs of the Unix account "bob".' in said
    bare = replace(PLACE, node="bare")
    said = told(task={"image": "a.sif"}, offers=(replace(PLACE, runtimes=("apptainer",)), bare))
    assert "It runs in a container, and node bare has no container runtime for its image." in said


@pytest.mark.parametrize(
    ("offer", "sentence"),
    [
        (None, "There is no node yet: maestro up, or maestro node create and maestro pilot run."),
        ({"enabled": 0}, "No node has an enabled GPU slot."),
        ({"enabled": 1}, "A job needs 2 GPU slots; no node has more than 1."),
        ({"online": False}, "No pilot is online on a node with enough GPU slots: maestro pilot run."),
        ({"drained_at": NOW, "drained_by": "x"}, "Every node with GPU slots is drained: maestro node list."),
        ({"leaving": True}, "Every pilot of a node with GPU slots is stopping: maestro pilot list."),
        ({"account": "ana"}, ('No pilot serves the Unix account "bob". Start one as that account, or any '
         "with --serve-all.")),
        ({}, "No node has a container runtime for the image a.sif."),
    ],
)  # fmt: skip
def test_what_keeps_every_node_from_it(offer: dict[str, Any] | None, sentence: str) -> None:
    offers = () if offer is None else (replace(PLACE, **offer),)
    said = told(task={"resources": Resources(gpus=2), "image": "a.sif"}, offers=offers)
    assert sentence in said
    assert not any("starts" in line and "own" not in line for line in said), said
    assert not any("ahead" in line for line in said), said


# Who is ahead


def test_a_task_whose_jobs_are_limited() -> None:
    policy = replace(TASK.policy, max_running=2)
    own = replace(OWN, living=2, waiting=0)
    waits = replace(FACTS, before=3, competitors=(own,))
    lines = told(
        waits, job={"state": JobState.REGISTERED}, task={"policy": policy, "typical_seconds": 900.0}
    )
    assert lines[0].endswith("is waiting for other jobs of its task to end.")
    assert "2 of its task's jobs may run at a time (--max-running 2)." in lines
    assert lines[-1] == "At the present rate it starts in about 30 min."
    released = told(replace(waits, before=0), task={"policy": policy})
    assert "2 of its task's jobs may run at a time (--max-running 2)." in released
    free = replace(PLACE, in_use=0)
    alone = replace(waits, before=0, competitors=(replace(own, living=0),), busy=(), offers=(free,))
    assert told(alone, task={"policy": policy})[-1].startswith("A slot is free for it")


def test_everybody_who_is_ahead() -> None:
    def other(task: int, owner: str, **changes: Any) -> Competitor:
        return Competitor(task, owner, Need(Queue.GPU, 1, owner), **changes)

    facts = replace(
        FACTS,
        before=4,
        offers=(replace(PLACE, serves_all=True),),
        competitors=(
            OWN,
            other(0, "bob", waiting=5),
            other(9, "bob", waiting=1000),
            other(2, "carla", waiting=100, living=10),
            other(3, "dan", waiting=7, living=2, priority=2),
            other(4, "eve", waiting=100),
            other(5, "fay", waiting=100, priority=-1),
            other(6, "gil", waiting=100),
            other(7, "hal", waiting=100, cost=4.0),
        ),
        shares={"fay": Share(0, 9), "gil": Share(20, 0, shares=4), "hal": Share(3)},
    )
    [line] = [s for s in explain(facts).sentences if "ahead" in s]
    # bob uses 2 slots and has 9 jobs before this one: eve, who uses none, catches up and takes turns. Priority counts
    # for nothing between users.
    assert line == (
        "56 jobs are ahead: 24 of gil (taking turns), 11 of eve (has used less), 7 of dan (taking turns), "
        "2 of fay (taking turns), 2 of hal (taking turns), 1 of carla (taking turns), "
        "5 of task 0, 4 of its own task."
    )


def test_older_tasks_of_ones_own_are_put_together() -> None:
    olds = [Competitor(n, "bob", GPU, waiting=5, first_in_line=True) for n in (2, 3)]
    assert "10 jobs are ahead: 10 of bob's other tasks." in told(competitors=(OWN, *olds))


def test_more_than_anybody_counts() -> None:
    said = told(before=50_000, many_before=True)
    assert "More than 50,000 jobs are ahead: over 50,000 of its own task." in said
    assert "At the present rate it starts in more than 87 d." in said
    assert explain(replace(FACTS, before=50_000, many_before=True)).starts_in is None


def test_no_estimate_of_the_start() -> None:
    for busy in (
        (),
        (RunningJobs("caloba21", 1, 2, 1, None),),
        (RunningJobs("elsewhere", 1, 2, 1, 3.0),),
    ):
        said = told(busy=busy)
        assert (
            said[-1]
            == "There is no estimate of its start yet: too few of the running jobs have ended."
        )


def test_a_moment() -> None:
    assert told(busy=(RunningJobs("caloba21", 1, 2, 1, 0.5),))[-1] == (
        "At the present rate it starts in about 1.0 s."
    )


# What stops it


def test_held() -> None:
    said = told(task={"hold": Hold(ago(hours=3), "ana", "wrong data")})
    assert said[0].endswith("is waiting: its task is held.")
    assert said[1:3] == [
        'It was held 3 h ago by ana: "wrong data".',
        "To release it: maestro task release 1",
    ]
    assert not any("starts in" in line for line in said)


def test_no_conductor() -> None:
    said = told(
        task={"state": TaskState.REGISTERED}, job={"state": JobState.REGISTERED}, conductor=False
    )
    assert said[0].endswith("is waiting for its task to start.")
    assert said[1].startswith("There is no conductor at present, so tasks make no progress:")
    assert explain(replace(FACTS, conductor=False)).starts_in is None


def test_the_database_settles() -> None:
    said = told(
        settling="it was restored from a dump; nothing starts until gauss has said what it runs"
    )
    assert said[0].endswith("is waiting for the database to recover.")
    assert said[1].startswith(
        "Nothing starts at present because the database is recovering: it was restored from a dump;"
    )


def test_a_retry_under_way() -> None:
    said = told(
        task={"pending_operation": PendingOperation.RETRY}, job={"state": JobState.REGISTERED}
    )
    assert said[0].endswith("is waiting for its task to start.")
    assert "Its task is being retried, a few thousand jobs at a time." in said


def test_its_task_is_being_killed() -> None:
    said = told(task={"state": TaskState.KILL}, asked=event(index=None, to_state="KILL", why=None))
    assert said[0].endswith("is about to be killed with its task.")
    assert said[1:] == ["The kill was requested 3 h ago by ana."]


def test_the_test_gate() -> None:
    said = told(
        task={"state": TaskState.TESTING},
        job={"state": JobState.REGISTERED},
        test=TestFacts(jobs=10, done=3, living=2, waiting=5),
    )
    assert said[0].endswith("is waiting for the test of its task.")
    assert said[1:4] == [
        "The test: 3 of 10 done, 2 running, 5 waiting.",
        "The other jobs follow when all 10 are done.",
        "2 GPU slots are enabled on 1 node: 2 in use.",
    ]
    assert len(said) == 4


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        (1, "it is done or has run for 10 min."),
        (
            10,
            "all 10 are done or have run for 10 min, or when one has and no other could start in that time.",
        ),
    ],
)
def test_a_test_of_long_jobs(jobs: int, words: str) -> None:
    said = told(
        task={"state": TaskState.TESTING, "policy": Policy(test_for=600.0)},
        job={"state": JobState.REGISTERED},
        test=TestFacts(jobs=jobs, waiting=jobs),
    )
    assert said[2] == f"The other jobs follow when {words}"


def test_a_test_that_fails() -> None:
    said = told(
        task={"state": TaskState.TESTING, "pending_operation": PendingOperation.END_TEST},
        job={"state": JobState.REGISTERED},
        test=TestFacts(jobs=2, living=1, failed=1),
    )
    assert said[0].endswith("is waiting for the test of its task.")
    assert said[1:3] == [
        "The test: 0 of 2 done, 1 running, 1 failed.",
        "The task becomes BROKEN as soon as no test job is alive.",
    ]


def test_a_test_job_that_waits() -> None:
    said = told(task={"state": TaskState.TESTING}, job={"is_test": True}, test=TestFacts(jobs=10))
    assert said[0].endswith("is waiting for a GPU.")
    assert "It is one of the 10 test jobs of its task." in said
    said = told(task={"state": TaskState.TESTING}, job={"is_test": True}, test=TestFacts(jobs=1))
    assert "It is the only test job of its task." in said


def test_a_job_that_backs_off() -> None:
    said = told(
        job={"failures": 2, "attempts": 2, "reason": "exit status 3"},
        task={"policy": Policy(retries=3)},
        not_before=NOW + timedelta(seconds=40),
        attempts=(attempt(1), attempt(2)),
    )
    assert said[0].endswith("is waiting to be retried.")
    assert said[1] == (
        "It has failed 2 times (last: exit status 3) and is retried in 40 s at the earliest, "
        "first in line; 3 retries are allowed."
    )
    once = told(job={"failures": 1}, not_before=NOW + timedelta(seconds=40))
    assert once[1].startswith("It has failed once and is retried in 40 s")


def test_what_happened_before() -> None:
    lost = attempt(
        2, cause=None, ended_at=None, lost_at=ago(minutes=10), reason="its keeper has died"
    )
    nobody = replace(lost, number=3, reason=None)
    said = told(job={"attempts": 5}, attempts=(attempt(1), attempt(9), lost, nobody, attempt(5)))
    assert said[1:5] == [
        "Attempt 5 ended 3 h ago on caloba21: exit status 3.",
        "Attempt 3 ended 10 min ago on caloba21: lost; its end was not seen.",
        "Attempt 2 ended 10 min ago on caloba21: lost: its keeper has died.",
        "Before that, 2 attempts more: maestro job show 1/40",
    ]


def test_an_ended_task_with_a_job_that_waits() -> None:
    said = told(
        task={"state": TaskState.KILLED, "ended_at": NOW}, job={"state": JobState.REGISTERED}
    )
    assert said[0].endswith("is registered, and its task is KILLED.")


# Alive


def test_claimed() -> None:
    said = told(
        job={"claimed": True, "attempts": 2},
        attempts=(attempt(1), under_way(2, claimed_at=ago(seconds=4), started_at=None)),
    )
    assert said == [
        "Job 40 of task 1 (user.bob.scan) was claimed by node caloba21 4 s ago and has not started yet.",
        "It will be attempt 2; before that, its folder is created and its inputs are checked.",
        "Attempt 1 ended 3 h ago on caloba21: exit status 3.",
    ]


def test_running() -> None:
    said = told(
        job={"state": JobState.RUNNING, "claimed": True},
        task={"typical_seconds": 600.0, "policy": Policy(timeout=3600.0)},
        attempts=(under_way(devices="0,1", is_test=True),),
        keeper_lease=KeeperLease(3.0, 40_000.0),
    )
    assert said == [
        "Job 40 of task 1 (user.bob.scan) has been running on node caloba21 for 12 min.",
        "This is attempt 1 on devices 0,1, as a test job, started 2026-11-02 11:48:00 UTC.",
        "Jobs of this task usually take 10 min.",
        "If it still runs after 1 h, it is ended (in 48 min).",
        "Its folder: /data/bob/user.bob.scan/.attempts/job_configId_40/1",
        "Its log: maestro job logs 1/40 -f",
    ]


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (7200.0, ("It runs on another node a few minutes after its lease expires (in 2 h); at once with: "
         "maestro node lost -n caloba21")),
        (-5.0, ("It runs on another node a few minutes after its lease expires (soon); at once with: "
         "maestro node lost -n caloba21")),
        (None, "It does not run on another node until an admin runs: maestro node lost -n caloba21"),
    ],
)  # fmt: skip
def test_running_on_a_silent_node(left: float | None, sentence: str) -> None:
    said = told(
        job={"state": JobState.RUNNING, "claimed": True},
        attempts=(under_way(),),
        keeper_lease=KeeperLease(240.0, left),
    )
    assert "Its node was last seen 4 min ago; the job may still be running there." in said
    assert sentence in said


def test_being_ended() -> None:
    job = {"state": JobState.RUNNING, "claimed": True, "kill_requested": True}
    said = told(job=job, attempts=(under_way(),), asked=event(to_state="kill"))
    assert said[1] == 'It is being ended, as requested 3 h ago by ana: "too long".'
    said = told(
        job={**job, "is_test": True}, task={"state": TaskState.TESTING}, attempts=(under_way(),)
    )
    assert said[1] == "It is being ended because another test job of its task failed."


# Over


def test_done() -> None:
    good = attempt(2, cause=Cause.EXIT, exit_status=0, reason=None, seconds=8.2)
    said = told(
        job={"state": JobState.DONE, "attempts": 2, "done_attempt": 2}, attempts=(attempt(1), good)
    )
    assert said == [
        "Job 40 of task 1 (user.bob.scan) is done after 8.2 s on node caloba21, 3 h ago.",
        "Its result (attempt 2): /data/bob/user.bob.scan/job_configId_40",
        "Attempt 1 on caloba21: exit status 3.",
    ]


def test_failed() -> None:
    said = told(
        job={"state": JobState.FAILED, "attempts": 2, "failures": 2},
        task={"policy": Policy(retries=1)},
        attempts=(
            attempt(1),
            attempt(2, cause=Cause.TIMEOUT, reason="ran longer than its limit of 1 h"),
        ),
        last_line="epoch 17",
    )
    assert said == [
        "Job 40 of task 1 (user.bob.scan) failed 3 h ago on node caloba21: ran longer than its limit of 1 h.",
        "It ran for 1 h and used 212 MB of memory at most.",
        'The last line of its log: "epoch 17"',
        "Its log: maestro job logs 1/40",
        "It failed 2 times; its task allows 1 retry.",
        "Attempt 1 ended 3 h ago on caloba21: exit status 3.",
        "To run it again: maestro job retry 1/40",
    ]


def test_failed_without_a_start_in_a_task_that_is_killed() -> None:
    unstarted = attempt(
        cause=Cause.NO_START,
        started_at=None,
        exit_status=None,
        seconds=None,
        reason="not started: no such image",
    )
    said = told(
        job={"state": JobState.FAILED, "failures": 1},
        task={"state": TaskState.KILL},
        attempts=(unstarted,),
    )
    assert said[0].endswith("failed 3 h ago on node caloba21: not started: no such image.")
    assert said[1:] == ["It can run again once its task is killed: maestro task retry 1"]


def test_killed() -> None:
    said = told(job={"state": JobState.KILLED}, asked=event())
    assert said == [
        'Job 40 of task 1 (user.bob.scan) was killed 3 h ago by ana: "too long".',
        "It had not run yet.",
        "To run it again: maestro job retry 1/40",
    ]
    whole = told(
        job={"state": JobState.KILLED, "attempts": 1},
        asked=event(index=None, why=None),
        attempts=(attempt(cause=Cause.ENDED, exit_status=None, signal=15, reason=None),),
    )
    assert whole[0].endswith("was killed 3 h ago by ana.")
    assert whole[1:3] == [
        "The whole task was killed.",
        "Attempt 1 ended 3 h ago on caloba21: ended on request.",
    ]
    assert told(job={"state": JobState.KILLED})[0].endswith("was killed.")


def test_broken() -> None:
    failed_test = FailedAttempt(3, "caloba21", Cause.EXIT, 3, None, log_tail=b"no such file\n")
    said = told(
        job={"state": JobState.BROKEN},
        task={"state": TaskState.BROKEN},
        failed_tests=(failed_test,),
    )
    assert said == [
        "Job 40 of task 1 (user.bob.scan) is broken: the test of its task failed.",
        'Test job 1/3 failed on caloba21: exit status 3 ("no such file").',
        "Its log: maestro job logs 1/3",
        "It had not run yet.",
        "When that is fixed: maestro task retry 1",
    ]
    himself = told(job={"state": JobState.BROKEN}, failed_tests=(replace(failed_test, index=40),))
    assert himself[0].endswith("is broken: it failed as a test job, which broke its task.")


def test_a_job_waits_for_a_node_that_is_closed_or_has_too_little_time_left() -> None:
    closed = replace(PLACE, in_use=0, opens_in=3 * 3600.0, seconds_left=None)
    words = explain(replace(FACTS, offers=(closed,), busy=())).sentences
    assert "2 GPU slots are enabled on 1 node: none in use, 2 on a closed node." in words
    assert "Every node with GPU slots is closed; the first opens in 3 h." in words
    assert "Node caloba21 is closed; it opens in 3 h." in words

    soon = replace(PLACE, in_use=0, seconds_left=3600.0)
    long = replace(TASK, policy=Policy(walltime=7200.0))
    lines = explain(replace(FACTS, task=long, offers=(soon,), busy=())).sentences
    assert any("may take 2 h 1 min, with its grace;" in str(line) for line in lines)
    assert (
        "On node caloba21 jobs must end within 1 h, when it closes or is drained; this one may take longer."
        in lines
    )
    assert eligible(Need.of(long), [soon]) == []
    for fits in (
        replace(TASK, policy=Policy(walltime=3500.0)),
        TASK,
        replace(TASK, p95_seconds=1.0),
    ):
        assert eligible(Need.of(fits), [soon]) == [soon]
