"""What a pilot starts jobs with."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra.domain.models.work import AttemptKey
from orchestra.domain.troubles import Trouble
from orchestra.pilot.inputs import InputChecker
from orchestra.pilot.io_activity import IOActivity
from orchestra.pilot.scratch import Scratch
from orchestra.runtimes import Bind, Runtime
from orchestra.runtimes.images.cache import ImageCache
from orchestra.runtimes.images.prepared import Prepared

SILENT_AFTER = 10.0
"""Seconds after which a file system that has not answered is reported as silent."""


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """What it takes to turn a grant into a process. I/O threads read it.

    Args:
        environment: what jobs inherit.
        stall_after: seconds after which a start that waits for a file system loses its slots.
        log_limit: bytes beyond which a log is cut; 0 for never.
        binds: what every container of this node sees of it.
        prepared: the images that are ready on this node.
        silent: the container engines that do not answer, by name; I/O threads add to it.
        scratch: lends each attempt a folder on the node's own disk.
        suspects: attempts of which a container may still appear, each with its runtime; I/O threads add to it.
    """

    runtimes: tuple[Runtime, ...]
    environment: Mapping[str, str]
    inputs: InputChecker
    stall_after: float = 30.0
    log_limit: int = 0
    binds: tuple[Bind, ...] = ()
    cache: ImageCache | None = None
    scratch: Scratch | None = None
    prepared: dict[str, Prepared] = field(default_factory=dict)
    silent: dict[str, Trouble] = field(default_factory=dict)
    suspects: deque[tuple[str, AttemptKey]] = field(default_factory=deque)
    io_activity: IOActivity = field(default_factory=IOActivity)

    @property
    def silent_after(self) -> float:
        """Seconds after which a file system that has not answered is reported as silent."""
        return min(SILENT_AFTER, self.stall_after)

    def runtime(self, name: str | None) -> Runtime | None:
        """Return the runtime of that name."""
        return next((runtime for runtime in self.runtimes if runtime.name == name), None)

    def lend_scratch(self) -> str | None:
        """Return an empty folder on the node's own disk.

        Raises:
            NoScratch: there is none.
        """
        return self.scratch.lend() if self.scratch else None

    def take_back(self, scratch: str | None) -> None:
        """Take back the scratch folder of an attempt that has no process, if it had one."""
        if self.scratch and scratch:
            self.scratch.take_back(scratch)
