"""The runtimes' face: how a job's command becomes the argument list of one process.

A runtime turns values into values. It starts nothing, opens nothing and touches no volume; the keeper starts what it
gives. Adding one is one module with one class; `found.py` looks for them on a machine, `cache.py` makes images ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Protocol

from orchestra.domain.binds import Bind

__all__ = ["Bind", "Runtime", "RuntimeJob", "choose"]


@dataclass(frozen=True, slots=True)
class RuntimeJob:
    """One attempt, ready to be started.

    Args:
        command: what the shell is to run, tags rendered.
        folder: the working directory, an absolute path that exists when the process starts.
        environment: all of the job's variables (environment.py).
        host: the pilot's environment, of which a container's runtime is given what it needs itself.
        binds: what the job reads and writes: its folder, its inputs, what the task and the node name.
        gpus: the devices that it was given, index or UUID; empty on the cpu queue.
        image: as the user gave it, or as `cache.py` made it ready; None runs on the machine itself.
        label: names the attempt for people, `3/17/1`.
        token: names it for finding its container again.
        memory: bytes that it may use, where its runtime is what limits it.
    """

    command: str
    folder: PurePosixPath
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    host: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    binds: tuple[Bind, ...] = ()
    gpus: tuple[str, ...] = ()
    image: str | None = None
    label: str = ""
    token: str = ""
    memory: int | None = None


class Runtime(Protocol):
    """A way to run commands."""

    @property
    def name(self) -> str:
        """What people read: `bare`, `apptainer`, ..."""
        ...

    @property
    def version(self) -> str:
        """Its version; nothing where it has none."""
        ...

    @property
    def limits_memory(self) -> bool:
        """Whether it limits a job's memory itself, because its containers are not the keeper's own processes."""
        ...

    def supports(self, image: str | None) -> bool:
        """Whether it runs jobs of such an image (None: of no image). Says nothing of whether the image exists."""
        ...

    def argv(self, job: RuntimeJob) -> tuple[str, ...]:
        """The argument list to start as the leader of a new session; argv[0] is an absolute path.

        Promised: the command runs in `job.folder` with the text that the user typed, byte for byte and with its
        line numbers, under bash where there is one, else sh; the process's exit status and signal are the
        command's (128 and the signal's number from a container); what it prints goes to the descriptors that it was
        started with; TERM to the processes of its session and below reaches the command. A folder that cannot be
        entered ends it with exit status 126 and a message, before any of the command has run. What could outlive it is
        found by its token: in its processes' environments, or by `sweep`.

        Pure: the same values give the same list.

        Raises:
            ValueError: an image that it does not support, or a folder that is not absolute.
            BadInput: a path that it cannot take.
        """
        ...

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        """The variables to start `argv` with; the job sees exactly its own (and its image's)."""
        ...

    def sweep(self, token: str, /) -> tuple[str, ...] | None:
        """The argument list that prints the containers of an attempt; None where it leaves none.

        Those are ended by `remove`. Only for attempts that did not end by themselves, whose runtime cleans up.
        """
        ...

    def remove(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        """The argument list that ends containers and removes them."""
        ...


def choose(runtimes: tuple[Runtime, ...], image: str | None) -> Runtime | None:
    """The first runtime that supports the image; None when a job of it has to wait for another node."""
    return next((runtime for runtime in runtimes if runtime.supports(image)), None)
