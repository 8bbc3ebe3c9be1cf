"""Apptainer and Singularity: SIF files, folders, and what they fetch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.domain import images
from orchestra.domain.binds import Bind
from orchestra.domain.errors import BadInput
from orchestra.runtimes import RuntimeJob, inside

# What the program itself needs, and may then be seen by the job unless its shell forgets it.
_ITS_OWN = ("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "TMPDIR")
_SETTINGS = ("CACHEDIR", "TMPDIR", "CONFIGDIR")
_SHOWN_BY_IT = ("USER_PATH", "PROMPT_COMMAND", "PS1")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PULLED = ("docker", "oras", "library", "shub", "http", "https")


@dataclass(frozen=True, slots=True)
class ApptainerRuntime:
    """Runs jobs with `program exec`, each in process numbers of its own, so that nothing outlives its first process.

    Args:
        program: absolute path.
        takes_mounts: it knows `--mount`, which takes any path; else `--bind`, which takes none with a colon or comma.
        gpu_option: what lets a job see GPUs.
        unsquash: this account can mount no SIF. One that is not unpacked before (cache.py) is for each job.
    """

    program: str
    name: str = "apptainer"
    version: str = ""
    takes_mounts: bool = True
    gpu_option: str = "--nv"
    unsquash: bool = False
    limits_memory: bool = False

    def supports(self, image: str | None) -> bool:
        return image is not None and images.runs(self.name, image)

    def argv(self, job: RuntimeJob) -> tuple[str, ...]:
        if job.image is None or not self.supports(job.image):
            raise ValueError(f"{self.name} cannot run the image {job.image!r}")
        if not job.folder.is_absolute():
            raise ValueError(f"the folder {str(job.folder)!r} is not absolute")
        return (
            self.program,
            "--quiet",
            "exec",
            "--pid",
            "--no-home",
            *([self.gpu_option] if job.gpus else []),
            *self._how(job.image),
            *(word for bind in job.binds for word in self._bind(bind)),
            job.image.rstrip("/") or "/",
            inside.SHELL,
            *inside.arguments(
                job.environment,
                str(job.folder),
                job.command,
                leaked=(*_ITS_OWN, *_SHOWN_BY_IT),
            ),
        )

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        # Not --cleanenv: that leaves APPTAINERENV_ as the only way in, and evaluates what stands there. This is clean.
        return self._of_host(job.host) | inside.variables(job.environment)

    def _of_host(self, host: Mapping[str, str]) -> dict[str, str]:
        prefixes = ("APPTAINER_", "SINGULARITY_")
        wanted = {*_ITS_OWN, *(prefix + name for prefix in prefixes for name in _SETTINGS)}
        return {"PATH": host.get("PATH", _PATH)} | {
            name: value for name, value in host.items() if name in wanted
        }

    def _bind(self, bind: Bind) -> tuple[str, str]:
        source, target = str(bind.source), str(bind.seen_as)
        if self.takes_mounts:
            fields = ["type=bind", inside.csv_field("src", source), inside.csv_field("dst", target)]
            return "--mount", ",".join([*fields, "ro"] if bind.read_only else fields)
        for path in (source, target):
            if found := re.search("[:,]", path):
                raise BadInput(
                    f'{self.name} {self.version} cannot bind {path}, because of the "{found[0]}" in it.',
                    hint="Use a path without it, or a newer version.",
                )
        return "--bind", f"{source}:{target}:{'ro' if bind.read_only else 'rw'}"

    def sweep(self, _token: str) -> None:
        return None

    def remove(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        raise ValueError(f"{self.name} leaves no containers: {containers}")

    def fetch(self, address: str, target: str) -> tuple[str, ...]:
        """The argument list that makes a SIF file of an image."""
        if address.partition(":")[0] in _PULLED:
            return (self.program, "pull", "--force", target, address)
        return (self.program, "build", "--force", target, address)

    def unpack(self, image: str, folder: str) -> tuple[str, ...]:
        """The argument list that makes a folder of a SIF file."""
        return (self.program, "--quiet", "build", "--force", "--sandbox", folder, image)

    def trial(self, image: str) -> tuple[str, ...]:
        """The argument list that shows whether an image can be run at all."""
        return (
            self.program, "--quiet", "exec", "--pid", "--no-home", *self._how(image), image.rstrip("/"),
            inside.SHELL, "-c", "exit 0",
        )  # fmt: skip

    def _how(self, image: str) -> tuple[str, ...]:
        return ("--unsquash",) if self.unsquash and not image.endswith("/") else ()
