"""A job's command as its next attempt would run it, for somebody who runs it by hand."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.sources import Source
from orchestra.interface.answers.by_hand import ByHand
from orchestra.services import jobs
from orchestra.store import sources


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


def path_of(source: Source) -> str:
    """Give what a tag becomes: the one file, or the folder of several."""
    if source.is_folder and source.only_file is not None:
        return f"{source.root}/{source.only_file}"
    return source.root
