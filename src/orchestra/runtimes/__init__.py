"""Runtimes: how a job's command becomes the argument list of one process, with or without a container.

A runtime is a pure function: it starts nothing, opens nothing and accesses no volume; the keeper starts the process. A
new one is a module with one class. `discovery.py` finds the runtimes of a machine, `images/` prepares images.
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
    """An attempt that is to be started.

    Args:
        command: for the shell, with tags rendered.
        folder: the working directory, an absolute path that exists when the process starts.
        environment: all of the job's variables (environment.py).
        host: the pilot's environment, of which a container runtime gets what it needs itself.
        binds: what the job can access: its folder, its inputs, and the binds of the task and the node.
        gpus: its devices, by index or UUID; empty on the cpu queue.
        image: as the user has named it, or as prepared by `images/`; None runs without a container.
        label: the attempt's address for people, `3/17/1`.
        token: identifies its container.
        memory: its limit in bytes, if the runtime enforces it.
        nice: what is added to its niceness, where the processes are not descendants of the one that is started.
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
    nice: int = 0


class Runtime(Protocol):
    """A way to run commands."""

    @property
    def name(self) -> str:
        """Its name for people: `bare`, `apptainer`, ..."""
        ...

    @property
    def version(self) -> str:
        """Its version, or an empty string."""
        ...

    @property
    def limits_memory(self) -> bool:
        """Whether it limits a job's memory itself, because the keeper is not the parent of its containers."""
        ...

    def supports(self, image: str | None) -> bool:
        """Whether it can run jobs with such an image (None: without one). The image need not exist."""
        ...

    def argv(self, job: RuntimeJob) -> tuple[str, ...]:
        """Return the argument list to start as the leader of a new session; argv[0] is an absolute path.

        Guarantees: the command runs in `job.folder` with the text that the user has typed, byte for byte and with its
        line numbers, in bash if there is one, else in sh. The process's exit status and signal are the command's (128
        plus the signal's number from a container). Its output goes to the descriptors that it was started with. TERM to
        the processes of its session and their descendants reaches the command. If the folder cannot be entered, it ends
        with exit status 126 and a message, before any of the command has run. Whatever could outlive it can be found by
        its token: in its processes' environments, or by `list_containers`.

        Raises:
            ValueError: the image is not supported, or the folder is not absolute.
            BadInput: the runtime does not support a path.
        """
        ...

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        """Return the environment to start `argv` with. The job sees its own variables only, and its image's."""
        ...

    def list_containers(self, token: str, /) -> tuple[str, ...] | None:
        """Return the argument list that prints the ids of an attempt's containers; None if it can leave none.

        Only for attempts that have not ended by themselves: after those the runtime cleans up.
        """
        ...

    def remove_containers(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        """Return the argument list that ends and removes containers."""
        ...


def choose(runtimes: tuple[Runtime, ...], image: str | None) -> Runtime | None:
    """Return the first runtime that supports the image; None if the job has to wait for another node."""
    return next((runtime for runtime in runtimes if runtime.supports(image)), None)
