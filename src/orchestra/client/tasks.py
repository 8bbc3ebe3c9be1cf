"""Creating and finding tasks: `client.tasks`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestra.client import requests, words
from orchestra.client.requests import TaskLike
from orchestra.client.session import Session, with_hint
from orchestra.client.task import Job, Task
from orchestra.domain.errors import AlreadyExists
from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.tasks import METRICS_FILE
from orchestra.interface.me import Me
from orchestra.interface.selection import FindTask
from orchestra.interface.tasks import ListTasks

if TYPE_CHECKING:
    import builtins
    from datetime import datetime

    from orchestra.domain.models import tasks as task_values
    from orchestra.domain.models.new_tasks import NewTask


class Tasks:
    """Tasks: one command over the files of a config data set."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        name: str,
        *,
        config: str | DataSet | Task,
        command: words.Command,
        data: str | DataSet | None = None,
        secondary: Mapping[str, str | DataSet] | None = None,
        queue: str = "cpu",
        volume: str | os.PathLike[str] | None = None,
        after: TaskLike | Sequence[TaskLike] = (),
        image: str | os.PathLike[str] | None = None,
        bind: Sequence[str] = (),
        env: Mapping[str, str | int | float] | None = None,
        metrics: str = METRICS_FILE,
        goal: str | None = None,
        attach_report: bool = False,
        reuse: bool = False,
        bypass: bool = False,
        test_jobs: int | None = None,
        test_for: words.Duration | None = None,
        retries: int = 0,
        timeout: words.Duration | None = None,
        grace: words.Duration = 30.0,
        priority: int = 0,
        max_fails: int | str | None = None,
        max_running: int | None = None,
        resume: bool = False,
        cpus: int | None = None,
        cores: int | None = None,
        gpus: float | str = 0,
        gpu_memory: int | str | None = None,
        memory: int | str | None = None,
        scratch: int | str | None = None,
        exclusive: bool = False,
        walltime: words.Duration | None = None,
        constraint: str | None = None,
        node: str | Sequence[str] | None = None,
        not_node: str | Sequence[str] | None = None,
        if_not_exists: bool = False,
    ) -> Task:
        """Create a task, as `maestro task create` does; the options have the same names and defaults.

        Args:
            name: `user.<username>.<name>`. For your own tasks and data sets the last part is enough: "mlp" for
                "user.ana.mlp"; that of a new one has no dot.
            config: one job for each of its files, `%IN`; a task, or "task:NAME", for each of its done jobs' outputs.
            command: what each job runs; `%IN`, `%OUT` and `%DATA` become its paths. A text as a shell reads it, or
                a list of words, which need no quotes: `["python3", Path("fit.py").absolute(), "%DATA", "%IN", "%OUT"]`.
            data: what all jobs read, `%DATA`; without it, the command has no `%DATA`.
            secondary: more tags with their data sets, `{"%REF": "user.ana.ref"}`.
            queue: "cpu" or "gpu".
            volume: folder for the results; by default the configured volume, else the current folder.
            after: begin when this task is, or these tasks are, DONE. The same task as `config` provides the configs.
            image: a container image.
            bind: more folders to mount in the container, `SRC:DST[:ro]`.
            env: environment variables for the jobs.
            metrics: name of the file in `%OUT` that `results()` reads.
            goal: the metric whose lowest or highest value is best, "min:loss" or "max:accuracy".
            attach_report: attach the task's report to the mail at its end.
            reuse: allow a folder of the task's name that is not empty.
            bypass: skip the test.
            test_jobs: number of test jobs; 10 by default.
            test_for: a test job that has run for so long has passed, and the test waits no longer for jobs that find
                no slot; seconds, or "10m".
            retries: retries of a failed job.
            timeout: time limit of a job; seconds, or "2h".
            grace: time between TERM and KILL when a job is ended.
            priority: your tasks with a higher one go before your others.
            max_fails: hold the task when so many jobs have failed, 3 or "5%".
            max_running: let at most so many jobs run at a time.
            resume: a retry continues in the folder of the attempt before.
            cpus: CPU slots of a job: by default 1, on the gpu queue none.
            cores: the same on the cpu queue; on the gpu queue the processors that its libraries use.
            gpus: GPUs of a job; 1 by default on the gpu queue. 0.5 is half of one, which others share.
            gpu_memory: memory that it needs on each GPU, and takes of a shared one; bytes, or "20GB".
            memory: memory that its node must have free, and a limit; bytes, or "4GB".
            scratch: room that it needs on the node's own disk, for $ORCHESTRA_SCRATCH.
            exclusive: run no other job on its node.
            walltime: how long a job takes at most, to plan with; it ends no job. By default `timeout`.
            constraint: only nodes with these labels: "gpu=a100|h100", "memory>=64GB,rack=3".
            node: only these nodes: "gauss", "gpu[01-04]", or a list of them.
            not_node: not these nodes.
            if_not_exists: return the task with that name if it exists.

        Raises:
            BadInput, NotFound, AlreadyExists, Refused, VolumeError: one sentence about what cannot be used.
        """
        options = {
            option: value
            for option, value in locals().items()
            if option not in ("self", "name", "if_not_exists")
        }
        new = requests.new_task(self._session, name, **options)
        return Task(self._session, _make(self._session, new, if_not_exists=if_not_exists))

    def clone(self, task: TaskLike, name: str | None = None, **changes: Any) -> Task:
        """Create a task with the settings of another one, anybody's, and its data sets at their present versions.

        Args:
            task: the task, its number or its name.
            name: of the new task; None for that of the old one, with the next free number.
            changes: arguments of `create` that replace settings; `env` and `bind` add to them.

        Raises:
            BadInput, NotFound, AlreadyExists, Refused, VolumeError: one sentence about what cannot be used.
        """
        old = str(task.id if isinstance(task, Task) else task)
        new = requests.clone(self._session, self._session.names.task(old), name, changes)
        return Task(self._session, _make(self._session, new, if_not_exists=False))

    def get(self, task: int | str) -> Task:
        """Return a task by number or name. For your own, the last part will do: "fit" for "user.ana.fit".

        Raises:
            BadInput, NotFound: there is none; suggests a similar name.
        """
        return Task(self._session, self._session(FindTask(self._session.names.task(str(task)))))

    def list(self, *, user: str | None = None, all: bool = False) -> builtins.list[Task]:  # noqa: A002
        """Return your tasks that are not DONE, or another user's; with `all` everybody's, also DONE ones.

        Raises:
            NotFound: there is no such user.
        """
        owner = user or (None if all else self._session(Me()).name)
        return [Task(self._session, line.task) for line in self._session(ListTasks(owner, all))]

    def jobs(
        self,
        state: str | None = None,
        *,
        node: str | None = None,
        config: str | None = None,
        since: datetime | str | None = None,
        user: str | None = None,
        all: bool = False,  # noqa: A002
        limit: int | None = None,
    ) -> builtins.list[Job]:
        """Return jobs of all your tasks, or of another user's; with `all` everybody's. The newest task's are first.

        Args:
            state: only the jobs in this state.
            node: only those that ran last on this node.
            config: only those whose config matches, as for `maestro job list --config`.
            since: only those that have changed since then; a datetime with a zone, or "2h" or "2026-11-20".
            limit: at most so many.

        Raises:
            NotFound: there is no such user.
            BadInput: there is no such state, or the pattern or the time cannot be used.
        """
        from orchestra.interface.job_search import SearchJobs, found_jobs

        search = SearchJobs(
            owner=user or (None if all else self._session(Me()).name),
            status=words.status(state),
            node=node,
            config=config,
            since=words.since(since),
        )
        most = words.whole("limit", limit, least=1) if limit is not None else None
        tasks: dict[int, Task] = {}
        found = []
        for answer in found_jobs(self._session, search, limit=most):
            for each in answer.jobs:
                if each.job.task_id not in tasks:
                    tasks[each.job.task_id] = self.get(each.job.task_id)
                found.append(Job(tasks[each.job.task_id], each.job))
        return found


def _make(session: Session, new: NewTask, *, if_not_exists: bool) -> task_values.Task:
    from orchestra.files import task_files
    from orchestra.interface import uploading
    from orchestra.interface.new_tasks import CreateTask, FindOwnTask, PlanTask

    existing = session(FindOwnTask(new.name)) if if_not_exists else None
    if existing:
        return existing
    try:
        planned = session(PlanTask(new))
        with with_hint():
            with session.interface() as ask:
                elsewhere = uploading.is_elsewhere(ask, new.volume)
            new = task_files.check(new, planned.folder, elsewhere=elsewhere)
        return session(CreateTask(new))
    except AlreadyExists:  # perhaps created a moment before
        existing = session(FindOwnTask(new.name)) if if_not_exists else None
        if existing is None:
            raise
        return existing
