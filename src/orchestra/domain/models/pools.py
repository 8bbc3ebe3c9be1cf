"""Pools, their allocations, and what is decided about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Literal
from uuid import UUID

from orchestra.domain.states import Queue

EngineName = Literal["slurm", "local"]
Deletion = Literal["drain", "now"]


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What each allocation of a pool is asked for. None: the engine's default.

    Args:
        queue: whose jobs its pilots run.
        partition: one partition, or several separated by commas.
        account, qos, constraint, gres: as in the engine.
        cpus: processors on each node.
        memory_bytes: memory on each node.
        gpus: GPUs on each node.
        nodes: machines in one allocation, each with a pilot.
        sbatch: further words for the engine's submission command, each as it is.
        keep_slurm_env: jobs get the variables of the allocation, such as SLURM_JOB_ID, which are removed otherwise.
    """

    queue: Queue = Queue.CPU
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gres: str | None = None
    cpus: int = 1
    memory_bytes: int | None = None
    gpus: int = 0
    nodes: int = 1
    sbatch: tuple[str, ...] = ()
    keep_slurm_env: bool = False


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many pilots a pool may have, and when.

    Args:
        max_pilots: pilots that exist at once, those of pending allocations among them.
        min_pilots: pilots that are kept while there is no work.
        max_pending: allocations that wait in the engine's queue at once.
        walltime: seconds of an allocation; None for the engine's default.
        min_work: seconds of work that justify one more allocation.
        idle: seconds without a job after which a pilot leaves.
    """

    max_pilots: int = 10
    min_pilots: int = 0
    max_pending: int = 4
    walltime: float | None = None
    min_work: float = 120.0
    idle: float = 120.0


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What a person sets of a pool. None: the default of a new pool, or what an existing one has.

    An empty text, an empty `sbatch`, and 0 as `memory_bytes` or `walltime`, mean the engine's default.
    """

    queue: Queue | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gres: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    nodes: int | None = None
    sbatch: tuple[str, ...] | None = None
    keep_slurm_env: bool | None = None
    max_pilots: int | None = None
    min_pilots: int | None = None
    max_pending: int | None = None
    walltime: float | None = None
    min_work: float | None = None
    idle: float | None = None


class AllocationState(StrEnum):
    """Where an allocation is in its life."""

    SUBMITTING = "SUBMITTING"
    """In: a row is written, then the engine is asked. Out: its answer; or it is found, or not, by its name."""
    PENDING = "PENDING"
    """In: the engine has accepted it. Out: the engine's word, or its pilot."""
    STARTING = "STARTING"
    """In: the engine says that it runs. Out: its pilot attaches; the engine's word that it is over."""
    SERVING = "SERVING"
    """In: its first pilot attaches. Out: its pilots leave, or are silent after the engine says that it is over."""
    LEAVING = "LEAVING"
    """In: it is to end: its pilots take no more jobs, or it was cancelled. Out: as SERVING."""
    UNKNOWN = "UNKNOWN"
    """In: the engine answers, and does not know it, or says a word that nobody knows. Out: any word, or its pilot."""
    ENDED = "ENDED"
    """In: all its pilots have signed off, or are silent after the engine's word; it was never accepted. Out: never."""

    @property
    def is_waiting(self) -> bool:
        """Whether it may still have to wait in the engine's queue."""
        return self in (AllocationState.SUBMITTING, AllocationState.PENDING)


@dataclass(frozen=True, slots=True)
class Allocation:
    """One submission to an engine. The columns of the table `allocation` say what each field is.

    `seen_at` is when the engine last knew it. `pilots` are the names of its nodes, and `running` counts the attempts on
    them.
    """

    id: UUID
    pool: str
    engine_id: str | None
    state: AllocationState
    submitted_at: datetime
    word: str | None = None
    reason: str | None = None
    nodes: int = 1
    started_at: datetime | None = None
    ends_at: datetime | None = None
    first_job_at: datetime | None = None
    seen_at: datetime | None = None
    cancelled_at: datetime | None = None
    ended_at: datetime | None = None
    pilots: tuple[str, ...] = ()
    running: int = 0

    @property
    def name(self) -> str:
        """The name under which the engine knows it from the beginning."""
        return submission_name(self.id)


def submission_name(allocation: UUID) -> str:
    """Return the name under which an allocation is submitted."""
    return f"orchestra-{allocation}"


@dataclass(frozen=True, slots=True)
class BackOff:
    """Why nothing is submitted for a while.

    Args:
        refusals: submissions that were refused since the last that was accepted.
        early_ends: how often allocations have ended before they ran a job, since the last that did; those that were
            submitted together count as one.
        not_before: when the next submission may be made; None for now.
        trouble: what the engine said.
    """

    refusals: int = 0
    early_ends: int = 0
    not_before: datetime | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """The jobs of one task that wait, that a pool's pilots could run, and for which nothing is free.

    Args:
        jobs: how many; of a task that is tested, the test jobs alone.
        fit: how many of them an allocation runs at a time; at least 1.
        typical: seconds that a job takes; while none has ended, the age of the oldest one that runs, since it takes at
            least that; None while none has started.
        is_measured: a job has ended.
    """

    task: int
    jobs: int
    fit: int
    typical: float | None = None
    is_measured: bool = True


@dataclass(frozen=True, slots=True)
class ServingRoom:
    """A node, of the pool or not, that takes jobs which a pool's pilots could run, too.

    Args:
        size: in allocations of the pool.
        tasks: those of the loads that it may run.
        free_in: seconds until a place on it is free, on average over its places.
        ends_in: seconds until jobs on it must have ended.
    """

    size: float
    tasks: frozenset[int]
    free_in: float = 0.0
    ends_in: float = inf


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision about a pool is made from.

    Args:
        loads: in the order in which jobs start.
        allocations: those that have not ended.
        serving: the nodes that take such jobs now.
        wait: seconds that an allocation waits in the engine's queue, as the last ones did; None if none has started.
        nodes: machines in a new allocation, each with a pilot.
        surplus_since: since when there are more pending allocations than needed.
        is_paused: a person, or a fatal answer of the engine, has paused it.
        deletion: it is being deleted.
    """

    now: datetime
    limits: PoolLimits
    loads: tuple[Load, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    serving: tuple[ServingRoom, ...] = ()
    wait: float | None = None
    back_off: BackOff = BackOff()
    nodes: int = 1
    surplus_since: datetime | None = None
    is_paused: bool = False
    deletion: Deletion | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a pool now.

    Args:
        submit: allocations to submit now.
        withdraw: allocations to cancel if they are still pending, the youngest first.
        need: allocations that should run or wait in the queue.
        why: one sentence, for people.
        surplus_since: for the next decision.
    """

    submit: int = 0
    withdraw: tuple[UUID, ...] = ()
    need: int = 0
    why: str = ""
    surplus_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool. The columns of the table `pool` say what most fields are.

    `live` are its allocations that have not ended; `run_by` is the process that submits for it, if any.
    """

    id: int
    name: str
    engine: EngineName
    owner: str | None
    account: str | None
    spec: PoolSpec
    limits: PoolLimits
    created_at: datetime
    serves_all: bool = False
    back_off: BackOff = BackOff()
    paused_at: datetime | None = None
    paused_by: str | None = None
    pause_reason: str | None = None
    decision: Decision | None = None
    decided_at: datetime | None = None
    deletion: Deletion | None = None
    run_by: str | None = None
    live: tuple[Allocation, ...] = ()
    silent_since: datetime | None = None
    silence: str | None = None


@dataclass(frozen=True, slots=True)
class AtStake:
    """What the deletion of a pool would end: allocations that wait, those that run, and the jobs in these."""

    pending: int
    running: int
    jobs: int


@dataclass(frozen=True, slots=True)
class AllocationHello:
    """What a pilot in an allocation tells the database of it.

    Args:
        id: the allocation's.
        engine_id: what the engine calls it there.
        restart: how often the engine has started it again.
        host: the machine's name, as the engine calls it.
        ends_at: when the engine takes it back; None if that is unknown.
    """

    id: UUID
    engine_id: str
    restart: int
    host: str
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What an engine is asked to start.

    Args:
        id: the allocation's, and `name` its name in the engine.
        command: what runs on each of its nodes; it has no secret.
        log: the file that gets its output.
        ending: seconds before the end at which its pilots are told.
    """

    id: UUID
    spec: PoolSpec
    walltime: float | None
    command: tuple[str, ...]
    log: str
    ending: float

    @property
    def name(self) -> str:
        """The name under which the engine knows it."""
        return submission_name(self.id)


class Phase(StrEnum):
    """What an engine's word about an allocation means."""

    WAITING = "waiting"
    RUNNING = "running"
    ENDING = "ending"
    OVER = "over"
    UNCLEAR = "unclear"
    """A word that nobody knows: it is shown, and nothing follows from it."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What an engine says of one allocation.

    Args:
        engine_id: the engine's name for it.
        name: the name under which it was submitted.
        word: the engine's word.
        reason: the engine's explanation, "" for none.
        ends_at: when it is over; None if it has not started, or that is unknown.
        hosts: the machines.
        is_hopeless: it can never start, for this reason.
        is_lost: it is over because a machine does not answer: its processes may go on there.
    """

    engine_id: str
    name: str
    phase: Phase
    word: str
    reason: str = ""
    ends_at: datetime | None = None
    hosts: tuple[str, ...] = ()
    is_hopeless: bool = False
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """An engine's refusal of a submission. A fatal one will not change by itself: the pool is paused."""

    words: str
    is_fatal: bool = False


EngineSays = Mapping[str, EngineReport]
"""By the engine's id."""
