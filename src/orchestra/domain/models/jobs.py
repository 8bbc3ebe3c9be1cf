"""Jobs, their attempts, and the folders of attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from orchestra.domain.models.tasks import Resources
from orchestra.domain.states import Cause, JobState
from orchestra.domain.usage import Usage

LOG = "job.log"
"""The file in an attempt's folder with its output."""


@dataclass(frozen=True, slots=True)
class Job:
    """One config of a task. `config` is the file's path below the config data set's root.

    `attempts` is the number of the latest one; `handed_back` of them were requeued without a start. A `removed` job has
    lost its config: it is killed, done or being ended, and is not run.
    """

    task_id: int
    index: int
    state: JobState
    config: str
    is_test: bool
    kill_requested: bool
    claimed: bool
    attempts: int
    failures: int
    losses: int
    done_attempt: int | None
    changed_at: datetime
    node: str | None = None
    cause: Cause | None = None
    reason: str | None = None
    exit_status: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    seconds: float | None = None
    inputs_note: str | None = None
    handed_back: int = 0
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job on one node. Times are the database's; durations are in seconds and the keeper's.

    `config_sha256` is the digest of its registered config, with which the file is compared before each start.
    `image_digest` is that of its container image. `inputs_note` says how its inputs differed from what was registered
    after it had ended. `revision` is that of the task with which it was claimed; `timeout` and what follows it are what
    it was given, as `Resources` describes it. `devices` are its GPUs, by UUID or index, separated by commas;
    `device_models` are their models, "" where it is not known, and empty if none is.
    """

    task_id: int
    index: int
    number: int
    node: str
    run: int
    is_test: bool
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    lost_at: datetime | None
    folder: str
    devices: str | None
    cause: Cause | None
    reason: str | None
    exit_status: int | None
    signal: int | None
    seconds: float | None
    usage: Usage
    accepted: bool | None
    log_bytes: int | None
    log_tail: bytes | None = None
    config_sha256: bytes | None = None
    image_digest: str | None = None
    inputs_note: str | None = None
    revision: int = 1
    timeout: float | None = None
    cores: int = 1
    gpus: int = 0
    memory_limit: int | None = None
    cpus_gpu_job: int = 0
    gpu_milli: int | None = None
    vram_bytes: int | None = None
    scratch_bytes: int | None = None
    exclusive: bool = False
    device_models: tuple[str, ...] = ()

    @property
    def resources(self) -> Resources:
        """What it was given."""
        return Resources(
            self.cores,
            self.gpus,
            self.memory_limit,
            self.cpus_gpu_job,
            self.gpu_milli,
            self.vram_bytes,
            self.scratch_bytes,
            self.exclusive,
        )


ATTEMPTS = ".attempts"
"""The folder of all attempts in a task's folder. A folder that contains one is a task's."""


@dataclass(frozen=True, slots=True)
class JobPaths:
    """The folders of a job's attempts. All are below the task's folder."""

    task_folder: PurePosixPath
    index: int

    @property
    def link(self) -> PurePosixPath:
        """The symlink to an attempt's folder by which people find the result."""
        return self.task_folder / f"job_configId_{self.index}"

    @property
    def attempts(self) -> str:
        """The folder of all its attempts, relative to the task's folder."""
        return f"{ATTEMPTS}/job_configId_{self.index}"

    def attempt(self, number: int) -> PurePosixPath:
        """The folder of one attempt: its `%OUT` and working directory."""
        return self.task_folder / f"{self.attempts}/{number}"

    @staticmethod
    def folder(task_folder: str, index: int, number: int) -> str:
        """The same as a str, for code that needs 100,000 of them."""
        return f"{task_folder}/{ATTEMPTS}/job_configId_{index}/{number}"

    def log(self, number: int) -> PurePosixPath:
        return self.task_folder / f"{self.attempts}/{number}/{LOG}"
