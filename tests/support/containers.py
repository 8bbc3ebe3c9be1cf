"""Engines and images for container tests: built offline from busybox, each once per test run.

Podman's images are in the run's folder, separate from the user's own; each account has its own storage.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.needs import registry_program
from support.ordinary import Ordinary
from support.server import free_port
from support.waiting import wait_until

IMAGE = "localhost/orchestra-test/busybox:latest"

_DETACH = 2  # MNT_DETACH of sys/mount.h

# Debian's crun fails with cgroups of both versions; this also needs few privileges.
_CONTAINERS = """\
[containers]
netns = "host"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{runtime}/libpod"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
[storage.options.overlay]
ignore_chown_errors = "{one_account}"
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that runs containers, and its environment; for root, or for an ordinary user."""

    program: str
    env: Mapping[str, str] = field(default_factory=dict)
    user: Ordinary | None = None

    def __call__(
        self, *arguments: str | Path, status: int | None = 0, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run it. Any exit status other than `status` is a failure, unless that is None."""
        if self.user:
            words = [f"{key}={value}" for key, value in self.env.items()]
            done = self.user.run("env", *words, self.program, *map(str, arguments), timeout=timeout)
        else:
            done = subprocess.run(
                [self.program, *map(str, arguments)],
                check=False,
                timeout=timeout,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        assert status is None or done.returncode == status, f"{arguments}: {done}"
        return done


def apptainer(user: Ordinary | None = None) -> Engine:
    """Apptainer, for root or for an ordinary user, who needs `--unsquash` for a SIF without FUSE."""
    return Engine("apptainer", {}, user)


def podman(run: Path, user: Ordinary | None = None) -> Engine:
    """Podman with runc, with IMAGE in the storage of that account for this run."""
    name = f"podman-{user.uid}" if user else "podman"
    folder = once(run, name, lambda place: _podman_folder(place, user))
    engine = Engine("podman", _podman_env(folder), user)
    # Not by `once`: podman keeps the paths of its folders in a database, so they cannot be renamed.
    with _locked(run, f"{name}.lock"):
        if engine("image", "exists", IMAGE, status=None).returncode:
            engine("import", "--quiet", archive(run), IMAGE)
    return engine


def busybox(run: Path) -> Path:
    """A folder with a root file system of busybox, for use as a sandbox. Do not write to it."""
    return once(run, "busybox", _root_file_system)


def archive(run: Path) -> Path:
    """The same files as an archive, for engines to import."""
    return once(run, "busybox.tar", lambda place: _archive(busybox(run), place))


def busybox_sif(run: Path) -> Path:
    """The same files as a SIF."""
    return once(run, "busybox.sif", lambda place: _sif(busybox(run), place))


def bash(run: Path) -> Path:
    """The same folder with bash."""
    return once(run, "bash", _root_file_system_with_bash)


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry of images at 127.0.0.1 without TLS; `env` allows Apptainer and podman to use it."""

    address: str
    env: Mapping[str, str]

    def push(self, engine: Engine, name: str, image: str = IMAGE) -> str:
        """Push an image of podman; return its address without a scheme."""
        address = f"{self.address}/{name}"
        engine("push", "--quiet", "--tls-verify=false", image, address)
        return address


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Run an empty registry during the block."""
    program = registry_program()
    assert program
    address = f"127.0.0.1:{free_port()}"
    settings = folder / "registry.json"  # JSON is YAML
    settings.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "warn"},
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": address},
            }
        )
    )
    insecure = folder / "registries.conf"
    insecure.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen(
            [program, "serve", settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: _answers(address), describe=(folder / "registry.log").read_text)
        env = {"APPTAINER_NOHTTPS": "true", "CONTAINERS_REGISTRIES_CONF": str(insecure)}
        yield Registry(address, env)
    finally:
        process.kill()
        process.wait()


def remove(run: Path) -> None:
    """End the remaining containers of a run and unmount its folders, so that they can be removed."""
    images = run / "images"
    for folder in images.glob("podman*/"):
        env = {**os.environ, **_podman_env(folder)}
        owner = folder.stat().st_uid
        if owner == os.geteuid():
            subprocess.run(
                ["podman", "rm", "--all", "--force", "--time", "0"],
                check=False,
                env=env,
                capture_output=True,
                timeout=60,
            )
        for note in _runtime_folder(folder).glob("**/pause.pid"):
            with _unless_ended():
                os.kill(int(note.read_text()), signal.SIGKILL)
    unmount_below(images)


def unmount_below(folder: Path) -> None:
    """Unmount everything below a folder."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(f"{folder}/"):
            ctypes.CDLL(None).umount2(os.fsencode(place), _DETACH)


@contextmanager
def _unless_ended() -> Iterator[None]:
    try:
        yield
    except (ProcessLookupError, ValueError):
        pass  # it has ended by itself


@contextmanager
def _locked(run: Path, name: str) -> Iterator[None]:
    (run / "images").mkdir(mode=0o755, exist_ok=True)
    with (run / "images" / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def once(run: Path, name: str, build: Callable[[Path], object]) -> Path:
    """Return `run/images/NAME`. The first process of the run that needs it builds it."""
    place = run / "images" / name
    with _locked(run, f"{name}.lock"):
        if not place.exists():
            part = place.with_name(f"part-{name}")
            build(part)
            part.rename(place)
    return place


def _root_file_system(place: Path) -> None:
    for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr/bin", "var/tmp"):
        (place / name).mkdir(parents=True, mode=0o755)
    program = shutil.which("busybox")
    assert program
    shutil.copy(program, place / "bin/busybox")
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True)
    for applet in set(applets.stdout.split()) - {"busybox"}:
        (place / "bin" / applet).symlink_to("busybox")
    (place / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (place / "etc/group").write_text("root:x:0:\n")


def _root_file_system_with_bash(place: Path) -> None:
    _root_file_system(place)
    (place / "bin/bash").unlink(missing_ok=True)
    shutil.copy("/bin/bash-static", place / "bin/bash")


def _archive(root: Path, place: Path) -> None:
    subprocess.run(["tar", "-C", root, "-cf", place, "."], check=True)


def _sif(root: Path, place: Path) -> None:
    apptainer()("build", place, root)


def _podman_folder(place: Path, user: Ordinary | None) -> None:
    """Write podman's configuration for the final path of the folder."""
    place.mkdir(mode=0o700)
    folder = place.with_name(place.name.removeprefix("part-"))
    one_account = str(user is not None).lower()
    runtime = _runtime_folder(folder)
    runtime.mkdir(mode=0o700)
    (place / "containers.conf").write_text(_CONTAINERS.format(runtime=runtime))
    (place / "storage.conf").write_text(_STORAGE.format(folder=folder, one_account=one_account))
    if user:
        for path in (runtime, place, *place.iterdir()):
            os.chown(path, user.uid, user.gid)


def _runtime_folder(folder: Path) -> Path:
    """Return XDG_RUNTIME_DIR: conmon loses the ends of containers if it is longer than about 36 characters."""
    return folder.parents[1] / folder.name.replace("podman", "p").replace("-", "")


def _podman_env(folder: Path) -> dict[str, str]:
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "XDG_RUNTIME_DIR": str(_runtime_folder(folder)),
    }


def _answers(address: str) -> bool:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
