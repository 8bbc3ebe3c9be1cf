"""argparse with one-sentence errors, suggestions for mistyped words and coloured help."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from orchestra.cli.colour import coloured
from orchestra.cli.terminal import ESC
from orchestra.domain.errors import BadInput
from orchestra.domain.nearest import nearest

# The messages of argparse and ours. The first group holds the names of the option.
_SENTENCES = (
    (r"the following arguments are required: ([^,]+)", r"\1 is missing."),
    (r"the following arguments are required: (.+)", r"\1 are missing."),
    (r"one of the arguments (.+) is required", r"one of \1 is needed."),
    (r"argument (.+): expected one argument", r"\1 needs a value."),
    (r"argument (.+): expected at least one argument", r"\1 needs at least one value."),
    (r"argument (.+): expected (\d+) arguments", r"\1 needs \2 values."),
    (r"argument (.+): invalid whole value: '(.*)'", r'\1 needs a whole number, not "\2".'),
    (r"argument (.+): invalid float value: '(.*)'", r'\1 needs a number, not "\2".'),
    (r"argument (.+): ignored explicit argument '(.*)'", r'\1 takes no value, but got "\2".'),
    (r"argument (.+): not allowed with argument (.+)", r"\1 and \2 cannot go together."),
    (r"ambiguous option: (.+) could match (.+)", r"\1 could mean any of \2."),
    (r"argument (.+?): (.+)", r"\1: \2"),
)


_TAG = re.compile(r"(?:-[\w-]+=)?%[A-Z]{2}[A-Z0-9_]*")


class Parser(argparse.ArgumentParser):
    """The parser of one command. It raises mistakes as `BadInput` and prints nothing.

    rich is imported only for help: argparse itself makes a formatter for every argument.
    """

    takes_dash: frozenset[str] = frozenset()
    """Options whose value may begin with a dash, which argparse reads as an option."""
    takes_command: str | None = None
    """The option whose value is a command: it contains spaces, dashes and tags such as %IN, and needs quotes."""
    intermixed: bool = False
    """Whether options may stand between words of one list, as in `run train.py --retries 2 configs/`."""
    _typed: Sequence[str] = ()

    def format_help(self) -> str:
        """Return the help, folded for the terminal and in colour where colour is used."""
        import shutil

        from orchestra.cli import help_text

        width = shutil.get_terminal_size().columns - 2  # argparse leaves two columns free as well
        self.formatter_class = help_text.formatter(coloured=coloured(sys.stdout))
        self.description = self.description and help_text.folded(self.description, width)
        self.epilog = self.epilog and help_text.folded(self.epilog, width)
        usage = self.usage
        try:
            # Set while `intermixed` words are parsed: already formatted, but formatted once more.
            self.usage = usage and usage.replace("%", "%%")
            return super().format_help().replace("\x1b", ESC)  # rich's colours
        finally:
            self.usage = usage

    def error(self, message: str) -> NoReturn:
        """Raise a message of argparse as one sentence; a mistyped option explains a missing one."""
        if "required" in message and (unknown := self._first_unknown()):
            raise self._unknown(unknown)
        raise BadInput(
            _sentence(message), hint=f"{self.prog} --help shows the options and an example."
        )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = "/".join(action.option_strings) or action.dest
        words = [str(choice) for choice in action.choices]
        guess = nearest(str(value), words)
        raise BadInput(
            f'{names} cannot be "{value}".' + (f' Did you mean "{guess}"?' if guess else ""),
            hint=f"Possible: {', '.join(words)}.",
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse all of the arguments.

        Raises:
            BadInput: one of them cannot be used.
        """
        self._typed = arguments
        self._refuse_loose_command(arguments)
        parse = self.parse_known_intermixed_args if self.intermixed else self.parse_known_args
        namespace, rest = parse(self._joined(arguments))
        if rest:
            raise self._unknown(rest[0])
        return namespace

    def _refuse_loose_command(self, arguments: Sequence[str]) -> None:
        """Refuse a command without quotes, whose -d and -c would be read as options of `task create`."""
        option = self.takes_command
        if option not in arguments:
            return
        words = arguments[arguments.index(option) + 1 :]
        last = max((i for i, word in enumerate(words) if _TAG.fullmatch(word)), default=0)
        if last > 0:
            raise BadInput(
                f"{option} takes the whole command as one argument: put quotes around it.",
                hint=f'{option} "{" ".join(words[: last + 1])}"',
            )

    def _joined(self, arguments: Sequence[str]) -> list[str]:
        """Join `--sort -accuracy` to `--sort=-accuracy` for the options of `takes_dash`."""
        known, joined = self._option_names(), list[str]()
        for word in arguments:
            if joined and joined[-1] in self.takes_dash and word[:1] == "-" and word not in known:
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return joined

    def _option_names(self) -> list[str]:
        return [name for action in self._actions for name in action.option_strings]

    def _first_unknown(self) -> str | None:
        known = self._option_names()
        options = [word.partition("=")[0] for word in self._typed if re.match("--?[A-Za-z]", word)]
        return next((o for o in options if not any(name.startswith(o) for name in known)), None)

    def _unknown(self, word: str) -> BadInput:
        if not word.startswith("-"):
            return BadInput(
                f'{self.prog} takes no argument "{word}".',
                hint="Put quotes around a value with spaces.",
            )
        option, known = word.partition("=")[0], self._option_names()
        guess = "-o json" if option == "--json" and "-o" in known else nearest(option, known)
        return BadInput(
            f"{self.prog} has no option {option}." + (f" Did you mean {guess}?" if guess else ""),
            hint=None if guess else f"{self.prog} --help lists the options.",
        )


def _sentence(message: str) -> str:
    for pattern, words in _SENTENCES:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            return match.expand(words)
    return message
