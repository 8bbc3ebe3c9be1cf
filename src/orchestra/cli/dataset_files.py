"""The files of a data set as commands are given them: name, paths and patterns."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli import uploading
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.datasets import FileChoice

DESCRIPTION = """Register a file, the files of a folder, or several files and no others of their folder.

Of a folder, hidden files, __pycache__ and what editors leave behind (*~, #*#, *.swp, *.bak, *.orig) are skipped. A
README or an __init__.py is skipped if all other files are configs, by their endings. --all-files registers all of them.

A pattern of --include or --exclude is compared with names (*.yaml), or with paths below the folder if it has a slash
(model/*.yaml). One that matches a folder stands for all files in it. Put quotes around patterns. `dataset update` uses
the same patterns again."""


def arguments(parser: Parser, what: str) -> None:
    """Add the arguments that name a data set and its files; `what` describes the files."""
    parser.add_argument("word", nargs="?", metavar="NAME", help="name of the data set")
    parser.add_argument(
        "more", nargs="*", metavar="PATH", help=f"{what}; all of these are paths if -n is given"
    )
    parser.intermixed = True
    parser.add_argument(
        *("-n", "--name", "-d", "--dataset"),
        dest="name",
        metavar="NAME",
        help="name of the data set: NAME, in full user.<username>.NAME",
    )
    parser.add_argument(
        *("-p", "--path"),
        dest="paths",
        action="append",
        default=[],
        metavar="PATH",
        help=f"{what}; can be repeated",
    )
    choice_arguments(parser)
    uploading.arguments(parser)


def choice_arguments(parser: Parser) -> None:
    """Add the options that choose among the files of a folder."""
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATTERN",
        help="register only files that match: '*.yaml', 'model/*.yaml'; can be repeated",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="register no file that matches; can be repeated",
    )
    parser.add_argument(
        "--all-files",
        action="store_true",
        help="register hidden files, leftovers of editors and READMEs beside configs, too",
    )


def choice(ctx: Context) -> FileChoice:
    """Return the choice of files that the options describe.

    Raises:
        BadInput: a pattern cannot be used.
    """
    from orchestra.domain import file_choice
    from orchestra.domain.models.datasets import FileChoice

    args = ctx.args
    return file_choice.check(FileChoice(tuple(args.include), tuple(args.exclude), args.all_files))


def is_chosen(ctx: Context) -> bool:
    """Whether an option chooses among files."""
    return bool(ctx.args.include or ctx.args.exclude or ctx.args.all_files)


def name_and_paths(ctx: Context) -> tuple[str, list[str]]:
    """Return the name of the data set and the paths as typed.

    Raises:
        BadInput: there is no name.
    """
    args = ctx.args
    name, *paths = [word for word in (args.name, args.word, *args.more) if word is not None] or [""]
    if not name:
        raise BadInput("which data set?", hint="Its name looks like user.ana.grid, in short grid.")
    return name, [*args.paths, *paths]


def choice_words(chosen: FileChoice) -> str:
    """Return how files were chosen; empty if none but those skipped by default were left out."""
    return ", ".join(_parts(chosen))


def _parts(chosen: FileChoice) -> Iterator[str]:
    if chosen.listed:
        yield "a list of files"
    options = [
        *(f"--include {shlex.quote(pattern)}" for pattern in chosen.include),
        *(f"--exclude {shlex.quote(pattern)}" for pattern in chosen.exclude),
        *(["--all-files"] if chosen.all_files else []),
    ]
    if options:
        yield " ".join(options)
