"""A task's results and logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.client import words
from orchestra.client.session import Session, with_hint
from orchestra.domain import result_query
from orchestra.domain.errors import BadInput, NotFound, Refused
from orchestra.domain.goals import parse_goal
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.sheets import Sheet

if TYPE_CHECKING:
    import pandas


def sheet(session: Session, task: int, query: ResultQuery, *, live: bool = False) -> Sheet[Any]:
    """Return a task's results; the files are read without holding the connection."""
    from orchestra.files.results import read
    from orchestra.interface.results import FindResults

    sources = session(FindResults(str(task), bool(live)))
    goal = parse_goal(sources.task.goal) if sources.task.goal else None
    with with_hint():
        table = result_query.matching(read(sources), query)
        if query.group_by:
            return result_query.groups(table, query, goal)[1]
        return result_query.rows(table, query, goal)[0].sheet


def frame(
    session: Session, task: int, query: ResultQuery, *, live: bool = False
) -> pandas.DataFrame:
    """Return a task's results as a data frame.

    Raises:
        Refused: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise Refused(
            "frame() needs pandas, which is not installed; results() returns the same as dictionaries.",
            hint="pip install 'orchestra-hpc[notebook]'",
        ) from None
    found = sheet(session, task, query, live=live)
    names = [column.name for column in found.columns]
    return pandas.DataFrame.from_records(list(found.records()), columns=names)


def report(session: Session, task: int, file: Path | None) -> str:
    """Return the report on a task as HTML; write it to a file if one is named."""
    from orchestra.files import beside, report_files
    from orchestra.interface.reports import ReportTask
    from orchestra.reports import page

    found = session(ReportTask(str(task)))
    html = page.html(found, report_files.read(found.results))
    if file is not None:
        with with_hint():
            content = html.encode(errors="backslashreplace")
            beside.write_marked(file, content, page.GENERATOR.encode())
    return html


def log(
    session: Session, address: str, attempt: int | None, lines: int | None, *, failed: bool
) -> str:
    """Return a job's log; bytes that are not UTF-8 are escaped."""
    from orchestra.files import job_logs
    from orchestra.interface import following
    from orchestra.interface.jobs import ShowJob

    wanted = None if lines is None else words.whole("lines", lines, least=1)
    with with_hint():
        report = session(ShowJob(address))
        if failed and attempt is not None:
            raise BadInput("failed chooses the attempt itself, so no other can be given.")
        failure = following.last_failed(report) if failed else None
        if failed and failure is None:
            raise NotFound(f"job {address} has no failed attempt.", kind="attempt")
        found = failure or following.find_attempt(report, attempt)
        log = following.find(session, found)
    if log.file:
        with log.file as file:
            if wanted is not None:
                job_logs.seek_last_lines(file, wanted)
            content = file.read()
    else:
        with with_hint():
            parts = list(following.parts(session, found, wanted))
            if parts[0][0].length is None:
                raise job_logs.no_log(found)
        content = b"".join(text for _, text in parts)
    return content.decode(errors="backslashreplace")
