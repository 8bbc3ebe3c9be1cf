"""`maestro task report`: one HTML page about a task, for others to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.task_select import one_task, the_task
from orchestra.domain import human
from orchestra.domain.naming import report_file

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.results import Table
    from orchestra.interface.answers.task_reports import Report


def report_arguments(parser: Parser) -> None:
    """Add the arguments of `task report`."""
    one_task(parser)
    parser.add_argument(
        "--file",
        type=Path,
        metavar="NAME.html",
        help="file to write (default: NAME_OF_THE_TASK.html in the current folder)",
    )


def write_report(ctx: Context) -> None:
    """Write the report on a task into a file."""
    from orchestra.files.beside import write_marked
    from orchestra.interface.reports import ReportTask
    from orchestra.reports import page

    with ctx.interface() as ask:
        report = ask(ReportTask(the_task(ctx)))
    task = report.shown.task
    path = ctx.args.file or Path(report_file(task.name))
    content = page.html(report, _table(ctx, report)).encode(errors="backslashreplace")
    write_marked(path, content, page.GENERATOR.encode())

    def lines(written: Path) -> Iterator[str]:
        yield str(written)

    ctx.out.item(
        path,
        lines,
        record=lambda written: {
            "task": task.id,
            "state": task.state.value,
            "file": str(written.absolute()),
            "bytes": len(content),
        },
        key=str,
    )
    if ctx.out.for_people:
        ctx.out.note(
            f"{human.size(len(content))}; any browser shows it, and it needs no other file."
        )
        if not task.is_over:
            ctx.out.note(f"Task {task.id} has not ended yet: the report shows how it stands now.")


def _table(ctx: Context, report: Report) -> Table:
    from orchestra.files import report_files

    with ctx.out.progress("reading results", None, "jobs") as line:

        def show(done: int, total: int) -> None:
            line.total = total
            line.set(done)

        return report_files.read(report.results, progress=show)
