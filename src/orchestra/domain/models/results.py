"""What the database knows about the results of a task, and where to find the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobStatus
from orchestra.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Result:
    """The attempt that counts for a job: the number of its folder, its usage, and the config of its revision.

    `path` is the config's below its data set's root; `sha256` is None where it is a folder, an older task's output.
    `metrics` and `config` are the texts of its metrics and its config, None if the database does not have them. If the
    config is an output, `config` is the text of the older job's metrics, in a file named `config_name`. Of a job that
    still runs, `seconds` are those since its start.
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
    revision: int = 1
    state: JobStatus = JobStatus.DONE


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Attempts that ran in one place: a node, the version of its keeper, and the digest of the image that it had.

    Node and version are None if they were deleted.
    """

    node: str | None
    version: str | None
    image_digest: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Sources:
    """The results of a task: one entry per done job, in job order, and if asked for, the jobs that run at the moment.

    A job that runs again is in `running` alone. `former_roots` are the roots of the configs in earlier revisions of the
    task, and whether they are folders.
    """

    task: Task
    config_root: str
    config_is_folder: bool
    jobs: tuple[Result, ...]
    former_roots: Mapping[int, tuple[str, bool]] = field(default_factory=dict)
    running: tuple[Result, ...] | None = None

    def config_path(self, job: Result) -> str:
        """The path of a job's config; a folder if the task uses an older task's outputs."""
        present = (self.config_root, self.config_is_folder)
        root, is_folder = self.former_roots.get(job.revision, present)
        return f"{root}/{job.path}" if is_folder else root
