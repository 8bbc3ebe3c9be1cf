"""The images of containers/, built without a registry, from a root file system of Debian packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from support.containers import Engine, once

REPOSITORY = Path(__file__).parents[2]
SUITE = "bookworm"  # what containers/orchestra.def and the Dockerfile begin with, Debian 12 ...
PYTHON = "3.11"  # ... and its Python, for which wheels are fetched

# As in Debian's own image for Docker: faster, and without documentation.
_DPKG = ("force-unsafe-io", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/locale/*")

# Root without all capabilities may not build, but has them in a user namespace of its own. So it gets another range of
# ids, in a mount namespace, which leaves the machine's own /etc/subuid unchanged.
_AS_FAKE_ROOT = """
echo root:100000:65536 >"$1" && mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && shift && exec "$@"
"""


def debian_archive(run: Path) -> Path:
    """An archive of Debian's minimal root file system, from the mirror that apt uses."""
    return once(run, "debian.tar", _debootstrap)


def debian(run: Path) -> Path:
    """The same as a folder."""
    return once(run, "debian", lambda place: _unpack(debian_archive(run), place))


def checkout(run: Path) -> Path:
    """A copy of the files that the recipes need, with a folder of wheels, as on a site without PyPI."""
    return once(run, "checkout", _checkout)


def orchestra_sandbox(run: Path) -> Path:
    """The image of containers/orchestra.def, as a sandbox folder, which is faster than a SIF."""
    base, source = debian(run), checkout(run)

    def build(place: Path) -> None:
        subids = place.with_name("subids")
        arguments = ["--build-arg", "bootstrap=localimage", "--build-arg", f"base={base}"]
        command = ["apptainer", "build", "--fakeroot", "--sandbox", *arguments]
        lent = ["unshare", "--mount", "sh", "-c", _AS_FAKE_ROOT, "sh", str(subids)]
        _run([*lent, *command, str(place), "containers/orchestra.def"], source)

    return once(run, "orchestra", build)


def orchestra_podman(run: Path, podman: Engine) -> str:
    """Build the image of containers/Dockerfile in podman's storage; return its name."""
    base, name = "localhost/orchestra-test/debian", "localhost/orchestra-test/orchestra"
    archive, source = debian_archive(run), checkout(run)
    podman("import", "--quiet", archive, base)
    options = ["--network=host", "--build-arg", f"BASE={base}", "--tag", name]
    podman("build", *options, "--file", source / "containers/Dockerfile", source, timeout=600)
    return name


def _debootstrap(place: Path) -> None:
    options = [f"--dpkgopt={option}" for option in _DPKG]
    archive = place.with_suffix(".tar")  # mmdebstrap derives the format from the name
    _run(["mmdebstrap", "--quiet", "--variant=minbase", *options, SUITE, str(archive), _mirror()])
    archive.rename(place)


def _mirror() -> str:
    """Return the address of the Debian mirror in the configuration of apt."""
    listed = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"]
    said = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    mirrors = [line.removeprefix("Debian|Debian|") for line in said.splitlines()]
    return next(mirror for mirror in mirrors if "|" not in mirror)


def _unpack(archive: Path, place: Path) -> None:
    """Unpack without devices, which a user namespace cannot create, and with root as the only owner."""
    place.mkdir()
    options = ["--no-same-owner", "--exclude=./dev/*"]
    _run(["tar", "-C", str(place), "-xf", str(archive), *options])


def _checkout(place: Path) -> None:
    place.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(REPOSITORY / name, place)
    for name in ("src", "tools", "containers"):
        ignored = shutil.ignore_patterns("__pycache__", "wheels")
        shutil.copytree(REPOSITORY / name, place / name, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = place / "containers/wheels"
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(place, scratch, dirs_exist_ok=True)
        _run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), scratch])
    options = ["--only-binary=:all:", "--python-version", PYTHON, "--constraint", "constraints.txt"]
    _run(
        [*pip, "download", *options, "--dest", str(wheels), *map(str, wheels.glob("*.whl"))], place
    )


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
