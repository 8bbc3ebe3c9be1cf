"""Parts of logs for readers who cannot read the files: from the file, from the pilot, or what the database keeps."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.models.logs import PART, FoundPart, LogSource, WantedPart
from orchestra.domain.models.work import Grant, Outcome
from orchestra.domain.states import Cause
from orchestra.files import local_machine
from orchestra.files.served_logs import ServedLogs
from orchestra.interface import following
from orchestra.interface.answers.jobs import LogPart
from orchestra.interface.logs import ReadLogPart
from orchestra.pilot.log_parts import read_part
from orchestra.services import work
from orchestra.services.jobs import log_parts, views
from orchestra.store.driver import channels
from orchestra.store.jobs import log_parts as store
from support.world import Pilot, World

LOG = b"".join(b"line %d\n" % number for number in range(100_000))
FOLDER = "/data/ana/user.ana.task/.attempts/job_configId_0/1"


@pytest.fixture
def pilot(world: World) -> Pilot:
    return world.pilot()


@pytest.fixture
def grant(world: World, pilot: Pilot) -> Grant:
    """A running attempt."""
    world.task(1, test_jobs=0)
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    return grant


def end(world: World, pilot: Pilot, grant: Grant, log: bytes, kept: int = 4096) -> None:
    told = Outcome(grant.key, Cause.EXIT, exit_status=0, log_bytes=len(log), log_tail=log[-kept:])
    work.report(world.conn, pilot.keeper, [told])


def serve(world: World, pilot: Pilot, log: bytes | None) -> list[WantedPart]:
    """Send what is asked for, as a pilot does; return that."""
    asked = work.log_parts_asked(world.conn, pilot.node, 99)
    for part in asked:
        start = part.wanted.start if part.wanted.start >= 0 else len(log or b"") + part.wanted.start
        found = None if log is None else FoundPart(len(log), log[start : start + PART])
        work.send_log_part(world.conn, part, found)
    return [part.wanted for part in asked]


def test_a_pilot_sends_what_is_asked_for(
    world: World, pilot: Pilot, grant: Grant, database_url: str
) -> None:
    key = (0, 0, 1)
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"listen {channels.NODE}")
        for _ in range(2):  # it is told once
            part = log_parts.log_part(world.conn, *key, offset=7)
            assert part == LogPart(7, b"", None, False, LogSource.TAIL, awaited=True)
        world.conn.execute("select pg_notify(%s, 'last')", [channels.NODE])
        told = [n.payload for n in listener.notifies(timeout=10, stop_after=2)]
    assert told == [f"part {pilot.node}", "last"]
    assert serve(world, pilot, LOG[:20]) == [WantedPart(FOLDER, 7)]
    part = log_parts.log_part(world.conn, *key, offset=7)
    assert part == LogPart(7, LOG[7:20], 20, False, LogSource.RELAY)

    # The end of a log may grow: each reader asks again. A whole part is kept for the next reader.
    assert log_parts.log_part(world.conn, *key, offset=7).awaited
    assert serve(world, pilot, LOG)
    for _ in range(2):
        part = log_parts.log_part(world.conn, *key, offset=7)
        assert part == LogPart(7, LOG[7 : 7 + PART], len(LOG), False, LogSource.RELAY)
    assert log_parts.log_part(world.conn, *key, offset=-5).awaited
    serve(world, pilot, LOG)
    part = log_parts.log_part(world.conn, *key, offset=-5)
    assert (part.offset, part.data) == (len(LOG) - 5, LOG[-5:])


def test_an_attempt_that_has_ended(world: World, pilot: Pilot, grant: Grant) -> None:
    key = (0, 0, 1)
    assert log_parts.log_part(world.conn, *key).awaited
    end(world, pilot, grant, LOG)
    [wanted] = serve(world, pilot, LOG)
    assert wanted == WantedPart(FOLDER, 0, LOG[-256:])
    assert log_parts.log_part(world.conn, *key).source is LogSource.RELAY

    kept = LogPart(
        len(LOG) - 5, LOG[-5:], len(LOG), True, LogSource.TAIL, kept_from=len(LOG) - 4096
    )
    assert log_parts.log_part(world.conn, *key, offset=-5) == replace(kept, awaited=True)
    serve(world, pilot, None)  # it cannot read the file
    assert log_parts.log_part(world.conn, *key, offset=-5) == kept
    for silent in ("gone_at = now()", "gone_at = null, agent = gen_random_uuid()"):
        world.conn.execute(f"update pilot set {silent}")
        assert log_parts.log_part(world.conn, *key, offset=-5) == kept
    world.conn.execute("delete from node")
    assert log_parts.log_part(world.conn, *key).data == LOG[-4096:]


def test_a_log_that_the_database_keeps_whole_is_asked_of_nobody(
    world: World, pilot: Pilot, grant: Grant
) -> None:
    end(world, pilot, grant, b"short\n")
    part = log_parts.log_part(world.conn, 0, 0, 1, offset=2)
    assert part == LogPart(2, b"ort\n", 6, True, LogSource.TAIL)
    assert not serve(world, pilot, b"")


def test_the_file_comes_first_where_it_can_be_read(
    world: World, pilot: Pilot, grant: Grant
) -> None:
    asked = []

    def read(account: str, wanted: WantedPart) -> FoundPart:
        asked.append((account, wanted))
        return FoundPart(len(LOG), LOG[-9:])

    part = log_parts.log_part(world.conn, 0, 0, 1, offset=-9, read_file=read)
    assert part == LogPart(len(LOG) - 9, LOG[-9:], len(LOG), False, LogSource.FILE)
    assert asked == [("ana", WantedPart(FOLDER, -9))]


def test_few_parts_are_kept_and_not_for_long(
    world: World, pilot: Pilot, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST", 3)
    for offset in range(9):
        assert log_parts.log_part(world.conn, 0, 0, 1, offset=offset).awaited
    assert [wanted.start for wanted in serve(world, pilot, LOG)] == [0, 1, 2]
    world.conn.execute("update log_part set asked_at = asked_at - interval '1 min'")
    assert log_parts.log_part(world.conn, 0, 0, 1, offset=9).awaited
    assert [wanted.start for wanted in serve(world, pilot, LOG)] == [9]


def test_a_pilot_that_does_not_answer_is_asked_again(
    world: World, pilot: Pilot, grant: Grant
) -> None:
    assert store.ask(world.conn, 0, 0, 1, 0, node=pilot.node)
    assert not store.ask(world.conn, 0, 0, 1, 0, node=pilot.node)
    world.conn.execute("update log_part set asked_at = asked_at - interval '3 s'")
    assert store.ask(world.conn, 0, 0, 1, 0, node=pilot.node)


def test_a_whole_log_and_its_last_lines(world: World, pilot: Pilot, grant: Grant) -> None:
    end(world, pilot, grant, LOG)
    interface = world.interface()

    def ask(request: ReadLogPart) -> LogPart:
        serve(world, pilot, LOG)
        return interface(request)

    [attempt] = views.show(world.conn, "0/0").attempts
    shown = [text for _, text in following.parts(ask, attempt)]  # type: ignore[arg-type]
    assert b"".join(shown) == LOG
    assert len(shown) == 5
    last, text = following.last_lines(ask, attempt, 50_000)  # type: ignore[arg-type]
    assert last.source is LogSource.RELAY
    assert text == b"".join(LOG.splitlines(keepends=True)[-50_000:])


def test_what_there_is_not(world: World, grant: Grant) -> None:
    with pytest.raises(NotFound, match="no attempt 2 of job 0/0"):
        log_parts.log_part(world.conn, 0, 0, 2)
    with pytest.raises(BadInput, match="an offset"):
        log_parts.log_part(world.conn, 0, 0, 1, offset=2**63)


def symlink(log: Path, secret: Path) -> None:
    log.symlink_to(secret)


def hard_link(log: Path, secret: Path) -> None:
    os.link(secret, log)


def pipe(log: Path, _: Path) -> None:
    os.mkfifo(log)


def below_a_symlink(log: Path, secret: Path) -> None:
    log.parent.rename(log.parent.with_name("elsewhere"))
    log.parent.symlink_to("elsewhere")
    os.replace(secret, log)


def of_another_account(log: Path, secret: Path) -> None:
    os.replace(secret, log)
    if os.geteuid() == 0:
        os.chown(log, 65534, 65534)
    else:
        log.unlink()


@pytest.mark.parametrize("put", [symlink, hard_link, pipe, below_a_symlink, of_another_account])
def test_what_took_the_place_of_a_log_is_not_read(
    world: World, tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    pilot = world.pilot(account=local_machine.account(), serve_all=True)
    world.task(1, test_jobs=0, folder=str(tmp_path / "user.ana.task"))
    world.conduct(2)
    (grant,) = pilot.claim()
    pilot.start(grant)
    log = tmp_path / "user.ana.task/.attempts/job_configId_0/1/job.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(LOG[:20])
    world.conn.execute("update pilot set account = 'another', log_sender = null")
    roots = ServedLogs([tmp_path.parent])
    part = log_parts.log_part(world.conn, 0, 0, 1, read_file=roots.read)
    assert (part.source, part.data) == (LogSource.FILE, LOG[:20])  # of the keeper's account

    secret = tmp_path / "secret"
    secret.write_bytes(b"correct horse")
    log.unlink()
    put(log, secret)
    part = log_parts.log_part(world.conn, 0, 0, 1, read_file=roots.read)
    assert (part.source, part.data) == (LogSource.TAIL, b"")
    assert read_part(WantedPart(str(log.parent), 0), None) is None, "nor by the pilot"
