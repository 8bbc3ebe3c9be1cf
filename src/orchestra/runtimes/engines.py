"""Podman and Docker: images of registries in a storage of their own, and containers that are found by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from orchestra.domain import images
from orchestra.domain.binds import Bind
from orchestra.domain.images import Kind
from orchestra.runtimes import RuntimeJob, inside

LABEL = "orchestra"
TOKEN_LABEL = "orchestra-token"  # noqa: S105 - the name of it
# What the programs themselves need; containers see nothing of it.
_ITS_OWN = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS", "REGISTRY_AUTH_FILE")  # fmt: skip
_ITS_OWN_PREFIXES = ("CONTAINERS_", "CONTAINER_", "PODMAN_", "DOCKER_", "BUILDAH_", "XDG_")
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the machine's, as they are without a container


@dataclass(frozen=True, slots=True)
class EngineRuntime:
    """Runs jobs with `program run`, in the foreground.

    Args:
        program: absolute path.
        user: the uid and gid of jobs, as they are seen inside.
        keep_id: the podman of an ordinary user is to show that user inside, and not root.
        limits_memory: it may make cgroups with a limit.
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
        as_init = podman  # docker brings an init, which hands TERM on; podman's has to be installed beside it
        return (
            *_IN_FOLDER,
            str(job.folder),
            self.program,
            *(_QUIET if podman else []),
            "run",
            *_SAME_EVERYWHERE,
            *(_PODMAN if podman else _DOCKER),
            *(["--userns=keep-id"] if self.keep_id else []),
            f"--user={self.user[0]}:{self.user[1]}",
            f"--label={LABEL}={job.label}",
            f"--label={TOKEN_LABEL}={job.token}",
            *self._memory(job),
            *self._gpus(job),
            *(f"--mount={_mount(bind)}" for bind in (*_shared(job), *job.binds)),
            *(f"--env={name}" for name in sorted(self._inside(job))),
            *self._image(job.image),
            *inside.arguments(
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
            if name in _ITS_OWN or name.startswith(_ITS_OWN_PREFIXES)
        }
        return own | inside.variables(job.environment)

    def _inside(self, job: RuntimeJob) -> Mapping[str, str]:
        # By name alone: their values stay out of the argument list. The keeper sets the token.
        return inside.variables(job.environment) | {inside.TOKEN: job.token}

    def _memory(self, job: RuntimeJob) -> list[str]:
        if job.memory is None or not self.limits_memory:
            return []
        return [f"--memory={job.memory}", f"--memory-swap={job.memory}"]

    def _gpus(self, job: RuntimeJob) -> list[str]:
        # All of them: CUDA_VISIBLE_DEVICES says which, as it does without a container.
        if not job.gpus:
            return []
        return ["--device=nvidia.com/gpu=all"] if self.name == "podman" else ["--gpus=all"]

    def _image(self, image: str) -> tuple[str, ...]:
        entry = f"--entrypoint={inside.SHELL}"
        if not _is_id(image) and images.kind_of(image) is Kind.FOLDER:
            # The entry point is not used with a folder: its program is the first argument.
            return ("--rootfs", image.rstrip("/"), inside.SHELL)
        name = image if _is_id(image) else images.address(image).removeprefix("docker://")
        return (entry, name)

    def sweep(self, token: str, /) -> tuple[str, ...]:
        return (
            self.program, "ps", "--all", "--quiet", "--no-trunc", f"--filter=label={TOKEN_LABEL}={token}",
        )  # fmt: skip

    def remove(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        at_once = ["--time=0"] if self.name == "podman" else []
        return (self.program, "rm", "--force", *at_once, *containers)

    def fetch(self, address: str) -> tuple[str, ...]:
        """The argument list that brings an image into the storage."""
        if self.name == "docker":
            return (self.program, "pull", address.removeprefix("docker://"))
        return (self.program, "pull", address)

    def trial(self, image: str) -> tuple[str, ...]:
        """The argument list that shows whether an image can be run at all."""
        ways = _PODMAN if self.name == "podman" else _DOCKER
        return (
            self.program, "run", *_SAME_EVERYWHERE, *ways, *(["--userns=keep-id"] if self.keep_id else []),
            f"--user={self.user[0]}:{self.user[1]}", *self._image(image), "-c", "exit 0",
        )  # fmt: skip

    def look(self, image: str) -> tuple[str, ...]:
        """The argument list that prints an image's id, its digest and its size in bytes, a line each."""
        # An image that was built here has none of a registry.
        of_registry = "{{with .RepoDigests}}{{index . 0}}{{end}}"
        digest = "{{.Digest}}" if self.name == "podman" else of_registry
        name = image.removeprefix("docker://")
        form = "{{.Id}}\n" + digest + "\n{{.Size}}"
        return (self.program, "image", "inspect", f"--format={form}", name)


# By its working directory the keeper knows podman's conmon, the parent of the container's processes, for the job's: it
# has a session, descriptors and an environment of its own.
_IN_FOLDER = ("/bin/sh", "-c", 'cd -- "$0" || exit 126; exec "$@"')
_SAME_EVERYWHERE = (
    "--rm",
    "--pull=never",
    "--network=host",
    "--read-only",
    "--security-opt=label=disable",
    "--workdir=/",
)
# What it has to say of itself is not for the job's log; why it did not begin a container is still said.
_QUIET = ("--log-level=fatal",)
_PODMAN = ("--log-driver=passthrough", "--http-proxy=false")
_DOCKER = ("--log-driver=none", "--init")


def _is_id(image: str) -> bool:
    return image.startswith("sha256:")


def _shared(job: RuntimeJob) -> list[Bind]:
    seen = {str(bind.seen_as) for bind in job.binds}
    return [Bind(PurePosixPath(path)) for path in _SHARED if path not in seen]


def _mount(bind: Bind) -> str:
    source = inside.csv_field("src", str(bind.source))
    target = inside.csv_field("dst", str(bind.seen_as))
    return ",".join(["type=bind", source, target, *(["readonly"] if bind.read_only else [])])
