"""Pack this Python, with the packages of the demo, into a container image: offline, and without root.

    python -m orchestra.demo.pack_image IMAGE.sif

The image contains a shell, the interpreter with its standard library, numpy, scikit-learn and their dependencies, the
shared libraries of all of these, and the training script as /train.py. It demonstrates how to run in an image;
docs/containers.md says how to build one.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestra.demo import IN_IMAGE, TRAIN
from orchestra.domain.secrets import without_secrets

BUILDERS = ("apptainer", "singularity")
FOLDERS = ("bin", "dev", "etc", "home", "lib64", "proc", "root", "sys", "tmp", "var/tmp")
SHELLS = ("sh", "bash")
SYSTEM = ("mkdir", "rm", "cat", "ls", "env", "sleep", "kill", "id")
_NOT_NEEDED = (
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "site-packages",
    "dist-packages",
)


class CannotPack(Exception):
    """No image can be built here. The text says why, its second line what to do."""


def pack(image: Path) -> None:
    """Write the image; it appears under its name when it is complete.

    Raises:
        CannotPack: there is no Apptainer, a package is missing, or the build failed.
    """
    builder = next(filter(None, map(shutil.which, BUILDERS)), None)
    if builder is None:
        raise CannotPack(
            "there is no Apptainer on this machine to build and run an image.\n"
            "On Debian, as root: make containers. Elsewhere: https://apptainer.org/docs/admin/main/installation.html"
        )
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="orchestra-image-") as scratch:
        root = Path(scratch, "root")
        _fill(root)
        part = Path(scratch, "image.sif")
        built = subprocess.run(
            [builder, "--quiet", "build", *_fast_options(builder), str(part), str(root)],
            check=False,
            env=without_secrets(os.environ),
            capture_output=True,
            text=True,
        )
        if built.returncode:
            raise CannotPack(f"{Path(builder).name} could not build the image:\n{built.stderr}")
        beside = image.with_name(f".{image.name}.part")
        shutil.move(part, beside)
        os.replace(beside, image)


def _fast_options(builder: str) -> list[str]:
    """Return the options that save minutes of compression, if the builder has them."""
    described = subprocess.run(
        [builder, "build", "--help"],
        check=False,
        env=without_secrets(os.environ),
        capture_output=True,
    ).stdout
    return (
        ["--mksquashfs-args", "-Xcompression-level 1"] if b"--mksquashfs-args" in described else []
    )


def _fill(root: Path) -> None:
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    library = Path(sysconfig.get_paths()["stdlib"])
    _copy_tree(library, root / "usr/lib" / library.name)
    site = root / "usr/lib" / library.name / "site-packages"
    for file, place in _packages(("numpy", "scikit-learn")):
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        if file.exists():  # bytecode is listed as well; copy2 keeps the times that it depends on
            shutil.copy2(file, site / place)
    # Debian's Python imports packages from a folder of another name.
    (site.parent / "dist-packages").symlink_to(site.name)
    programs = [Path(sys.executable).resolve(), *_found((*SHELLS, *SYSTEM))]
    for program in programs:
        shutil.copy(program, root / "bin" / program.name)
    _link(root, "python3", programs[0].name)
    for name in (*SHELLS, *SYSTEM):
        if (found := shutil.which(name)) and Path(found).resolve().name != name:
            _link(root, name, Path(found).resolve().name)
    (root / "usr/bin").symlink_to("../bin")
    shutil.copy(TRAIN, root / IN_IMAGE.lstrip("/"))
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    _copy_libraries(root, [*programs, *root.glob("usr/lib/**/*.so*")])


def _link(root: Path, name: str, target: str) -> None:
    place = root / "bin" / name
    if not place.exists():
        place.symlink_to(target)


def _found(names: tuple[str, ...]) -> list[Path]:
    return [Path(path).resolve() for name in names if (path := shutil.which(name))]


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_NEEDED), symlinks=True)


def _packages(wanted: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield each file of these distributions and of their dependencies, and its path below site-packages."""
    seen: set[str] = set()
    queue = list(wanted)
    while queue:
        name = queue.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise CannotPack(
                f"the demo trains with scikit-learn, and {name} is not installed.\n"
                f"{sys.executable} -m pip install 'orchestra-hpc[demo]'"
            ) from None
        queue += [
            re.split(r"[^\w.-]", line)[0] for line in found.requires or () if "extra" not in line
        ]
        for file in found.files or ():
            if ".." not in file.parts and "tests" not in file.parts:
                yield Path(str(file.locate())), str(file)


def _copy_libraries(root: Path, files: list[Path]) -> None:
    """Copy what the dynamic linker loads for these files to the folders that it always searches."""
    said = subprocess.run(
        ["ldd", *map(str, files)],
        check=False,
        env=without_secrets(os.environ),
        capture_output=True,
        text=True,
    ).stdout
    paths = set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, flags=re.M))
    default = next(str(Path(path).parent) for path in paths if path.endswith("/libc.so.6"))
    for path in sorted(path for path in paths if not path.startswith(str(root))):
        # The libraries of a Python below /root, for example, would be hidden by a container's own /root.
        folder = str(Path(path).parent) if path.startswith(("/lib", "/usr/lib")) else default
        place = root / folder.lstrip("/") / Path(path).name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            shutil.copy(path, place)


def main() -> int:
    """Pack the image that the command line names; the exit status is 2 if that fails."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        pack(Path(sys.argv[1]))
    except (CannotPack, OSError) as error:
        first, _, rest = str(error).partition("\n")
        print(f"error: {first}", file=sys.stderr)
        for line in rest.splitlines():
            print(f"       {line}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
