"""The engine Slurm with stand-ins for its commands, for what a real Slurm says seldom."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from orchestra.domain.errors import Refused
from orchestra.domain.models.pools import Phase, Pool, PoolLimits, PoolSpec, Refusal, Submission
from orchestra.pools.engines import EngineSilent, commands, registry
from orchestra.pools.engines.slurm import SETTLING, SlurmEngine
from orchestra.wiring import pools
from support import fake_slurm
from support.fake_slurm import UNREACHABLE, Answer, FakeSlurm

ASKED = Submission(
    UUID("7fc6d3d5-f601-4473-bd12-074781420910"), PoolSpec(), None, ("true",), "/data/log", 45.0
)
NOW = datetime(2026, 11, 26, tzinfo=UTC)
TIMED_OUT = Answer(
    out="",
    err="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
    status=1,
)


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    return fake_slurm.installed(tmp_path / "slurm")


@pytest.fixture
def engine(slurm: FakeSlurm) -> SlurmEngine:
    return SlurmEngine({**os.environ, "PATH": slurm.path})


def test_an_allocation_is_submitted_seen_and_cancelled(
    slurm: FakeSlurm, engine: SlurmEngine
) -> None:
    number = engine.submit(ASKED)
    assert isinstance(number, str)
    report = engine.status([number])[number]
    assert (report.name, report.phase) == (ASKED.name, Phase.WAITING)
    engine.cancel([number], pending_only=True)
    assert engine.status([number])[number].phase is Phase.OVER
    (call,) = slurm.calls("sbatch")
    assert call.stdin.startswith("#!/bin/bash\n")


def test_one_squeue_for_all(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    numbers = [str(engine.submit(replace(ASKED, id=UUID(int=each)))) for each in range(3)]
    assert set(engine.status([*numbers, "99999"])) == set(numbers)
    assert len(slurm.calls("squeue")) == 1
    assert engine.status([]) == {}
    assert len(slurm.calls("squeue")) == 1, "nobody is asked for"


def test_an_answer_is_good_enough_for_other_pools_for_a_while(slurm: FakeSlurm) -> None:
    now = 0.0
    engine = SlurmEngine({**os.environ, "PATH": slurm.path}, lambda: now, reuse=15)
    first, second = (str(engine.submit(replace(ASKED, id=UUID(int=each)))) for each in range(2))
    assert engine.status([first])
    now = 14.9
    assert set(engine.status([second])) == {second}
    assert len(slurm.calls("squeue")) == 1
    assert engine.status([], [ASKED.name]) == {}
    assert len(slurm.calls("squeue")) == 2, "a submission may have been accepted since"
    slurm.say("squeue", UNREACHABLE)
    now = 30.0
    with pytest.raises(EngineSilent):
        engine.status([first])
    assert set(engine.status([first])) == {first}
    assert len(slurm.calls("squeue")) == 4, "no answer before a failure is used after it"


def test_the_pools_of_a_process_share_an_engine(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Pool(1, "one", "slurm", None, None, PoolSpec(), PoolLimits(), NOW)
    engines = pools.Engines(poll=30)
    monkeypatch.setenv("PATH", "/nowhere")
    assert engines.of(one) is None
    monkeypatch.setenv("PATH", slurm.path)
    assert engines.of(one) is engines.of(replace(one, id=2, name="two"))
    assert engines.of(replace(one, engine="local")) is not engines.of(one)


def test_a_submission_that_was_not_answered_is_found_by_its_name(
    slurm: FakeSlurm, engine: SlurmEngine
) -> None:
    slurm.say("sbatch", TIMED_OUT)
    with pytest.raises(EngineSilent, match="sbatch: Socket timed out"):
        engine.submit(ASKED)
    (report,) = engine.status([], [ASKED.name]).values()
    assert report.engine_id.isdecimal()


def test_a_command_that_hangs_is_ended_with_its_children(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.say("squeue", fake_slurm.SILENT)
    started = time.monotonic()
    with pytest.raises(EngineSilent, match="squeue did not answer within"):
        commands.ask(("squeue",), {**os.environ, "PATH": slurm.path}, patience=0.5)
    # Its child would hold a pipe open.
    tries = "echo busy, sleeping and retrying >&2; sleep 30 & sleep 30"
    with pytest.raises(EngineSilent, match=r"within 1 s: busy, sleeping and retrying$"):
        commands.ask(("sh", "-c", tries), os.environ, patience=1)
    assert time.monotonic() - started < 10


def test_a_program_that_is_missing_is_silence(tmp_path: Path) -> None:
    engine = SlurmEngine({"PATH": str(tmp_path)})
    with pytest.raises(EngineSilent, match="squeue: No such file or directory"):
        engine.status(["1"])
    assert not engine.kills_all
    assert registry.missing("slurm", {"PATH": str(tmp_path)}) == "sbatch"
    assert registry.missing("local", {}) is None
    with pytest.raises(Refused, match="no sbatch on the PATH"):
        registry.engine("slurm", {"PATH": str(tmp_path)})


def test_an_id_in_a_federation(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    slurm.say("sbatch", Answer(out="67108865;alpha\n", status=0))
    assert engine.submit(ASKED) == "67108865"


def test_success_without_an_id_is_no_answer(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    slurm.say("sbatch", Answer(out="Submitted to the night queue\n", status=0))
    with pytest.raises(EngineSilent, match="Submitted to the night queue"):
        engine.submit(ASKED)


def test_refusals(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    slurm.say("sbatch", fake_slurm.refused())
    assert engine.submit(ASKED) == Refusal("Invalid partition name specified", is_fatal=True)
    words = "sbatch: error: Batch job submission failed: Some words of a site"
    slurm.say("sbatch", fake_slurm.refused(words))
    assert engine.submit(ASKED) == Refusal("Some words of a site")


def test_words_that_were_stored_are_checked_again(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    asked = replace(ASKED, spec=PoolSpec(sbatch=("/tmp/evil.sh",)))
    for refusal in (engine.submit(asked), engine.check(asked)):
        assert isinstance(refusal, Refusal)
        assert refusal.is_fatal
    assert slurm.calls("sbatch") == []


def test_a_check_submits_nothing(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    slurm.say(
        "sbatch", Answer(out="", err="sbatch: Job 11 to start at 2026-12-11T05:41:13\n", status=0)
    )
    assert engine.check(ASKED) is None
    assert "--test-only" in slurm.calls("sbatch")[0].words
    accepted = Answer(out="", err="", status=0)
    slurm.say("sbatch", accepted)
    slurm.say("sinfo", Answer(out="main*|30:00\n"))
    said = "the time limit is 30:00 in partition main, so it would wait for ever"
    assert engine.check(replace(ASKED, walltime=3600)) == Refusal(said)
    not_now = "allocation failure: Requested node configuration is not available"
    slurm.say("sbatch", fake_slurm.refused(not_now))
    assert engine.check(ASKED) == Refusal("Requested node configuration is not available")


def test_a_controller_that_is_gone(slurm: FakeSlurm, engine: SlurmEngine) -> None:
    slurm.always("squeue", UNREACHABLE)
    slurm.always("scancel", UNREACHABLE)
    with pytest.raises(EngineSilent, match="squeue: slurm_load_jobs error: Unable to contact"):
        engine.status(["1"])
    with pytest.raises(EngineSilent, match="Unable to contact"):
        engine.cancel(["1"], pending_only=False)


def test_a_job_of_the_user_that_has_the_id_of_an_allocation_is_not_touched(
    slurm: FakeSlurm, engine: SlurmEngine
) -> None:
    lost, number = str(engine.submit(replace(ASKED, id=UUID(int=1)))), str(engine.submit(ASKED))
    slurm.change(lost, name="thesis", state="RUNNING")
    assert set(engine.status([lost, number])) == {number}
    engine.cancel([lost, number], pending_only=False)
    assert slurm.jobs()[lost]["state"] == "RUNNING"
    assert slurm.jobs()[number]["state"] == "CANCELLED"


def test_cancelling_what_slurm_has_forgotten_is_no_error(
    slurm: FakeSlurm, engine: SlurmEngine
) -> None:
    said = "scancel: error: Kill job error on job id 99999: Invalid job id specified\n"
    slurm.say("scancel", Answer(out="", err=said, status=1))
    engine.cancel(["99999"], pending_only=True)
    assert slurm.calls("scancel")[0].words == ("--state=PENDING", "99999")


def test_one_that_is_over_on_a_machine_that_does_not_answer_may_go_on(slurm: FakeSlurm) -> None:
    now = 0.0
    engine = SlurmEngine({**os.environ, "PATH": slurm.path}, clock=lambda: now)
    number = str(engine.submit(ASKED))
    slurm.change(number, state="CANCELLED", nodes="n[1-2]")
    assert not engine.status([number])[number].is_lost
    slurm.say("sinfo", Answer(out="n1|idle\nn2|down*\n"))
    assert engine.status([number])[number].is_lost
    now = SETTLING - 1
    assert engine.status([number])[number].is_lost, "what ran there is still being ended"
    now = SETTLING
    assert not engine.status([number])[number].is_lost
    slurm.say("sinfo", UNREACHABLE)
    assert engine.status([number])[number].is_lost
    # Nothing follows from it where processes may outlive their job anyway.
    slurm.change(number, state="RUNNING")
    engine.status([number])
    assert len(slurm.calls("sinfo")) == 5


def test_whether_processes_end_with_their_job_is_asked_for_once(
    slurm: FakeSlurm, engine: SlurmEngine
) -> None:
    slurm.say("scontrol", UNREACHABLE)
    slurm.configure(ProctrackType="proctrack/cgroup")
    # Unknown, known, and not asked for again.
    assert [engine.kills_all for _ in range(3)] == [False, True, True]
    assert engine.kill_wait == 30.0
    assert len(slurm.calls("scontrol")) == 2


def test_commands_do_not_read_options_from_variables(slurm: FakeSlurm) -> None:
    environ = {**os.environ, "PATH": slurm.path, "SBATCH_ARRAY_INX": "1-9", "SQUEUE_FORMAT": "%i"}
    engine = SlurmEngine({**environ, "SLURM_JOB_ID": "5", "PGPASSWORD": "secret"})
    engine.status([str(engine.submit(ASKED))])
    for call in slurm.calls():
        assert not {"SBATCH_ARRAY_INX", "SQUEUE_FORMAT", "SLURM_JOB_ID", "PGPASSWORD"} & set(
            call.environment
        )
