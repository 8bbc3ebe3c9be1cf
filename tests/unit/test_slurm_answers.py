"""What Slurm's commands say. Real answers are Slurm 22.05's; others are built from the tables of Slurm's sources."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.models.pools import EngineReport, Phase
from orchestra.pools.engines import slurm_answers

NAME = "orchestra-7fc6d3d5-f601-4473-bd12-074781420910"
RUNNING = f"216|RUNNING|2026-11-26T17:51:15|{NAME}|main|n[1-2]|None"


def report(
    word: str = "PENDING",
    reason: str = "None",
    end: str = "N/A",
    hosts: str = "",
    partition: str = "main",
) -> EngineReport:
    line = f"216|{word}|{end}|{NAME}|{partition}|{hosts}|{reason}"
    return slurm_answers.reports(line, ["216"], [])["216"]


def test_a_running_job_has_its_end_and_its_machines() -> None:
    assert slurm_answers.reports(RUNNING, ["216"], []) == {
        "216": EngineReport(
            "216",
            NAME,
            Phase.RUNNING,
            "RUNNING",
            ends_at=datetime(2026, 11, 26, 17, 51, 15, tzinfo=UTC),
            hosts=("n1", "n2"),
        )
    }


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        *(
            (word, Phase.WAITING)
            for word in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
        ),
        *(
            (word, Phase.RUNNING)
            for word in ("RUNNING", "CONFIGURING", "POWER_UP_NODE", "SUSPENDED", "STOPPED")
        ),
        *((word, Phase.ENDING) for word in ("COMPLETING", "STAGE_OUT")),
        *(
            (word, Phase.OVER)
            for word in ("COMPLETED", "CANCELLED", "TIMEOUT", "PREEMPTED", "OUT_OF_MEMORY")
        ),
        *(
            (word, Phase.OVER)
            for word in ("NODE_FAIL", "BOOT_FAIL", "DEADLINE", "LAUNCH_FAILED", "FAILED")
        ),
        *(
            (word, Phase.UNCLEAR)
            for word in ("REVOKED", "?", "", "PENDING2", "pending", "SOME_FUTURE_WORD")
        ),
    ],
)
def test_each_word_for_a_state(word: str, phase: Phase) -> None:
    assert report(word).phase is phase


@pytest.mark.parametrize(
    "reason",
    [
        "PartitionTimeLimit",
        "PartitionConfig",
        "BadConstraints",
        "InvalidAccount",
        "InvalidQOS",
        "AccountNotAllowed",
        "QOSNotAllowed",
        "JobHeldAdmin",
        "QOSMaxWallDurationPerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxGRESPerJob",
        "QOSMaxMemoryPerNode",
        "QOSMaxCpuMinutesPerJobLimit",
        "QOSMinGRES",
        "QOSMinCpuNotSatisfied",
        "AssocMaxWallDurationPerJobLimit",
        "AssocMaxNodePerJobLimit",
        "MaxMemPerLimit",
        "ReservationDeleted",
        "launch failed requeued held",
        "user_env_retrieval_failed_requeued_held",
    ],
)
def test_reasons_that_no_waiting_changes(reason: str) -> None:
    assert report(reason=reason).is_hopeless
    assert not report("RUNNING", reason).is_hopeless, "it has started"


@pytest.mark.parametrize(
    "reason",
    [
        "Priority",
        "Resources",
        "BeginTime",
        "Licenses",
        "Reservation",
        "PartitionDown",
        "PartitionInactive",
        "PartitionNodeLimit",
        "JobHeldUser",
        "ReqNodeNotAvail, UnavailableNodes:n[1-2]",
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
        "AssocGrpCpuLimit",
        "AssocGrpCPUMinutesLimit",
        "AssocMaxJobsLimit",
        "QOSGrpNodeLimit",
        "QOSMaxJobsPerUserLimit",
        "QOSMaxCpuPerUserLimit",
        "QOSMaxGRESPerUser",
        "QOSMaxSubmitJobPerUserLimit",
        "QOSUsageThreshold",
        "MaxCpuPerAccount",
        "SomeFutureReason",
    ],
)
def test_reasons_to_wait(reason: str) -> None:
    assert report(reason=reason).is_hopeless is False
    assert report(reason=reason).reason == reason


def test_one_of_several_partitions_may_be_the_wrong_one() -> None:
    assert not report(reason="PartitionTimeLimit", partition="short,long").is_hopeless
    assert report(reason="InvalidAccount", partition="short,long").is_hopeless


def test_the_end_of_one_that_waits_is_only_a_wish() -> None:
    assert report(end="2026-11-27T18:41:10", reason="BeginTime").ends_at is None


@pytest.mark.parametrize("end", ["N/A", "NONE", "Unknown", "", "INVALID", "4+11:00:00"])
def test_an_end_that_is_unknown(end: str) -> None:
    assert report("RUNNING", end=end).ends_at is None


@pytest.mark.parametrize(
    ("hosts", "expanded"),
    [
        ("", ()),
        ("(null)", ()),
        ("n1", ("n1",)),
        ("gpu[08-10],login", ("gpu08", "gpu09", "gpu10", "login")),
        ("odd[", ("odd[",)),
    ],
)
def test_machines(hosts: str, expanded: tuple[str, ...]) -> None:
    assert report("RUNNING", hosts=hosts).hosts == expanded


def test_only_a_machine_that_does_not_answer_leaves_doubt() -> None:
    assert report("NODE_FAIL").is_lost
    assert not report("TIMEOUT").is_lost


@pytest.mark.parametrize(
    ("state", "answers"),
    [
        *(
            (state, True)
            for state in ("idle", "mixed", "completing", "drained", "idle~", "planned-")
        ),
        *((state, False) for state in ("down*", "down", "completing*", "drained*", "unknown", "")),
    ],
)
def test_which_machines_answer(state: str, answers: bool) -> None:
    output = f"n1|{state}\nn1|{state}\n"
    assert slurm_answers.silent_hosts(output, ["n1"]) == (set() if answers else {"n1"})
    assert slurm_answers.silent_hosts(output, ["n2"]) == {"n2"}, "Slurm does not know it"


def test_other_jobs_and_other_lines_are_skipped() -> None:
    output = "\n".join([
        "CLUSTER: alpha",
        RUNNING,
        "217|RUNNING|N/A|my|job|main|n1|None",
        f"5_[1-9]|PENDING|N/A|{NAME}|main||None",
        "slurm_load_jobs error: something",
        "",
    ])  # fmt: skip
    assert set(slurm_answers.reports(output, ["216", "5"], [])) == {"216"}
    assert set(slurm_answers.reports(output, [], [NAME])) == {"216"}
    assert slurm_answers.reports(output, ["21"], ["job"]) == {}


@given(st.text(max_size=200))
def test_no_output_breaks_it(output: str) -> None:
    slurm_answers.reports(output + "\n" + RUNNING, ["216"], [NAME])
    slurm_answers.submitted_id(output)
    assert "\n" not in slurm_answers.refusal(output).words


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("216\n", "216"),
        ("216;alpha\n", "216"),
        ("Welcome to alpha!\n216\n", "216"),
        ("216\nThis job costs 3 credits\n", "216"),
        ("Submitted batch job 216", None),
        ("", None),
    ],
)
def test_the_id_is_found_in_what_sbatch_prints(output: str, number: str | None) -> None:
    assert slurm_answers.submitted_id(output) == number


@pytest.mark.parametrize(
    ("errors", "words", "is_fatal"),
    [
        (
            (
                "sbatch: error: invalid partition specified: nope\n"
                "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
            ),
            "invalid partition specified: nope; Invalid partition name specified",
            True,
        ),
        (
            "sbatch: error: Batch job submission failed: Invalid feature specification",
            "Invalid feature specification",
            True,
        ),
        (
            (
                "sbatch: error: Memory specification can not be satisfied\n"
                "sbatch: error: Batch job submission failed: Requested node configuration is not available"
            ),
            "Memory specification can not be satisfied; Requested node configuration is not available",
            True,
        ),
        (
            "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information\n",
            "unrecognized option '--bogus'",
            True,
        ),
        ("sbatch: error: Invalid --time specification", "Invalid --time specification", True),
        (
            "sbatch: error: Batch job submission failed: Required partition not available (inactive or drain)",
            "Required partition not available (inactive or drain)",
            False,
        ),
        (
            "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates policy",
            "AssocMaxSubmitJobLimit; Job violates policy",
            False,
        ),
        ("", "sbatch failed and said nothing", False),
    ],
)
def test_refusals_keep_slurms_words(errors: str, words: str, is_fatal: bool) -> None:
    refusal = slurm_answers.refusal(errors)
    assert (refusal.words, refusal.is_fatal) == (words, is_fatal)


def test_a_test_also_fails_while_nodes_are_drained() -> None:
    said = "allocation failure: Requested node configuration is not available\n"
    refusal = slurm_answers.refusal(said, test_only=True)
    assert (refusal.words, refusal.is_fatal) == (
        "Requested node configuration is not available",
        False,
    )
    assert slurm_answers.refusal(
        "allocation failure: Invalid feature specification", test_only=True
    ).is_fatal


@pytest.mark.parametrize(
    "errors",
    [
        "slurm_load_jobs error: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "sbatch: fatal: Could not establish a configuration source",
        "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
        "sbatch: error: Batch job submission failed: Message receive failure",
    ],
)
def test_silence(errors: str) -> None:
    assert slurm_answers.is_silence(errors)


def test_refusals_are_no_silence() -> None:
    assert not slurm_answers.is_silence(
        "sbatch: error: Batch job submission failed: Invalid account"
    )


def test_unknown_ids_are_no_error() -> None:
    unknown = "scancel: error: Kill job error on job id 99999: Invalid job id specified\n"
    over = "scancel: error: Kill job error on job id 5: Job/step already completing or completed\n"
    assert slurm_answers.is_about_unknown_ids(unknown + over)
    other = "scancel: error: Kill job error on job id 6: Access/permission denied\n"
    assert not slurm_answers.is_about_unknown_ids(unknown + other)
    assert not slurm_answers.is_about_unknown_ids(""), "it failed and said nothing"


@pytest.mark.parametrize(
    ("walltime", "partitions", "said"),
    [
        (1800.0, None, None),
        (1801.0, None, "the time limit is 30:00 in partition short, so it would wait for ever"),
        (90000.0, "short,long", None),
        (
            90001.0,
            "short,long",
            "the time limit is 30:00 in partition short, 1-01:00:00 in partition long, so it would wait for ever",
        ),
        (1e9, "endless", None),
        (1e9, "unknown", None),
    ],
)
def test_walltimes_above_the_limits_of_partitions(
    walltime: float, partitions: str | None, said: str | None
) -> None:
    output = "short*|30:00\nlong|1-01:00:00\nendless|infinite\n"
    assert slurm_answers.too_long(output, walltime, partitions) == said


def test_how_long_processes_have_to_end() -> None:
    assert slurm_answers.kill_wait("A = 1\nKillWait                = 45 sec\n") == 45.0
    assert slurm_answers.kill_wait("nothing") is None


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        ("ProctrackType           = proctrack/cgroup\n", True),
        ("A = b\nProctrackType = proctrack/linuxproc\n", False),
        ("nothing", None),
    ],
)
def test_whether_processes_end_with_their_job(config: str, answer: bool | None) -> None:
    assert slurm_answers.kills_all(config) is answer
