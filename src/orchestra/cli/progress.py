"""A progress line on stderr; silent when that is not a terminal."""

from __future__ import annotations

import shutil
import sys
import time

from orchestra.cli.colour import can_draw
from orchestra.cli.table import cut
from orchestra.cli.terminal import CLEAR_LINE
from orchestra.domain.escaping import escaped
from orchestra.domain.progress import bar

_BAR = 20


class Progress:
    """One line on a terminal, rewritten at most ten times a second and cleared at the end."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.count = 0
        self._shown = 0.0
        self._live = can_draw(sys.stderr)

    def __enter__(self) -> Progress:
        self._show(force=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)

    def advance(self, by: int = 1) -> None:
        """Count `by` more as done."""
        self.count += by
        self._show()

    def set(self, count: int, label: str | None = None) -> None:
        """Set how many are done in total, and the label if it changes."""
        self.count, self.label = count, label or self.label
        self._show()

    def _show(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not self._live or (now - self._shown < 0.1 and not force):
            return
        self._shown = now
        of = f" of {self.total}" if self.total is not None else ""
        line = f" [{bar(self.count, self.total, _BAR)}]" if self.total else ""
        counts = f" {self.count}{of} {self.unit}".rstrip() if self.count or self.total else ""
        text = cut(f"{escaped(self.label)}{line}{counts}", shutil.get_terminal_size().columns - 1)
        print(f"{CLEAR_LINE}{text}", end="", file=sys.stderr, flush=True)
