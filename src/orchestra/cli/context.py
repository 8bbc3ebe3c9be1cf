"""What a command is given: its arguments, the configuration, the interface and the output."""

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
    """One run of a command. `command` is what was typed: "task list"."""

    args: argparse.Namespace
    command: str = ""
    out: Output = field(default_factory=Output)

    @cached_property
    def settings(self) -> Settings:
        """The configuration, read at first use; its warnings go to stderr.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        from orchestra.wiring.settings import load_settings

        settings = load_settings(getattr(self.args, "configuration", None))
        for warning in settings.warnings:
            self.out.note(f"warning: {warning}")
        return settings

    @cached_property
    def names(self) -> ShortNames:
        """The short names that the current user can use for their own tasks and data sets."""
        from orchestra.domain.short_names import ShortNames
        from orchestra.wiring.interface import my_name

        return ShortNames(my_name(self.settings))

    @contextmanager
    def interface(self) -> Iterator[Interface]:
        """Open what carries out the user's requests.

        Raises:
            DatabaseUnavailable: the database cannot be reached, or the connection was lost.
            SchemaMismatch: this program does not support its schema.
        """
        from orchestra.wiring.interface import open_interface

        with closing(open_interface(self.settings, say=self.out.note)) as found:
            yield found
