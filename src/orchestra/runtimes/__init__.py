"""The runtimes' face: how a job's command becomes the argument list of one process.

A runtime turns values into values. It starts nothing, opens nothing and touches no volume; the keeper starts what it
gives. Adding one (apptainer, podman, docker) is one module with one class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bind:
    """A path of the machine that must be seen under the same name, or as `target`, in a container."""

    source: PurePosixPath
    target: PurePosixPath | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeJob:
    """One attempt, ready to be started.

    Args:
        command: what the shell is to run, tags rendered.
        folder: the working directory, an absolute path that exists when the process starts.
        environment: all of the job's variables (environment.py). The process is started with exactly these;
            a container runtime hands them on inside.
        binds: what the job reads and writes: its folder, its inputs, the volume.
        gpus: the devices that it was given, index or UUID; empty on the cpu queue.
        image: as the user gave it; None runs on the machine itself.
        label: names the attempt for people and for finding a container again, `3/17/1`.
    """

    command: str
    folder: PurePosixPath
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    binds: tuple[Bind, ...] = ()
    gpus: tuple[str, ...] = ()
    image: str | None = None
    label: str = ""


class Runtime(Protocol):
    """A way to run commands."""

    @property
    def name(self) -> str:
        """What nodes report and people read: `bare`, `apptainer`, ..."""
        ...

    def supports(self, image: str | None) -> bool:
        """Whether it runs jobs of such an image (None: of no image). Says nothing of whether the image exists."""
        ...

    def argv(self, job: RuntimeJob) -> tuple[str, ...]:
        """The argument list to start as the leader of a new session; argv[0] is an absolute path.

        Promised: the command runs in `job.folder` with the text that the user typed, byte for byte and with its
        line numbers, under bash where there is one, else sh; the process's exit status and signal are the
        command's; what it prints goes to the descriptors that it was started with; TERM to its session reaches the
        command. A folder that cannot be entered ends it with exit status 126 and a message, before any of the
        command has run. No process stays between the keeper and the command's shell that could outlive them.

        Pure: the same values give the same list.

        Raises:
            ValueError: an image that it does not support, or a folder that is not absolute.
        """
        ...


def choose(runtimes: tuple[Runtime, ...], image: str | None) -> Runtime | None:
    """The first runtime that supports the image; None when a job of it has to wait for another node."""
    return next((runtime for runtime in runtimes if runtime.supports(image)), None)
