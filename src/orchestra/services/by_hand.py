"""A job's command as its next attempt would run it, for somebody who runs it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from orchestra.domain.command import parse
from orchestra.domain.models.tasks import Task
from orchestra.services import jobs
from orchestra.store import sources


@dataclass(frozen=True, slots=True)
class ByHand:
    """What it takes: `inputs` gives each tag but %OUT its path; `reads` are its data sets' folders, or single files."""

    task: Task
    ordinal: int
    inputs: Mapping[str, str]
    reads: tuple[str, ...]

    def command(self, out: str) -> str:
        """Give the command with all its tags written.

        Raises:
            BadInput: a path cannot be written where its tag stands.
        """
        return parse(self.task.command).render({**self.inputs, "OUT": out})


def look(conn: psycopg.Connection, address: str) -> ByHand:
    """Give what a job is, by its address `TASK/N`.

    Raises:
        BadInput: that is no address of one job.
        NotFound: there is no such job.
    """
    report = jobs.show(conn, address)
    read = sources.inputs(conn, report.task.id)
    paths = {source.tag: path_of(source) for source in read}
    reads = (sources.config(conn, report.task.id).root, *(source.root for source in read))
    return ByHand(report.task, report.job.ordinal, {**paths, "IN": report.config_path}, reads)


def path_of(source: sources.Source) -> str:
    """Give what a tag becomes: the one file, or the folder of several."""
    if source.is_folder and source.only_file is not None:
        return f"{source.root}/{source.only_file}"
    return source.root
