"""A task and its jobs, as objects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestra.client import call_words, outputs, removals, uploading, waiting, words
from orchestra.client.datasets import AnyPath
from orchestra.client.session import Session, with_hint
from orchestra.client.settings import UNCHANGED, Unchanged, new_settings
from orchestra.domain.human import count
from orchestra.domain.models import jobs as job_values
from orchestra.domain.models import tasks as task_values
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.tasks import Counts
from orchestra.domain.states import JobStatus, TaskState, job_status
from orchestra.interface.selection import FindTask

if TYPE_CHECKING:
    import pandas

    from orchestra.domain.explanation import Explanation
    from orchestra.domain.models.failures import FailureReason
    from orchestra.files.attempt_folders import Removed
    from orchestra.interface.answers.jobs import JobReport
    from orchestra.interface.answers.task_reports import TaskReport


class Task:
    """A task. `state`, `counts` and `info` query the database each time; `last_seen` is the latest result."""

    __slots__ = ("_seen", "_session")

    def __init__(self, session: Session, seen: task_values.Task) -> None:
        self._session = session
        self._seen = seen

    def __repr__(self) -> str:
        seen = self._seen
        done = f"{seen.counts.done} of {count(seen.active_jobs, 'job')} done"
        return f"<task {seen.id} {seen.name}: {seen.state}, {done}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and (self._session, self.id) == (other._session, other.id)

    def __hash__(self) -> int:
        return hash((id(self._session), self.id))

    @property
    def id(self) -> int:
        """The task's number."""
        return self._seen.id

    @property
    def name(self) -> str:
        """The task's name, `user.<username>.<name>`."""
        return self._seen.name

    @property
    def folder(self) -> Path:
        """The folder of its results; `job_configId_N` in it is the result of job N."""
        return Path(self._seen.folder)

    @property
    def last_seen(self) -> task_values.Task:
        """The task as it was at the latest query."""
        return self._seen

    @property
    def info(self) -> task_values.Task:
        """The task as it is now.

        Raises:
            NotFound: it was deleted.
        """
        return self._look()

    @property
    def state(self) -> TaskState:
        """Its present state: REGISTERED, TESTING, RUNNING, DONE, FINALIZED, BROKEN, KILL or KILLED."""
        return self.info.state

    @property
    def counts(self) -> Counts:
        """The present number of its jobs in each state."""
        return self.info.counts

    def show(self) -> TaskReport:
        """Return what `maestro task show` shows: events, failures in groups, why it waits."""
        from orchestra.interface.task_reports import ShowTask

        report = self._session(ShowTask(str(self.id)))
        self._seen = report.task
        return replace(report, waiting=tuple(map(call_words.worded, report.waiting)))

    def _look(self) -> task_values.Task:
        self._seen = self._session(FindTask(str(self.id)))
        return self._seen

    def _look_on(self) -> tuple[task_values.Task, str]:
        """Return the task, and why nothing of it runs if that is known. A stopped database is not started."""
        from orchestra.interface.task_reports import WhyTaskWaits

        with self._session.interface(start=False) as ask:
            self._seen = seen = ask(FindTask(str(self.id)))
            rests = seen.state.is_live and (seen.hold or not seen.counts.living)
            reasons = ask(WhyTaskWaits(self.id)) if rests else ()
        return seen, call_words.worded(reasons[0]) if reasons else ""

    # Its jobs

    def jobs(
        self, state: str | None = None, *, first: int = 0, limit: int | None = None
    ) -> list[Job]:
        """Return its jobs by number, from `first` on and at most `limit`, in one state or all.

        Raises:
            BadInput: there is no such state.
        """
        from orchestra.interface.paging import job_pages

        wanted = words.status(state)
        first = words.whole("first", first, least=0)
        most = words.whole("limit", limit, least=1) if limit is not None else None
        found: list[Job] = []
        for page in job_pages(self._session, str(self.id), wanted, first=first, limit=most):
            found += [Job(self, info) for info in page.jobs]
            self._seen = page.task
        return found

    def job(self, number: int) -> Job:
        """Return one of its jobs.

        Raises:
            NotFound: it has no job with that number.
        """
        return Job(self, self._report(number).job)

    def failures(self) -> tuple[FailureReason, ...]:
        """Return its failed jobs in groups, the largest first: by reason, by last line of the log, by node."""
        from orchestra.interface.failures import FailuresOf

        return self._session(FailuresOf(str(self.id))).reasons

    def retry_jobs(
        self,
        state: str | None = None,
        *,
        reason: str | None = None,
        line: str | None = None,
        node: str | None = None,
        config: str | None = None,
    ) -> int:
        """Retry all of its jobs that match, ahead of the others, and return how many; by default all but the done ones.

        Args:
            reason: why they ended: `exit:1`, `exit`, `signal:9`, `timeout`, as in `failures`.
            line: the last line of their logs, with `*` for any characters.
            node: where they ran last.
            config: a pattern of their configs.

        Raises:
            BadInput: the state, the reason or a pattern is invalid.
            Refused: its state does not allow it, or it belongs to somebody else.
        """
        from orchestra.interface.job_matches import RetryMatching, every_match

        wanted = RetryMatching(self.id, words.status(state), reason, line, node, config)
        return every_match(self._session, wanted).jobs

    def kill_jobs(
        self, state: str | None = None, *, node: str | None = None, why: str | None = None
    ) -> int:
        """Kill all of its jobs that match and have not ended, and return how many.

        Raises:
            BadInput: the state is invalid.
            Refused: its state does not allow it, or it belongs to somebody else.
        """
        from orchestra.interface.job_matches import KillMatching, every_match

        wanted = KillMatching(self.id, words.status(state), node=node, why=why)
        return every_match(self._session, wanted).jobs

    def _report(self, number: int) -> JobReport:
        from orchestra.interface.jobs import ShowJob

        return self._session(ShowJob(self._address(number)))

    def _address(self, number: int) -> str:
        return f"{self.id}/{words.whole('a job', number, least=0)}"

    def logs(
        self,
        job: int | Job,
        *,
        attempt: int | None = None,
        lines: int | None = None,
        failed: bool = False,
    ) -> str:
        """Return the log of a job's latest attempt, or of another one; all of it, or the last `lines`.

        With `failed`, that of its last failed attempt.

        On a machine that does not see the volume it is the end of the log, as stored in the database.

        Raises:
            NotFound: there is no such job or attempt, or it has no log.
        """
        address = self._address(_number(job))
        return outputs.log(self._session, address, attempt, lines, failed=failed)

    def explain(self, job: int | Job) -> Explanation:
        """Explain why a job waits, where it runs, what happened to it: a headline and sentences.

        Raises:
            NotFound: there is no such job.
        """
        from orchestra.interface.explanations import ExplainJob

        found = self._session(ExplainJob(self._address(_number(job)))).explanation
        return replace(found, told=tuple(map(call_words.worded, found.told)))

    # Results

    def results(
        self,
        *,
        where: str | None = None,
        group_by: str | Sequence[str] | None = None,
        sort: str | None = None,
        best: int | None = None,
        direction: str | None = None,
        columns: Sequence[str] | None = None,
        live: bool = False,
    ) -> list[dict[str, Any]]:
        """Return a row for each done job: its config's values, its metrics, its usage (docs/results.md).

        Args:
            where: only the rows for which this holds: "lr < 0.1 and width == 64".
            group_by: a row for each group with equal values in these columns: "n", and for each metric "NAME.mean",
                "NAME.std" (of a sample: n - 1) and "NAME.n"; with "best" and "best.job" if it is known what is best.
            sort: order by this column; "-NAME" puts the highest first.
            best: only so many of the best rows, by the task's goal, by a metric whose name says which are best, or by
                `sort`. Groups are compared by the mean.
            direction: "min" or "max", which values of the metric or of `sort` are best.
            columns: only these columns, in this order; with `group_by`, only these metrics.
            live: include running jobs, with what they have written so far; rows have a "state", and the "age" of the
                file in seconds.

        Raises:
            BadInput: there is no such column, or the condition is not one.
            VolumeError: the task's folder does not exist.
        """
        query = words.result_query(
            where=where,
            group_by=group_by,
            sort=sort,
            best=best,
            direction=direction,
            columns=columns,
        )
        return list(outputs.sheet(self._session, self.id, query, live=live).records())

    def best(
        self, *, where: str | None = None, direction: str | None = None
    ) -> dict[str, Any] | None:
        """Return the best row of `results`, None without any.

        Raises:
            BadInput: neither the task's goal nor the name of a metric says which is best.
            VolumeError: as `results`.
        """
        rows = self.results(where=where, best=1, direction=direction)
        return rows[0] if rows else None

    def frame(
        self,
        *,
        where: str | None = None,
        group_by: str | Sequence[str] | None = None,
        sort: str | None = None,
        best: int | None = None,
        direction: str | None = None,
        columns: Sequence[str] | None = None,
        live: bool = False,
    ) -> pandas.DataFrame:
        """Return `results` as a pandas data frame.

        Raises:
            Refused: pandas is not installed.
            BadInput, VolumeError: as `results`.
        """
        query = words.result_query(
            where=where,
            group_by=group_by,
            sort=sort,
            best=best,
            direction=direction,
            columns=columns,
        )
        return outputs.frame(self._session, self.id, query, live=live)

    def report(self, file: str | Path | None = None) -> str:
        """Return a page about the task as HTML, and write it to a file if one is named.

        Raises:
            Refused: the file exists and is not a report.
            VolumeError: it cannot be written.
        """
        return outputs.report(self._session, self.id, None if file is None else Path(file))

    def wait(
        self,
        timeout: words.Duration | None = None,
        *,
        progress: bool = True,
        check: bool = False,
    ) -> Task:
        """Wait until the task has ended, and return it. Its jobs do not depend on the process that waits.

        If the database becomes unavailable, waits for it up to ten minutes.

        Args:
            timeout: seconds, or words like "2h".
            progress: show progress, and why nothing runs: one line that is updated on a terminal and in a notebook,
                else a line for each state.
            check: raise NotDone if the task ends in a state other than DONE.

        Raises:
            TimedOut: it has not ended in time.
            NotDone: with `check`, not all jobs are done.
            NotFound: it was deleted.
            DatabaseUnavailable: the database was unavailable for too long.
        """
        limit = None if timeout is None else words.seconds("timeout", timeout)
        waiting.wait(self._look_on, limit, progress=progress)
        if check:
            with with_hint():
                waiting.check(self._seen)
        return self

    # Actions

    def hold(self, reason: str | None = None) -> Task:
        """Start no new job of it; running jobs continue.

        Returns when pilots have released what they had claimed ahead, after 5 s at the latest. Warns (UserWarning) of
        nodes that have not responded by then: they may still start a job that they had claimed before.

        Raises:
            Refused: it has ended, or belongs to somebody else.
        """
        from orchestra.interface.task_changes import HoldTask
        from orchestra.interface.waiting import not_answered, wait_for_pilots

        self._session(HoldTask(self.id, reason))
        for nodes in wait_for_pilots(self._session, [self.id]).values():
            warnings.warn(not_answered(self.id, nodes), stacklevel=2)
        return self

    def release(self) -> Task:
        """Let its jobs start again after `hold`.

        Raises:
            Refused: it has ended, or belongs to somebody else.
        """
        from orchestra.interface.task_changes import ReleaseTask

        self._session(ReleaseTask(self.id))
        return self

    def set(
        self,
        *,
        priority: int | None = None,
        retries: int | None = None,
        max_fails: int | str | Unchanged | None = UNCHANGED,
        max_running: int | Unchanged | None = UNCHANGED,
        timeout: words.Duration | Unchanged | None = UNCHANGED,
        grace: words.Duration | None = None,
        walltime: words.Duration | Unchanged | None = UNCHANGED,
        cpus: int | None = None,
        cores: int | None = None,
        gpus: float | str | None = None,
        gpu_memory: int | str | Unchanged | None = UNCHANGED,
        memory: int | str | Unchanged | None = UNCHANGED,
        scratch: int | str | Unchanged | None = UNCHANGED,
        exclusive: bool | None = None,
        constraint: str | Unchanged | None = UNCHANGED,
        node: str | Sequence[str] | Unchanged | None = UNCHANGED,
        not_node: str | Sequence[str] | Unchanged | None = UNCHANGED,
        goal: str | Unchanged | None = UNCHANGED,
    ) -> Task:
        """Change settings of it: the arguments as for `client.tasks.create`.

        None removes a limit, a constraint, a list of nodes or the goal.

        `timeout`, `grace` and what follows them, but for the goal, count for jobs that have not started. Of a task that
        has ended, all settings count when it is retried.

        Raises:
            BadInput: a value cannot be used.
            Refused: it belongs to somebody else.
        """
        from orchestra.interface.task_changes import SetTask

        given = new_settings(
            priority=priority,
            retries=retries,
            max_fails=max_fails,
            max_running=max_running,
            timeout=timeout,
            grace=grace,
            walltime=walltime,
            cpus=cpus,
            cores=cores,
            gpus=gpus,
            gpu_memory=gpu_memory,
            memory=memory,
            scratch=scratch,
            exclusive=exclusive,
            constraint=constraint,
            node=node,
            not_node=not_node,
            goal=goal,
        )
        self._seen = self._session(SetTask(self.id, given)).after
        return self

    def kill(self, reason: str | None = None) -> Task:
        """Kill it with all its jobs; a task that has ended stays as it is. `wait` returns when no job is alive.

        Raises:
            Refused: it belongs to somebody else.
        """
        from orchestra.interface.task_changes import KillTask

        self._session(KillTask(self.id, reason))
        return self

    def retry(
        self,
        *,
        all: bool = False,  # noqa: A002
        update: bool = False,
        bypass: bool = False,
    ) -> Task:
        """Retry its jobs that are not done, or with `all` every job; `bypass` skips the test.

        A task that is DONE starts over, as with `maestro task retry`, but without a question.

        With `update` its inputs are taken as they are now: your data sets are read again and get new versions. Jobs
        keep their numbers by the paths of their configs. Without a change it is the ordinary retry.

        Raises:
            Refused: its state does not allow it, or it belongs to somebody else.
            BadInput: with `update`, a file or folder cannot be read.
        """
        from orchestra.interface import rereading
        from orchestra.interface.task_changes import RetryTask

        if update:
            with self._session.interface() as ask, with_hint():
                take = partial(uploading.taken, self._session)
                _, updated = rereading.update(ask, self.id, every=all, bypass=bypass, take=take)
                if updated.changes:
                    return self
        self._session(RetryTask(self.id, every=all, bypass=bypass))
        return self

    def add(self, files: AnyPath | Sequence[AnyPath]) -> list[Job]:
        """Add a file, several files, or the files of a folder, as further configs, and return their jobs.

        They get the next numbers; files that it has already are left out. If it has ended it runs again, for these jobs
        alone.

        Raises:
            Refused: its state does not allow it, it has all these files, or it belongs to somebody else.
            BadInput: a file cannot be read.
        """
        from orchestra.files import file_lists, local_machine
        from orchestra.interface.task_inputs import AddConfigs

        given = [files] if isinstance(files, str | os.PathLike) else files
        with with_hint():
            found = file_lists.of_paths([local_machine.full_path(each) for each in given])
        found = uploading.taken(self._session, self.name, found)
        added = self._session(AddConfigs(self.id, found))
        return self.jobs(first=added.before.jobs)

    def delete(
        self, *, force: bool = False, remove: bool = False, timeout: words.Duration = 120.0
    ) -> None:
        """Delete it; its files stay unless `remove`. There is no question.

        Args:
            force: kill it first, and wait for its jobs to end.
            remove: also remove the folders that its attempts have created, and nothing else. They are removed first:
                if one cannot be, the task is not deleted.
            timeout: with `force`, how long to wait for its jobs to end; seconds, or "10m".

        Raises:
            Refused: it is live, belongs to somebody else, or with `remove` a live task reads its outputs.
            TimedOut: some of its jobs are still running.
            Incomplete, VolumeError: not all folders could be removed.
        """
        removals.delete(
            self._session,
            self.id,
            force=force,
            remove=remove,
            timeout=words.seconds("timeout", timeout),
        )

    def clean(self) -> Removed:
        """Remove the folders of superseded attempts. There is no question.

        Returns the number of folders that were removed, and the bytes that were freed.

        Raises:
            Refused: it belongs to somebody else.
            Incomplete, VolumeError: not all of them could be removed.
        """
        return removals.clean(self._session, self.id)


@dataclass(frozen=True, slots=True, repr=False)
class Job:
    """A job as it was when it was queried; its methods query it again."""

    task: Task
    info: job_values.Job

    def __repr__(self) -> str:
        return f"<job {self.address}: {self.state}, {self.info.config}>"

    @property
    def number(self) -> int:
        """Its number within the task."""
        return self.info.index

    @property
    def address(self) -> str:
        """Its address, TASK/N."""
        return f"{self.info.task_id}/{self.info.index}"

    @property
    def state(self) -> JobStatus:
        """Its state, as `task list --counts` counts it."""
        info = self.info
        return job_status(
            info.state,
            is_test=info.is_test,
            kill_requested=info.kill_requested,
            claimed=info.claimed,
        )

    @property
    def folder(self) -> Path:
        """The path of its result: a symlink to the folder of its last done attempt, else of the latest one."""
        return Path(JobPaths(PurePosixPath(self.task.last_seen.folder), self.number).link)

    def show(self) -> JobReport:
        """Return the job as it is now, with all its attempts and its config's path."""
        return self.task._report(self.number)

    def logs(
        self, *, attempt: int | None = None, lines: int | None = None, failed: bool = False
    ) -> str:
        """Return its log, as `Task.logs`."""
        return self.task.logs(self, attempt=attempt, lines=lines, failed=failed)

    def explain(self) -> Explanation:
        """Explain it, as `Task.explain`."""
        return self.task.explain(self)

    def kill(self, reason: str | None = None) -> None:
        """Kill it; a job that has ended stays as it is.

        Raises:
            Refused: its task's state does not allow it, or it belongs to somebody else.
        """
        from orchestra.interface.job_changes import KillJobs

        self.task._session(KillJobs((self.address,), reason))

    def retry(self) -> None:
        """Retry it, ahead of all other jobs.

        Raises:
            Refused: it is running, its task's state does not allow it, or it belongs to somebody else.
        """
        from orchestra.interface.job_changes import RetryJobs

        self.task._session(RetryJobs((self.address,)))


def _number(job: int | Job) -> int:
    return job.number if isinstance(job, Job) else job
