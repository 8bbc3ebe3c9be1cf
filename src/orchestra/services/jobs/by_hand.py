"""A job's command as its next attempt would run it, for somebody who runs it by hand."""

from __future__ import annotations

import psycopg

from orchestra.interface.answers.by_hand import ByHand
from orchestra.services.jobs import views
from orchestra.store.tasks import sources


def look(conn: psycopg.Connection, address: str) -> ByHand:
    """Give what a job is, by its address `TASK/N`.

    Raises:
        BadInput: that is no address of one job.
        NotFound: there is no such job.
    """
    report = views.show(conn, address)
    read = sources.inputs(conn, report.task.id)
    paths = {source.tag: source.path for source in read}
    reads = (sources.config(conn, report.task.id).root, *(source.root for source in read))
    return ByHand(report.task, report.job.index, {**paths, "IN": report.config_path}, reads)
