"""Jobs of several tasks, by state, node, config and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orchestra.domain.config_patterns import as_regex
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import FoundJobs
from orchestra.interface.job_search import SearchJobs, found_jobs
from orchestra.services.jobs import search
from support.world import World
from unit.test_config_patterns import CASES, PATHS


@pytest.fixture
def three(world: World) -> World:
    """Tasks 0 and 2 of ana and 1 of bob, of 12 jobs each.

    Of task 0, jobs 3 and 7 failed on gauss and the others are done; of 1, noether runs jobs 0 to 3; 2 has not begun.
    """
    pilot = world.pilot(serve_all=True)
    world.task(12, name="user.ana.first", test_jobs=0)
    world.conduct(2)
    grants = pilot.claim(cpu=12)
    pilot.start(*grants)
    failing = [grant for grant in grants if grant.key.index in (3, 7)]
    pilot.end(*[grant for grant in grants if grant not in failing])
    pilot.end(*failing, status=3)
    world.conduct(2)
    other = world.pilot("noether", serve_all=True)
    world.task(12, name="user.bob.second", owner="bob", test_jobs=0)
    world.conduct(2)
    other.start(*other.claim(cpu=4))
    world.task(12, name="user.ana.third")
    return world


def found(world: World, limit: int | None = None, **asked: Any) -> list[str]:
    answers = found_jobs(world.interface(), SearchJobs(**asked), limit=limit)
    return [f"{each.job.task_id}/{each.job.index}" for answer in answers for each in answer.jobs]


def test_the_newest_task_is_first_and_in_each_the_first_job(three: World) -> None:
    everything = [f"{task}/{index}" for task in (2, 1, 0) for index in range(12)]
    assert found(three) == everything
    assert found(three, owner="ana") == everything[:12] + everything[24:]
    assert found(three, owner="bob") == found(three, word="1") == everything[12:24]
    assert found(three, start=(1, 5)) == everything[17:]
    with pytest.raises(NotFound):
        found(three, owner="nobody")
    with pytest.raises(NotFound):
        found(three, word="99")
    with pytest.raises(BadInput):
        three.interface()(SearchJobs(limit=0))


def test_each_filter_and_all_of_them(three: World) -> None:
    assert found(three, status=JobStatus.FAILED) == ["0/3", "0/7"]
    assert found(three, status=JobStatus.RUNNING) == [f"1/{index}" for index in range(4)]
    assert found(three, node="noether") == [f"1/{index}" for index in range(4)]
    assert len(found(three, node="gauss")) == 12
    assert found(three, config="config.[37].*") == ["2/3", "2/7", "1/3", "1/7", "0/3", "0/7"]
    assert found(three, config="config.7.json", node="gauss", status=JobStatus.FAILED) == ["0/7"]
    assert found(three, config="*.yaml") == found(three, node="nowhere") == []


def test_removed_jobs_are_among_the_killed_ones(three: World) -> None:
    three.conn.execute(
        "update job set state = 'killed', removed = true where task_id = 2 and ordinal = 5"
    )
    assert found(three, status=JobStatus.KILLED) == ["2/5"]


def test_what_has_changed_lately(three: World) -> None:
    three.conn.execute("update job set changed_at = now() - interval '3 days' where ordinal < 6")
    three.conn.execute("update task set state_at = now() - interval '3 days'")
    three.conn.execute(
        "update task set ended_at = now() - interval '3 days' where ended_at is not null"
    )
    now = datetime.now(UTC)
    assert len(found(three, since=now - timedelta(days=4))) == 36
    lately = found(three, since=now - timedelta(hours=1))
    assert lately == [f"{task}/{index}" for task in (2, 1) for index in range(6, 12)]
    assert found(three, since=now + timedelta(hours=1)) == []


def test_pages_have_each_job_once(three: World, monkeypatch: pytest.MonkeyPatch) -> None:
    searches: list[dict[str, Any]] = [{}, {"config": "config.*"}, {"status": JobStatus.DONE}]
    whole = [found(three, **asked) for asked in searches]
    monkeypatch.setattr(search, "LOOKED", 5)
    monkeypatch.setattr(search, "TASKS", 1)
    for asked, expected in zip(searches, whole, strict=True):
        for limit in (None, 1, 7, 12, 13, 36, 99):
            assert found(three, limit, **asked) == expected[:limit]


def test_the_number_of_matches_is_exact_or_not_said(three: World) -> None:
    def matching(**asked: Any) -> int | None:
        answer: FoundJobs = three.interface()(SearchJobs(limit=1, **asked))
        return answer.matching

    assert matching() == 36
    assert matching(status=JobStatus.DONE) == 10
    assert matching(word="0", status=JobStatus.FAILED) == 2
    assert matching(config="*") is None


def test_a_search_that_finds_nothing_is_cut_into_small_answers(
    three: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOOKED", 5)
    answers = list(found_jobs(three.interface(), SearchJobs(config="*.yaml")))
    assert [answer.following for answer in answers[:3]] == [(2, 5), (2, 10), (1, 3)]
    assert not any(answer.jobs for answer in answers)


def test_postgresql_understands_the_patterns_alike(conn: psycopg.Connection) -> None:
    for pattern, expected in CASES.items():
        rows = conn.execute(
            "select path from unnest(%s::text[]) path where path ~ %s",
            [list(PATHS), as_regex(pattern)],
        )
        assert {row[0] for row in rows} == set(expected), pattern


def test_long_patterns_take_no_time(conn: psycopg.Connection) -> None:
    conn.execute("set statement_timeout = '2s'")
    for part in ("?", "*?[a-z]", "[!a]", "**/", "a*b", f"*[{'xyz-' * 40}]"):
        pattern = as_regex((part * (4000 // len(part))).rstrip("/"))
        conn.execute("select 'abc/abc' ~ %s", [pattern])
