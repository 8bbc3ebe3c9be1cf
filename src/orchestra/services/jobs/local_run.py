"""A job's command as its next attempt would run it, for `job run --here`."""

from __future__ import annotations

import psycopg

from orchestra.interface.answers.local_run import LocalRun
from orchestra.services.jobs import views
from orchestra.store.tasks import sources


def read(conn: psycopg.Connection, address: str) -> LocalRun:
    """Return what it takes to run the job with the address `TASK/N`.

    Raises:
        BadInput: it is not the address of one job.
        NotFound: there is no such job.
    """
    report = views.show(conn, address)
    inputs = sources.inputs(conn, report.task.id)
    paths = {source.tag: source.path for source in inputs}
    reads = (sources.config(conn, report.task.id).root, *(source.root for source in inputs))
    return LocalRun(report.task, report.job.index, {**paths, "IN": report.config_path}, reads)
