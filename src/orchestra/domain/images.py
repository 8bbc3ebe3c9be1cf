"""Container images as people write them, and which runtimes can run which. Pure: nothing is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.nearest import nearest
from orchestra.domain.storable import LONGEST_PATH, check_text

RUNTIMES = ("apptainer", "singularity", "podman", "docker")
"""In the order in which a node looks for them."""


class Kind(StrEnum):
    """What an image is, as far as its text says it."""

    FILE = "file"
    """A SIF file, `/images/a.sif`."""
    FOLDER = "folder"
    """A root file system, `/images/a/`; its path ends with a slash."""
    REGISTRY = "registry"
    """An image of a registry, `docker://ana/image:1` or short `ana/image:1`."""
    ARCHIVE = "archive"
    """An image in a file or folder, `docker-archive:/images/a.tar`, `oci:/images/layout:1`."""
    OTHER = "other"
    """What Apptainer alone understands: `oras://`, `library://`, `shub://`, `https://`."""


_FOUND_BY: dict[Kind, tuple[str, ...]] = {
    Kind.FILE: ("apptainer", "singularity"),
    Kind.FOLDER: ("apptainer", "singularity", "podman"),
    Kind.REGISTRY: RUNTIMES,
    Kind.ARCHIVE: ("apptainer", "singularity", "podman"),
    Kind.OTHER: ("apptainer", "singularity"),
}
_ARCHIVES = ("docker-archive", "oci-archive", "oci")
_OTHERS = ("oras", "library", "shub", "https", "http")
_SCHEMES = ("docker", *_ARCHIVES, *_OTHERS)

# POSIX (PostgreSQL) and Python read these alike; each is to match the whole text.
_SHORT = r"[^/:]+(:[0-9]+)?/[^/].*"
_PATTERNS = {
    Kind.FOLDER: "/.*/|/",
    Kind.FILE: "/.*[^/]",
    Kind.ARCHIVE: f"({'|'.join(_ARCHIVES)}):.*",
    Kind.OTHER: f"({'|'.join(_OTHERS)})://.*",
    Kind.REGISTRY: f"docker://.*|{_SHORT}",
}

# As registries want it (the grammar of github.com/distribution/reference).
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:[0-9])|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_NAME = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,})?"
)


def check(text: str) -> str:
    """Give an image as it is kept; the short form stays as it was given. Paths have to be absolute.

    Raises:
        BadInput: nobody could find an image by this.
    """
    shown = one_line(text)
    if not text or any(char < " " or char == "\x7f" for char in text):
        raise BadInput(f'"{shown}" is no image.', hint=_HINT)
    check_text(f'the image "{shown}"', text, most=LONGEST_PATH)
    if text.startswith("/"):
        return text
    scheme, colon, rest = text.partition(":")
    if colon and rest.startswith("//") and scheme not in _SCHEMES:
        guess = nearest(scheme, _SCHEMES)
        raise BadInput(
            f'"{scheme}" in the image "{shown}" is no kind of address.',
            hint=f"Did you mean {guess}:{rest}?" if guess else _HINT,
        )
    if scheme in _ARCHIVES:
        return _archive(text, scheme, rest)
    if scheme in _OTHERS and rest.startswith("//"):
        return text
    return _registry(text, shown)


_HINT = "An image is the path of a SIF file or folder, docker://NAME:TAG, or short USER/NAME:TAG."


def _archive(text: str, scheme: str, rest: str) -> str:
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if not path.startswith("/"):
        raise BadInput(
            f'the image "{one_line(text)}" needs a full path.', hint=f"{scheme}:/the/path"
        )
    return f"{scheme}:{path}"


def _registry(text: str, shown: str) -> str:
    name = text.removeprefix("docker://")
    if name == text and "/" not in name:
        raise BadInput(
            f'"{shown}" is no image: it is no path, and names no user of a registry.',
            hint=f"Write docker://{shown}, or ./{shown} for a file or folder here.",
        )
    if _NAME.fullmatch(name):
        return text
    if _NAME.fullmatch(name.lower()):
        raise BadInput(
            f'the image "{shown}" has a capital letter, which registries do not allow.',
            hint=f"Did you mean {text.lower()}?",
        )
    raise BadInput(f'the image "{shown}" is no name that a registry can have.', hint=_HINT)


def kind_of(image: str) -> Kind:
    """Give what an image is that has been checked."""
    return next(
        (kind for kind, pattern in _PATTERNS.items() if re.fullmatch(pattern, image, re.DOTALL)),
        Kind.REGISTRY,
    )


def address(image: str) -> str:
    """Give an image in full: the short form means `docker://`."""
    is_short = kind_of(image) is Kind.REGISTRY and not image.startswith("docker://")
    return f"docker://{image}" if is_short else image


def path_of(image: str) -> str | None:
    """Give the path of the file or folder that has to be there, None for what a registry keeps.

    An `oci:` folder may have a tag behind it; a path with a colon in it cannot be told from that.
    """
    match kind_of(image):
        case Kind.FILE | Kind.FOLDER:
            return image
        case Kind.ARCHIVE:
            return image.partition(":")[2].partition(":")[0]
        case _:
            return None


def name_of(runtime: str) -> str:
    """Give the name of a runtime as nodes report it, `apptainer 1.4.5`."""
    return runtime.partition(" ")[0]


def runs(runtime: str, image: str) -> bool:
    """Whether a runtime (`apptainer`, or with its version) can run such an image."""
    return name_of(runtime) in _FOUND_BY[kind_of(image)]


def pattern(runtimes: Iterable[str]) -> str:
    """Give the regular expression of the images that some of these runtimes can run, for PostgreSQL and Python."""
    names = {name_of(runtime) for runtime in runtimes}
    kinds = [_PATTERNS[kind] for kind, able in _FOUND_BY.items() if names & set(able)]
    return f"^({'|'.join(kinds)})$" if kinds else "^$"
