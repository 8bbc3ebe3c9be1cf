"""What a person may set of a pool."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.command_words import message_of
from orchestra.domain.errors import BadInput
from orchestra.domain.models.pools import PoolLimits, PoolSettings, PoolSpec
from orchestra.domain.pools.sbatch_words import joined
from orchestra.domain.pools.settings import check_engine, gpus_of_gres, of_new, over
from orchestra.domain.states import Queue


def test_a_new_pool_has_the_defaults_of_its_engine_and_one_cpu() -> None:
    spec, limits = of_new("slurm", PoolSettings())
    assert (spec, limits) == (PoolSpec(), PoolLimits())
    assert spec.cpus == 1
    assert spec.partition is None


def test_a_change_keeps_what_was_not_said_and_nothing_takes_a_value_away() -> None:
    asked = PoolSettings(
        partition="long,short", account="lab", memory_bytes=4 * 10**9, walltime=7200.0
    )
    spec, limits = of_new("slurm", asked)
    spec, limits = over("slurm", spec, limits, PoolSettings(cpus=4))
    assert (spec.partition, spec.cpus, limits.walltime) == ("long,short", 4, 7200.0)
    gone = PoolSettings(partition="", account="", memory_bytes=0, walltime=0.0, sbatch=())
    spec, limits = over("slurm", spec, limits, gone)
    assert (spec, limits) == (PoolSpec(cpus=4), PoolLimits())


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        (None, 0),
        ("gpu", 1),
        ("gpu:2", 2),
        ("gpu:a100", 1),
        ("gpu:a100:4", 4),
        ("gpu:a100:2(S:0-1),shard:3", 2),
        ("gpu:a100:1,gpu:v100:2", 3),
        ("fpga:2", 0),
        ("gpumem:3", 0),
    ],
)
def test_the_gpus_of_generic_resources(gres: str | None, gpus: int) -> None:
    assert gpus_of_gres(gres) == gpus


@pytest.mark.parametrize(
    ("asked", "queue", "gpus"),
    [
        (PoolSettings(queue=Queue.GPU), Queue.GPU, 1),
        (PoolSettings(gpus=2), Queue.GPU, 2),
        (PoolSettings(gres="gpu:a100:4"), Queue.GPU, 4),
        (PoolSettings(gres="fpga:1"), Queue.CPU, 0),
    ],
)
def test_asking_for_gpus_chooses_the_queue(asked: PoolSettings, queue: Queue, gpus: int) -> None:
    spec, _ = of_new("slurm", asked)
    assert (spec.queue, spec.gpus) == (queue, gpus)


def test_a_pool_of_many_nodes_may_have_as_many_pilots() -> None:
    assert of_new("slurm", PoolSettings(nodes=16))[1].max_pilots == 16


@pytest.mark.parametrize(
    ("asked", "said", "field"),
    [
        (PoolSettings(min_pilots=3, max_pilots=2), "--min-pilots 3 is above --max-pilots 2.", "min_pilots"),
        (PoolSettings(nodes=3, max_pilots=2), "--nodes 3 is above --max-pilots 2.", "nodes"),
        (PoolSettings(cpus=0), "--cpus must be at least 1.", "cpus"),
        (PoolSettings(nodes=0), "--nodes must be at least 1.", "nodes"),
        (PoolSettings(max_pilots=0), "--max-pilots must be at least 1.", "max_pilots"),
        (PoolSettings(max_pending=0), "--max-pending must be at least 1.", "max_pending"),
        (PoolSettings(cpus=2**31), "--cpus must be at most 2,147,483,647.", "cpus"),
        (PoolSettings(memory_bytes=4000), "--memory of 4,000 bytes is not what a node can have.", "memory"),
        (PoolSettings(walltime=30.0), "--walltime must be at least 60 s.", "walltime"),
        (PoolSettings(walltime=float("nan")), "--walltime must be at least 60 s.", "walltime"),
        (PoolSettings(min_work=1e12), "--min-work must be at most a year.", "min_work"),
        (PoolSettings(idle=0.0), "--idle must be at least 1 s.", "idle"),
        (PoolSettings(partition="a b"), '"a b" cannot be the value of --partition.', "partition"),
        (PoolSettings(qos="--wrap=x"), '"--wrap=x" cannot be the value of --qos.', "qos"),
        (PoolSettings(account="a\n#SBATCH -p x"), r'"a\n#SBATCH -p x" cannot be the value of --account.', "account"),
        (
            PoolSettings(queue=Queue.CPU, gpus=1),
            "pilots of the queue cpu have no use for GPUs, which --gpus asks for.",
            "queue",
        ),
        (PoolSettings(queue=Queue.GPU, gpus=0), "pilots of the queue gpu need at least one GPU.", "gpus"),
        (PoolSettings(gpus=1, gres="gpu:2"), "--gres gpu:2 and --gpus 1 do not agree.", "gpus"),
    ],
)  # fmt: skip
def test_what_cannot_be_had(asked: PoolSettings, said: str, field: str) -> None:
    with pytest.raises(BadInput) as error:
        of_new("slurm", asked)
    assert message_of(error.value) == said
    assert error.value.params["field"] == field


@pytest.mark.parametrize(
    "asked",
    [PoolSettings(partition="x"), PoolSettings(sbatch=("--exclusive",)), PoolSettings(nodes=2)],
)
def test_processes_of_this_machine_have_no_partition(asked: PoolSettings) -> None:
    with pytest.raises(BadInput, match="the engine local has"):
        of_new("local", asked)
    of_new("local", replace(asked, partition=None, sbatch=None, nodes=None, cpus=2))


@pytest.mark.parametrize(
    "constraint", ["a100&nvlink", "[rack1*2&rack2*4]", "(knl|hsw)&!slow", "gpu-a100"]
)
def test_constraints_of_slurm(constraint: str) -> None:
    assert of_new("slurm", PoolSettings(constraint=constraint))[0].constraint == constraint


def test_an_engine_that_nobody_knows() -> None:
    assert check_engine("slurm") == "slurm"
    with pytest.raises(BadInput, match=r'there is no engine "Slurn"\. Did you mean "slurm"\?'):
        check_engine("Slurn")


def test_words_for_sbatch_are_joined_with_their_values() -> None:
    given = (
        "--exclude",
        "n1,n2",
        "-x",
        "n3",
        "--exclusive",
        "--nice=10",
        "--comment",
        "my jobs",
        "-k",
    )
    kept = ("--exclude=n1,n2", "-xn3", "--exclusive", "--nice=10", "--comment=my jobs", "-k")
    assert joined(given) == kept
    assert joined(kept) == kept, "so that a change can be made from what is stored"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "--job-name=x",
            "--job-name cannot be in --sbatch: a pool finds its jobs by the names that it gives them.",
        ),
        ("-Jx", "-J cannot be in --sbatch: a pool finds its jobs by the names that it gives them."),
        (
            "-sJx",
            "-J cannot be in --sbatch: a pool finds its jobs by the names that it gives them.",
        ),
        ("--wra=x", "--wra cannot be in --sbatch: the script is Orchestra's own."),
        (
            "--array=1-9",
            "--array cannot be in --sbatch: a pool submits single jobs, as many as it needs.",
        ),
        ("--parsable", "--parsable cannot be in --sbatch: it is always there."),
        ("--uid=0", "--uid cannot be in --sbatch: a pilot runs as the account that submits it."),
        (
            "--export=ALL",
            "--export cannot be in --sbatch: pilots need the variables of the process that submits them.",
        ),
        (
            "--container-image=x.sif",
            "--container-image cannot be in --sbatch: pilots run outside of containers; a task may have an image.",
        ),
        ("--mem=4G", "--mem cannot be in --sbatch: use --memory."),
        ("-t10", "-t cannot be in --sbatch: use --walltime."),
        ("-p", "-p cannot be in --sbatch: use --partition."),
        ("job.sh", '"job.sh" in --sbatch is not an option of sbatch.'),
        ("--", '"--" in --sbatch is not an option of sbatch.'),
        ("--comment=a\nb", r'"--comment=a\nb" in --sbatch has a control character.'),
        ("--comment=\0", r'"--comment=\x00" in --sbatch has a NUL character.'),
    ],
)
def test_words_for_sbatch_that_would_break_a_submission(given: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        joined((given,))
    assert message_of(error.value) == said
