"""What a command gets: its arguments, the configuration, the database, the way to print."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from orchestra.cli.output import Output

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.domain.short_names import ShortNames
    from orchestra.interface.operation import Interface


@dataclass
class Context:
    """One run of one command. `command` is what was typed: "task list"."""

    args: argparse.Namespace
    command: str = ""
    out: Output = field(default_factory=Output)

    @cached_property
    def settings(self) -> Settings:
        """The configuration, read at first use; its warnings go to stderr.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        from orchestra.config import load
        from orchestra.wiring.database import use_programs

        settings = load(getattr(self.args, "configuration", None))
        use_programs(settings)
        for warning in settings.warnings:
            self.out.note(f"warning: {warning}")
        return settings

    @cached_property
    def names(self) -> ShortNames:
        """What the current user may leave out of the names of what is theirs."""
        from orchestra.domain.short_names import ShortNames
        from orchestra.wiring.identity import user_name

        return ShortNames(user_name(self.settings))

    @contextmanager
    def interface(self) -> Iterator[Interface]:
        """Give what carries out the user's requests, for the length of the block.

        Raises:
            DatabaseUnavailable: the database cannot be reached, or went away meanwhile.
            SchemaMismatch: its schema and this program do not fit.
        """
        from orchestra.wiring.interface import open_interface

        with closing(open_interface(self.settings, say=self.out.note)) as found:
            yield found
