"""The entry point: find the command, run it, and print errors."""

from __future__ import annotations

import errno
import os
import sys

from orchestra.cli import startup
from orchestra.cli.exit_statuses import INTERRUPTED, MISTAKE, status_of
from orchestra.cli.output import Output, print_error
from orchestra.cli.registry import WORDS, Verb, Word, find_word, resolve
from orchestra.domain.errors import BadInput, OrchestraError
from orchestra.domain.nearest import nearest

_BROKEN_PIPE = 128 + 13
_MACHINE_TROUBLES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
)
_BUG = 70  # EX_SOFTWARE of sysexits.h


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit status: 0, 2 for a mistake, 130 for Ctrl-C."""
    arguments = sys.argv[1:] if argv is None else argv
    startup.prepare()
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except OrchestraError as error:
        _flush_stdout()
        print_error(error)
        return status_of(error)
    except KeyboardInterrupt:
        print("\nstopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _give_up_stdout()
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return _unexpected(error, arguments)
    finally:
        # CPython before 3.14 remembers an interrupt during exec(), which dataclasses use when they are defined, and
        # dies of the signal although the interrupt was handled. Another exec() makes it forget.
        exec("")  # noqa: S102


def _unexpected(error: Exception, arguments: list[str]) -> int:
    if isinstance(error, OSError) and error.errno in _MACHINE_TROUBLES:
        _give_up_stdout()
        where = f" for {error.filename}" if error.filename else ""
        print_error(OrchestraError(f"the operating system reports{where}: {error.strerror}."))
        return MISTAKE
    if gone := startup.folder_is_gone(error):
        print_error(gone)
        return status_of(gone)
    from orchestra.cli.crash import report

    report(error, arguments)
    return _BUG


def _give_up_stdout() -> None:
    """Replace stdout, which Python flushes once more at exit, by the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_stdout()


def _run(arguments: list[str]) -> int:
    leading, rest = _leading(arguments)
    if rest[:1] == ["help"]:
        rest = [*rest[1:], "--help"] if rest[1:] else []
    if not rest:
        return _without_command(leading)
    word = find_word(rest[0])
    if word and word.is_noun and (len(rest) == 1 or rest[1] in ("-h", "--help")):
        print(_noun_help(word, rest[0]))
        return 0 if len(rest) > 1 else 2
    _word, verb, command = resolve(rest)
    after = rest[len(command.split()) :]
    return _call(verb, command, leading, after)


def _leading(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split off the options before the first word, such as --config FILE."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] == "--config" else 1
    return arguments[:at], arguments[at:]


def _without_command(leading: list[str]) -> int:
    known = {"-h", "--help", "-V", "--version"}
    if "--version" in leading or "-V" in leading:
        from orchestra.cli.version import in_words
        from orchestra.wiring.versions import versions

        print(in_words(versions()))
        return 0
    if "--config" in leading:
        raise BadInput("--config needs a file, followed by a command.")
    if wrong := [word for word in leading if word.startswith("-") and word not in known]:
        guess = nearest(wrong[0], known | {"--config"})
        meant = f" Did you mean {guess}?" if guess else ""
        raise BadInput(
            f"maestro has no option {wrong[0]}.{meant}", hint="maestro --help shows the commands."
        )
    print(_short_help())
    return 0


def _call(verb: Verb, command: str, leading: list[str], arguments: list[str]) -> int:
    from orchestra.cli.command_parser import before, make_parser
    from orchestra.cli.context import Context

    try:
        parser = make_parser(verb, command)
        args = parser.parse(before(parser, leading) + arguments)
    except SystemExit as leaving:  # argparse has printed the help
        return leaving.code if isinstance(leaving.code, int) else 0
    form, quiet = getattr(args, "output", "table"), getattr(args, "quiet", False)
    out = Output(form=form if verb.output else "table", quiet=bool(quiet) and verb.output)
    return verb.run(Context(args, command, out)) or 0


def _short_help() -> str:
    import shutil

    from orchestra.cli import help_text

    width = shutil.get_terminal_size().columns
    shorts, nouns = (
        help_text.columns(
            [(f"maestro {w.name}", w.help) for w in WORDS if w.is_noun is noun and not w.is_rare],
            width,
        )
        for noun in (False, True)
    )
    return "\n\n".join(
        (
            help_text.folded(
                "Orchestra runs one command over many configuration files.",
                width,
            ),
            shorts,
            nouns,
            help_text.folded(
                "maestro NOUN lists its commands; maestro NOUN VERB --help shows the options.\n\n"
                "Exit status: 0 success, 1 a negative result, 2 a mistake, 130 Ctrl-C.",
                width,
            ),
        )
    )


def _noun_help(word: Word, typed: str) -> str:
    import shutil

    from orchestra.cli import help_text

    width = shutil.get_terminal_size().columns
    verbs = [(f"maestro {typed} {verb.name}", verb.help) for verb in word.verbs()]
    return "\n\n".join(
        (
            help_text.folded(f"maestro {typed}: {word.help}", width),
            help_text.columns(verbs, width),
            help_text.folded("Use --help with a command to see its options and an example.", width),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
