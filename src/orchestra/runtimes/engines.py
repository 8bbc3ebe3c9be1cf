"""Podman and Docker: images in a storage of their own, and containers that are found by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from orchestra.domain import images
from orchestra.domain.binds import Bind
from orchestra.domain.images import Kind
from orchestra.runtimes import RuntimeJob, entry_script

LABEL = "orchestra"
TOKEN_LABEL = "orchestra-token"  # noqa: S105 - a name
# Variables that the programs themselves need. They are not passed to containers.
_OWN_VARIABLES = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS", "REGISTRY_AUTH_FILE",
)  # fmt: skip
_OWN_PREFIXES = ("CONTAINERS_", "CONTAINER_", "PODMAN_", "DOCKER_", "BUILDAH_", "XDG_")
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - as without a container


@dataclass(frozen=True, slots=True)
class EngineRuntime:
    """Runs jobs with `program run`, in the foreground.

    Args:
        program: absolute path.
        user: the uid and gid of jobs inside the container.
        keep_id: an ordinary user's podman keeps that user's id inside, instead of root.
        limits_memory: it can create cgroups with a limit.
    """

    program: str
    name: Literal["podman", "docker"] = "podman"
    version: str = ""
    user: tuple[int, int] = (0, 0)
    keep_id: bool = False
    limits_memory: bool = True

    def supports(self, image: str | None) -> bool:
        return image is not None and (_is_id(image) or images.runs(self.name, image))

    def argv(self, job: RuntimeJob) -> tuple[str, ...]:
        if job.image is None or not self.supports(job.image):
            raise ValueError(f"{self.name} cannot run the image {job.image!r}")
        if not job.folder.is_absolute():
            raise ValueError(f"the folder {str(job.folder)!r} is not absolute")
        podman = self.name == "podman"
        as_init = (
            podman  # docker has an init, which forwards TERM; podman's must be installed separately
        )
        return (
            *_IN_FOLDER,
            str(job.folder),
            self.program,
            *(_QUIET if podman else []),
            "run",
            *_OPTIONS,
            *(_PODMAN_OPTIONS if podman else _DOCKER_OPTIONS),
            *(["--userns=keep-id"] if self.keep_id else []),
            f"--user={self.user[0]}:{self.user[1]}",
            f"--label={LABEL}={job.label}",
            f"--label={TOKEN_LABEL}={job.token}",
            *self._memory(job),
            *self._cpu_shares(job),
            *self._gpus(job),
            *(f"--mount={_mount(bind)}" for bind in (*_shared(job), *job.binds)),
            *(f"--env={name}" for name in sorted(self._inside(job))),
            *self._image(job.image),
            *entry_script.arguments(
                job.environment,
                str(job.folder),
                job.command,
                as_init=as_init,
                one_stream=not podman,
            ),
        )

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        own = {
            name: value
            for name, value in job.host.items()
            if name in _OWN_VARIABLES or name.startswith(_OWN_PREFIXES)
        }
        return own | entry_script.variables(job.environment)

    def _inside(self, job: RuntimeJob) -> Mapping[str, str]:
        # By name only, to keep the values out of the argument list. The keeper sets the token.
        return entry_script.variables(job.environment) | {entry_script.TOKEN: job.token}

    def _memory(self, job: RuntimeJob) -> list[str]:
        if job.memory is None or not self.limits_memory:
            return []
        return [f"--memory={job.memory}", f"--memory-swap={job.memory}"]

    def _cpu_shares(self, job: RuntimeJob) -> list[str]:
        # Docker's containers are children of its daemon. A step of niceness is a factor of 1.25, sched(7).
        if self.name == "podman" or not job.nice:
            return []
        return [f"--cpu-shares={round(1024 / 1.25**job.nice)}"]

    def _gpus(self, job: RuntimeJob) -> list[str]:
        # All devices: CUDA_VISIBLE_DEVICES selects, as without a container.
        if not job.gpus:
            return []
        return ["--device=nvidia.com/gpu=all"] if self.name == "podman" else ["--gpus=all"]

    def _image(self, image: str) -> tuple[str, ...]:
        entry = f"--entrypoint={entry_script.SHELL}"
        if not _is_id(image) and images.kind_of(image) is Kind.FOLDER:
            # With a folder, the program is the first argument instead of the entry point.
            return ("--rootfs", image.rstrip("/"), entry_script.SHELL)
        name = image if _is_id(image) else images.address(image).removeprefix("docker://")
        return (entry, name)

    def list_containers(self, token: str, /) -> tuple[str, ...]:
        return (
            self.program, "ps", "--all", "--quiet", "--no-trunc", f"--filter=label={TOKEN_LABEL}={token}",
        )  # fmt: skip

    def remove_containers(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        at_once = ["--time=0"] if self.name == "podman" else []
        return (self.program, "rm", "--force", *at_once, *containers)

    def fetch(self, address: str) -> tuple[str, ...]:
        """Return the argument list that fetches an image into the storage."""
        if self.name == "docker":
            return (self.program, "pull", address.removeprefix("docker://"))
        return (self.program, "pull", address)

    def trial(self, image: str) -> tuple[str, ...]:
        """Return the argument list that tries whether an image can be run."""
        options = _PODMAN_OPTIONS if self.name == "podman" else _DOCKER_OPTIONS
        return (
            self.program, "run", *_OPTIONS, *options, *(["--userns=keep-id"] if self.keep_id else []),
            f"--user={self.user[0]}:{self.user[1]}", *self._image(image), "-c", "exit 0",
        )  # fmt: skip

    def inspect(self, image: str) -> tuple[str, ...]:
        """Return the argument list that prints an image's id, digest and size in bytes, each in a line."""
        # An image that was built here has no digest of a registry.
        of_registry = "{{with .RepoDigests}}{{index . 0}}{{end}}"
        digest = "{{.Digest}}" if self.name == "podman" else of_registry
        name = image.removeprefix("docker://")
        form = "{{.Id}}\n" + digest + "\n{{.Size}}"
        return (self.program, "image", "inspect", f"--format={form}", name)


# The keeper recognises podman's conmon, the parent of the container's processes, by its working directory only: it has
# a session, descriptors and an environment of its own.
_IN_FOLDER = ("/bin/sh", "-c", 'cd -- "$0" || exit 126; exec "$@"')
_OPTIONS = (
    "--rm",
    "--pull=never",
    "--network=host",
    "--read-only",
    "--security-opt=label=disable",
    "--workdir=/",
)
# Keeps warnings out of the job's log, but not the reason why a container cannot be started.
_QUIET = ("--log-level=fatal",)
_PODMAN_OPTIONS = ("--log-driver=passthrough", "--http-proxy=false")
_DOCKER_OPTIONS = ("--log-driver=none", "--init")


def _is_id(image: str) -> bool:
    return image.startswith("sha256:")


def _shared(job: RuntimeJob) -> list[Bind]:
    seen = {str(bind.seen_as) for bind in job.binds}
    return [Bind(PurePosixPath(path)) for path in _SHARED if path not in seen]


def _mount(bind: Bind) -> str:
    source = entry_script.csv_field("src", str(bind.source))
    target = entry_script.csv_field("dst", str(bind.seen_as))
    return ",".join(["type=bind", source, target, *(["readonly"] if bind.read_only else [])])
