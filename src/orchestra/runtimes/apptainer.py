"""Apptainer and Singularity: SIF files, folders, and images that they fetch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.domain import images
from orchestra.domain.binds import Bind
from orchestra.domain.errors import BadInput
from orchestra.runtimes import RuntimeJob, entry_script

# Variables that the program itself needs. The job would see them, so its shell unsets them.
_OWN_VARIABLES = ("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "TMPDIR")
_SETTINGS = ("CACHEDIR", "TMPDIR", "CONFIGDIR")
_SET_BY_IT = ("USER_PATH", "PROMPT_COMMAND", "PS1")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PULLED = ("docker", "oras", "library", "shub", "http", "https")


@dataclass(frozen=True, slots=True)
class ApptainerRuntime:
    """Runs jobs with `program exec`, each in a PID namespace, so that nothing outlives its first process.

    Args:
        program: absolute path.
        has_mount: it supports `--mount`, for any path; `--bind` does not support colons and commas.
        gpu_option: the option that gives a job access to GPUs.
        unsquash: this account cannot mount SIF files. One that is not unpacked before is unpacked for each job.
    """

    program: str
    name: str = "apptainer"
    version: str = ""
    has_mount: bool = True
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
            *self._unsquash_option(job.image),
            *(word for bind in job.binds for word in self._bind(bind)),
            job.image.rstrip("/") or "/",
            entry_script.SHELL,
            *entry_script.arguments(
                job.environment,
                str(job.folder),
                job.command,
                leaked=(*_OWN_VARIABLES, *_SET_BY_IT),
            ),
        )

    def environment(self, job: RuntimeJob) -> dict[str, str]:
        # Not --cleanenv: variables could then be passed as APPTAINERENV_ only, whose values a shell evaluates.
        return self._from_host(job.host) | entry_script.variables(job.environment)

    def _from_host(self, host: Mapping[str, str]) -> dict[str, str]:
        prefixes = ("APPTAINER_", "SINGULARITY_")
        passed = {*_OWN_VARIABLES, *(prefix + name for prefix in prefixes for name in _SETTINGS)}
        return {"PATH": host.get("PATH", _PATH)} | {
            name: value for name, value in host.items() if name in passed
        }

    def _bind(self, bind: Bind) -> tuple[str, str]:
        source, target = str(bind.source), str(bind.seen_as)
        if self.has_mount:
            fields = [
                "type=bind",
                entry_script.csv_field("src", source),
                entry_script.csv_field("dst", target),
            ]
            return "--mount", ",".join([*fields, "ro"] if bind.read_only else fields)
        for path in (source, target):
            if found := re.search("[:,]", path):
                raise BadInput(
                    f'{self.name} {self.version} cannot bind {path}, because of the "{found[0]}" in it.',
                    hint="Use a path without it, or a newer version.",
                )
        return "--bind", f"{source}:{target}:{'ro' if bind.read_only else 'rw'}"

    def list_containers(self, _token: str) -> None:
        return None

    def remove_containers(self, containers: tuple[str, ...]) -> tuple[str, ...]:
        raise ValueError(f"{self.name} leaves no containers: {containers}")

    def fetch(self, address: str, target: str) -> tuple[str, ...]:
        """Return the argument list that converts an image to a SIF file."""
        if address.partition(":")[0] in _PULLED:
            return (self.program, "pull", "--force", target, address)
        return (self.program, "build", "--force", target, address)

    def unpack(self, image: str, folder: str) -> tuple[str, ...]:
        """Return the argument list that unpacks a SIF file to a folder."""
        return (self.program, "--quiet", "build", "--force", "--sandbox", folder, image)

    def trial(self, image: str) -> tuple[str, ...]:
        """Return the argument list that tries whether an image can be run."""
        return (
            self.program, "--quiet", "exec", "--pid", "--no-home", *self._unsquash_option(image), image.rstrip("/"),
            entry_script.SHELL, "-c", "exit 0",
        )  # fmt: skip

    def _unsquash_option(self, image: str) -> tuple[str, ...]:
        return ("--unsquash",) if self.unsquash and not image.endswith("/") else ()
