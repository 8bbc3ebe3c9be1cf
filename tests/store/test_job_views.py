"""Pages of jobs by state, one job with its attempts, and commands on single jobs."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, NotFound, Refused
from orchestra.domain.states import Cause, JobStatus, TaskState
from orchestra.files import job_logs as log_files
from orchestra.interface import following, paging
from orchestra.interface.answers.jobs import LogChunk
from orchestra.services.jobs import actions, local_run, logs, views
from orchestra.store.driver import channels
from support.people import caller
from support.world import Pilot, World


@pytest.fixture
def pilot(world: World) -> Pilot:
    return world.pilot(serve_all=True)


@pytest.fixture
def mixed(world: World, pilot: Pilot) -> int:
    """Jobs 0 to 4 done, 5 to 7 failed, 8 and 9 running, 10 claimed; 9 must end; the rest is assigned."""
    task = world.task(40, test_jobs=0)
    world.conduct(2)
    grants = pilot.claim(cpu=11)
    pilot.start(*grants[:10])
    pilot.end(*grants[:5])
    pilot.end(*grants[5:8], status=3)
    world.conn.execute(
        "update job set kill_requested = true where task_id = %s and ordinal = 9", [task]
    )
    return task


def indexes(world: World, status: JobStatus | None, first: int = 0, limit: int = 50) -> list[int]:
    page = views.list_jobs(world.conn, "0", status, first=first, limit=limit)
    return [job.index for job in page.jobs]


def test_every_status_lists_the_jobs_that_it_counts(world: World, mixed: int) -> None:
    expected = {
        JobStatus.DONE: [0, 1, 2, 3, 4],
        JobStatus.FAILED: [5, 6, 7],
        JobStatus.RUNNING: [8],
        JobStatus.KILL: [9],
        JobStatus.ASSIGNED: list(range(10, 40)),
        JobStatus.REGISTERED: [],
        JobStatus.TESTING: [],
        JobStatus.KILLED: [],
        JobStatus.BROKEN: [],
    }
    assert {status: indexes(world, status) for status in JobStatus} == expected
    counts = world.counts(mixed)
    assert {f: counts[f] for f in JobStatus} == {f: len(n) for f, n in expected.items()}


@pytest.mark.parametrize("status", [None, *JobStatus])
def test_pages_follow_one_another(world: World, mixed: int, status: JobStatus | None) -> None:
    whole = indexes(world, status)
    found: list[int] = []
    following: int | None = 0
    while following is not None:
        page = views.list_jobs(world.conn, "0", status, first=following, limit=3)
        found += [job.index for job in page.jobs]
        assert page.matching == len(whole)
        following = page.following
    assert found == whole


def test_few_done_jobs_are_found_as_well(world: World, pilot: Pilot) -> None:
    world.task(100, test_jobs=0)
    world.conduct(2)
    pilot.end(*pilot.claim(cpu=2))
    assert indexes(world, JobStatus.DONE) == [0, 1]


def test_registered_jobs_of_both_turns_come_in_order(world: World, ana: Caller) -> None:
    world.task(6)
    world.conn.execute("update job set turn = 0 where ordinal in (1, 4)")
    assert indexes(world, JobStatus.REGISTERED) == [0, 1, 2, 3, 4, 5]
    assert indexes(world, JobStatus.REGISTERED, first=2, limit=3) == [2, 3, 4]


def test_a_job_with_its_attempts(world: World, mixed: int) -> None:
    report = views.show(world.conn, "user.ana.task/6")
    assert (report.job.exit_status, report.job.node, report.job.cause) == (3, "gauss", Cause.EXIT)
    assert report.config_path == "/data/configs/config.6.json"
    (attempt,) = report.attempts
    assert attempt.folder == "/data/ana/user.ana.task/.attempts/job_configId_6/1"
    assert log_files.path_of(attempt) == f"{attempt.folder}/job.log"


def test_what_is_not_there(world: World, mixed: int) -> None:
    with pytest.raises(NotFound, match="no job 40; its jobs are numbered 0 to 39"):
        views.show(world.conn, "0/40")
    with pytest.raises(BadInput, match="names 2 jobs"):
        views.show(world.conn, "0/1-2")
    with pytest.raises(NotFound, match="has not run yet"):
        following.find_attempt(views.show(world.conn, "0/30"), None)
    with pytest.raises(NotFound, match="numbered only 1"):
        following.find_attempt(views.show(world.conn, "0/1"), 2)


def test_jobs_of_several_tasks_are_checked_before_any_is_touched(
    world: World, mixed: int, ana: Caller
) -> None:
    with pytest.raises(NotFound):
        actions.kill(world.conn, ana, ["0/12", "0/41"])
    assert 12 in indexes(world, JobStatus.ASSIGNED)
    bob = caller(world.conn, "bob")
    with pytest.raises(Refused, match='belongs to user "ana"'):
        actions.kill(world.conn, bob, ["0/12"])
    world.conn.execute("update task set jobs = 300000")
    with pytest.raises(BadInput, match="at a time"):
        actions.kill(world.conn, ana, ["0/0-200000"])


def test_retry_and_kill(world: World, mixed: int, ana: Caller) -> None:
    (done,) = actions.retry(world.conn, ana, ["0/5-6"])
    assert done.jobs == 2
    assert indexes(world, JobStatus.FAILED) == [7]
    (killed,) = actions.kill(world.conn, ana, ["0/20,0"], "enough")
    assert killed.jobs == 1  # job 0 is done
    assert indexes(world, JobStatus.KILLED) == [20]
    assert world.state(mixed) is TaskState.RUNNING
    assert world.counts(mixed) == world.true_counts(mixed)


def test_the_command_by_hand(world: World) -> None:
    world.task(3)
    job = local_run.read(world.conn, "0/2")
    assert job.command("/here/it's") == (
        r"run -d /data/digits.npz -c /data/configs/config.2.json -o '/here/it'\''s'"
    )


# Logs


@pytest.mark.parametrize("size", [1, 7, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_the_last_lines_of_a_file(size: int, ending: bytes) -> None:
    text = b"\n".join(b"%d" % number for number in range(size // 5 + 1)) + ending
    for lines in (1, 2, 5, 10**6):
        file = BytesIO(text)
        log_files.seek_last_lines(file, lines)
        assert file.read() == log_files.last_lines(text, lines)


def test_a_log_that_cannot_be_read_is_kept_in_part(world: World, pilot: Pilot) -> None:
    from orchestra.domain.models.work import Outcome
    from orchestra.services import work

    world.task(1, test_jobs=0)
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    told = Outcome(
        grant.key, Cause.EXIT, exit_status=1, log_bytes=10_000, log_tail=b"the end\n\xff"
    )
    work.report(world.conn, pilot.keeper, [told])
    attempt = following.find_attempt(views.show(world.conn, "0/0"), None)
    assert log_files.open_log(attempt) is None
    first = 10_000 - len(b"the end\n\xff")
    for offset, start, data in (
        (0, first, b"the end\n\xff"),
        (first, first, b"the end\n\xff"),
        (first + 4, first + 4, b"end\n\xff"),
        (10_000, 10_000, b""),
        (2**40, 10_000, b""),
    ):
        chunk = following.read_kept(world.interface(), attempt, offset)
        assert chunk == LogChunk(start, data, 10_000, over=True)


def test_a_log_without_a_stored_tail(world: World, pilot: Pilot) -> None:
    world.task(1, test_jobs=0)
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    key = (grant.key.task_id, grant.key.index, grant.key.number)
    assert logs.log_chunk(world.conn, *key) == LogChunk(0, b"", None, over=False)
    pilot.end(grant)
    assert logs.log_chunk(world.conn, *key).over
    with pytest.raises(NotFound, match="no attempt 2 of job 0/0"):
        logs.log_chunk(world.conn, 0, 0, 2)
    with pytest.raises(BadInput, match="at least 0"):
        logs.log_chunk(world.conn, *key, offset=-1)


@pytest.mark.parametrize(("refresh", "words"), [(True, ["tail 0/0/1"]), (False, [])])
def test_a_pilot_is_asked_for_a_longer_log_on_request(
    world: World, pilot: Pilot, database_url: str, refresh: bool, words: list[str]
) -> None:
    world.task(1, test_jobs=0)
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"listen {channels.NODE}")
        logs.log_chunk(world.conn, 0, 0, 1, refresh=refresh)
        world.conn.execute("select pg_notify(%s, 'last')", [channels.NODE])
        told = [n.payload for n in listener.notifies(timeout=10, stop_after=len(words) + 1)]
    assert told == [*words, "last"]


def test_following_reads_what_is_added(world: World, pilot: Pilot, hostile_dir: Path) -> None:
    world.task(1, test_jobs=0, folder=str(hostile_dir))
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    log = hostile_dir / ".attempts" / "job_configId_0" / "1" / "job.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"one\n")
    written: list[bytes] = []

    def sleeps(_: float) -> None:
        if len(written) == 1:
            with log.open("ab") as file:
                file.write(b"two\n")
        else:
            pilot.end(grant)

    attempt = following.find_attempt(views.show(world.conn, "0/0"), None)
    last = following.follow(
        world.interface(), "0/0", attempt, write=written.append, turn=lambda _: None, sleep=sleeps
    )
    assert b"".join(written) == b"one\ntwo\n"
    assert last.ended_at is not None


def test_what_the_database_did_not_keep_is_said_to_be_left_out(
    world: World, pilot: Pilot, hostile_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_POLL_DATABASE", 0)
    world.conn.execute("update pilot set log_sender = null")  # it is of schema 15
    world.task(1, test_jobs=0, folder=str(hostile_dir))
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    told = [(b"one\n", 4), (b"ne\ntwo\n", 8), (b"end\n", 5_012), (None, 6_000)]

    def sleeps(_: float) -> None:
        if told:
            world.conn.execute("update attempt set log_tail = %s, log_bytes = %s", told.pop(0))
        else:
            world.conn.execute("update attempt set lost_at = now()")

    written: list[bytes] = []
    attempt = following.find_attempt(views.show(world.conn, "0/0"), None)
    following.follow(
        world.interface(), "0/0", attempt, write=written.append, turn=lambda _: None, sleep=sleeps
    )
    assert [block for block in written if block] == [
        b"one\n",
        b"two\n",
        b"\n[orchestra: 5 kB left out here]\n\nend\n",
    ]


@pytest.mark.parametrize("limit", [None, 1, 3, 4, 7, 10, 99])
def test_pages_give_each_job_once(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    world.task(10)
    monkeypatch.setattr(paging, "PAGE", 3)
    found = [
        job.index
        for page in paging.job_pages(world.interface(), "0", first=2, limit=limit)
        for job in page.jobs
    ]
    assert found == list(range(2, 10))[:limit]
