"""Hints and their streams: who is told what, and that a reader who was away misses nothing."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing

import pytest

from orchestra.api import hub as hubs
from orchestra.api.hub import Hub
from orchestra.domain.errors import BadInput, DatabaseUnavailable
from orchestra.domain.hints import HINTS_AT_MOST, Changed, Hint, Topics, hints, parse_topics

TASK_7 = Topics(tasks=frozenset({7}))
TASKS = Topics(all_tasks=True)
NODES = Topics(nodes=True)


def jobs(*tasks: int) -> Changed:
    return Changed(jobs=frozenset(tasks))


class Database:
    """What looks find: what a test has put there. An exception is raised instead."""

    def __init__(self) -> None:
        self.news: list[Changed | Exception] = []
        self.asked: list[Topics] = []
        self.opened = 0
        self.away = False
        self.closed = threading.Event()

    def open(self) -> Database:
        self.opened += 1
        return self

    def look(self, topics: Topics) -> Changed:
        self.asked.append(topics)
        if self.away:
            raise DatabaseUnavailable
        found = self.news.pop(0) if self.news else Changed()
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    for name in ("LOOK_EVERY", "LOOK_AGAIN", "LINGER"):
        monkeypatch.setattr(hubs, name, 0.005)
    found = Database()
    yield found
    if found.opened:
        assert found.closed.wait(10)


async def frames(stream: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str, str]]:
    """The frames of a stream: kind, data, id."""
    async for chunk in stream:
        for found in re.finditer(r"(?:id: (.*)\n)?event: (.*)\ndata: (.*)\n\n", chunk.decode()):
            yield found[2], found[3], found[1]


Next = Callable[[], Awaitable[tuple[str, str, str]]]


def with_hub(database: Database, run: Callable[[Hub], Awaitable[None]]) -> None:
    async def main() -> None:
        hub = Hub(database.open)
        try:
            await asyncio.wait_for(run(hub), 20)
        finally:
            hub.close()
            await asyncio.sleep(0)

    asyncio.run(main())


async def exhaust(reader: Next) -> None:
    while True:
        await reader()


async def opened(hub: Hub, topics: Topics, last: str = "", age: float = 0.0) -> Next:
    """Listen, and read the first `resync` of a hub that has just begun to look."""
    stream = frames(hub.listen(topics, last, age))

    async def following() -> tuple[str, str, str]:
        return await anext(stream)

    return following


def test_each_reader_is_told_what_concerns_it(database: Database) -> None:
    async def run(hub: Hub) -> None:
        seven, all_tasks, nodes = [await opened(hub, each) for each in (TASK_7, TASKS, NODES)]
        # Generators begin when they are first read.
        firsts = await asyncio.gather(seven(), all_tasks(), nodes())
        assert [kind for kind, _, _ in firsts] == ["resync"] * 3
        database.news += [jobs(8), Changed(tasks=frozenset({7}), jobs=frozenset({7}), nodes=True)]
        assert (await all_tasks())[:2] == ("jobs", '{"task":8}')
        assert (await all_tasks())[:2] == ("task", '{"task":7}')
        assert (await seven())[:2] == ("task", '{"task":7}')
        assert (await nodes())[:2] == ("node", "{}")
        assert database.asked[-1] == TASK_7 | TASKS | NODES
        assert database.opened == 1

    with_hub(database, run)


def test_a_reader_that_was_away_catches_up_or_reads_everything_again(database: Database) -> None:
    async def run(hub: Hub) -> None:
        always = await opened(hub, TASKS)
        await always()
        database.news += [jobs(1), jobs(2), jobs(3)]
        ids = [(await always())[2] for _ in range(3)]
        back = await opened(hub, TASKS, last=ids[0])
        assert [(await back())[1] for _ in range(2)] == ['{"task":2}', '{"task":3}']
        for unknown in ("00000000-3", "x", "1-", f"{ids[0]}9"):
            other = await opened(hub, TASKS, last=unknown)
            database.news.append(jobs(4))
            assert (await other())[0] == ("jobs" if unknown == f"{ids[0]}9" else "resync")

    with_hub(database, run)


def test_a_page_older_than_what_is_known_is_read_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(hub: Hub) -> None:
        always = await opened(hub, TASKS)
        await always()
        await asyncio.sleep(0.05)
        database.news.append(jobs(1))
        await always()
        young = await opened(hub, TASKS, age=0.02)
        assert (await young())[:2] == ("jobs", '{"task":1}')
        old = await opened(hub, TASKS, age=60)
        assert (await old())[0] == "resync"

    with_hub(database, run)


def test_a_slow_reader_is_told_to_read_everything_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "WAITING", 3)

    async def run(hub: Hub) -> None:
        slow, fast = await opened(hub, TASKS), await opened(hub, TASKS)
        await asyncio.gather(slow(), fast())
        database.news += [jobs(each) for each in range(6)]
        for _ in range(6):
            await fast()
        assert (await slow())[0] == "resync"

    with_hub(database, run)


def test_looks_go_on_after_failures_and_end_with_the_last_reader(database: Database) -> None:
    async def run(hub: Hub) -> None:
        async with aclosing(hub.listen(TASKS)) as stream:
            reader = frames(stream)
            assert (await anext(reader))[0] == "resync"
            database.news += [DatabaseUnavailable(), jobs(1), RuntimeError("unforeseen"), Changed()]
            assert (await anext(reader))[1] == '{"task":1}'
            assert (await anext(reader))[0] == "resync", "what happened meanwhile is not known"
        database.closed.clear()
        while not database.closed.is_set():
            await asyncio.sleep(0.005)
        again = await opened(hub, TASKS)
        assert (await again())[0] == "resync"
        assert database.opened == 2

    with_hub(database, run)


def test_without_an_answer_of_the_database_there_is_no_sign_of_life(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "BEAT_EVERY", 0.0)

    async def run(hub: Hub) -> None:
        reader = await opened(hub, TASKS)
        assert [(await reader())[0] for _ in range(3)] == ["resync", "beat", "beat"]
        database.away = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(exhaust(reader), 0.3)

    with_hub(database, run)


def test_streams_end_when_the_server_does_and_after_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(hub: Hub) -> None:
        monkeypatch.setattr(hubs, "BEAT_EVERY", 0.0)
        monkeypatch.setattr(hubs, "STREAM_ENDS_AFTER", 0.0)
        assert {kind async for kind, _, _ in frames(hub.listen(TASKS))} == {"resync", "beat"}
        monkeypatch.undo()
        asyncio.get_running_loop().call_later(0.05, hub.close)
        assert [kind async for kind, _, _ in frames(hub.listen(TASKS))][:1] in (
            ["resync"],
            ["beat"],
        )
        assert await hub.closes_within(10)

    with_hub(database, run)


# What is said


def test_hints_of_many_tasks_are_one() -> None:
    assert hints(Changed()) == ()
    assert hints(Changed(everything=True)) == (Hint("resync"),)
    assert hints(jobs(*range(HINTS_AT_MOST + 1))) == (Hint("resync"),)
    assert hints(Changed(tasks=frozenset({2, 1}), jobs=frozenset({2, 3}))) == (
        Hint("task", 1), Hint("task", 2), Hint("jobs", 3),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("task:7", TASK_7),
        ("tasks,nodes,task:7,task:7", TASK_7 | TASKS | NODES),
        ("nodes,", NODES),
    ],
)
def test_topics(text: str, topics: Topics) -> None:
    assert parse_topics(text) == topics


@pytest.mark.parametrize(
    "text", ["", ",", "task", "task:x", "task:1;", "taks", ",".join(f"task:{n}" for n in range(51))]
)
def test_what_is_no_topic(text: str) -> None:
    with pytest.raises(BadInput, match="topic"):
        parse_topics(text)
