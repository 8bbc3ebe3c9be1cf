"""What is known of what the jobs of a task have written, and where the rest of it lies."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task
from orchestra.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Result:
    """The attempt that counts of a job: its folder's number, what it took, and the config that it was given.

    `path` is the config's below its data set's root; `sha256` is None where it is a folder, an older task's output.
    `metrics` is what the job said and `config` what its config says, None where the database does not know; an output's
    is what the older job said in a file called `config_name`.
    """

    index: int
    attempt: int
    folder_number: int
    node: str | None
    seconds: float | None
    usage: Usage
    path: str | None
    sha256: bytes | None
    inputs_note: str | None = None
    metrics: str | None = None
    config: str | None = None
    config_name: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What is known of a task's results, and where the rest lies: one entry a job that has been done, in job order."""

    task: Task
    config_root: str
    config_is_folder: bool
    jobs: tuple[Result, ...]

    def config_path(self, job: Result) -> str:
        """Give a job's config; that of a task made of an older one's outputs is a folder."""
        return f"{self.config_root}/{job.path}" if self.config_is_folder else self.config_root
