"""Container images as people write them, and which runtimes can run them. Pure: no file is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.nearest import nearest
from orchestra.domain.storable import LONGEST_PATH, check_text

RUNTIMES = ("apptainer", "singularity", "podman", "docker")
"""In the order of preference of a node."""


class Kind(StrEnum):
    """The kind of an image, as its text says."""

    FILE = "file"
    """A SIF file, `/images/a.sif`."""
    FOLDER = "folder"
    """A root file system, `/images/a/`; its path ends with a slash."""
    REGISTRY = "registry"
    """An image in a registry, `docker://ana/image:1` or `ana/image:1` for short."""
    ARCHIVE = "archive"
    """An image in a file or folder, `docker-archive:/images/a.tar`, `oci:/images/layout:1`."""
    OTHER = "other"
    """An address that only Apptainer understands: `oras://`, `library://`, `shub://`, `https://`."""


_RUN_BY: dict[Kind, tuple[str, ...]] = {
    Kind.FILE: ("apptainer", "singularity"),
    Kind.FOLDER: ("apptainer", "singularity", "podman"),
    Kind.REGISTRY: RUNTIMES,
    Kind.ARCHIVE: ("apptainer", "singularity", "podman"),
    Kind.OTHER: ("apptainer", "singularity"),
}
_ARCHIVES = ("docker-archive", "oci-archive", "oci")
_OTHERS = ("oras", "library", "shub", "https", "http")
_SCHEMES = ("docker", *_ARCHIVES, *_OTHERS)

# POSIX (PostgreSQL) and Python read these alike; each must match the whole text.
_SHORT = r"[^/:]+(:[0-9]+)?/[^/].*"
_PATTERNS = {
    Kind.FOLDER: "/.*/|/",
    Kind.FILE: "/.*[^/]",
    Kind.ARCHIVE: f"({'|'.join(_ARCHIVES)}):.*",
    Kind.OTHER: f"({'|'.join(_OTHERS)})://.*",
    Kind.REGISTRY: f"docker://.*|{_SHORT}",
}

# The grammar of github.com/distribution/reference.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:[0-9])|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_NAME = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
    r"(?:@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,})?"
)


def check(text: str) -> str:
    """Return an image as it is stored; the short form stays as given. Paths must be absolute.

    Raises:
        BadInput: the text cannot name an image.
    """
    shown = one_line(text)
    if not text or any(char < " " or char == "\x7f" for char in text):
        raise BadInput(f'"{shown}" is not an image.', hint=_HINT)
    check_text(f'the image "{shown}"', text, most=LONGEST_PATH)
    if text.startswith("/"):
        return text
    scheme, colon, rest = text.partition(":")
    if colon and rest.startswith("//") and scheme not in _SCHEMES:
        guess = nearest(scheme, _SCHEMES)
        raise BadInput(
            f'"{scheme}" in the image "{shown}" is not a known scheme.',
            hint=f"Did you mean {guess}:{rest}?" if guess else _HINT,
        )
    if scheme in _ARCHIVES:
        return _archive(text, scheme, rest)
    if scheme in _OTHERS and rest.startswith("//"):
        return text
    return _registry(text, shown)


_HINT = (
    "An image is the path of a SIF file or folder, docker://NAME:TAG, or USER/NAME:TAG for short."
)


def _archive(text: str, scheme: str, rest: str) -> str:
    path = rest.removeprefix("//") if rest.startswith("///") else rest
    if not path.startswith("/"):
        raise BadInput(
            f'the image "{one_line(text)}" needs an absolute path.', hint=f"{scheme}:/the/path"
        )
    return f"{scheme}:{path}"


def _registry(text: str, shown: str) -> str:
    name = text.removeprefix("docker://")
    if name == text and "/" not in name:
        raise BadInput(
            f'"{shown}" is not an image: it is neither a path nor USER/NAME.',
            hint=f"Write docker://{shown}, or ./{shown} for a local file or folder.",
        )
    if _NAME.fullmatch(name):
        return text
    if _NAME.fullmatch(name.lower()):
        raise BadInput(
            f'the image "{shown}" has a capital letter, which registries do not allow.',
            hint=f"Did you mean {text.lower()}?",
        )
    raise BadInput(f'"{shown}" is not a valid name of an image in a registry.', hint=_HINT)


def kind_of(image: str) -> Kind:
    """The kind of a checked image."""
    return next(
        (kind for kind, pattern in _PATTERNS.items() if re.fullmatch(pattern, image, re.DOTALL)),
        Kind.REGISTRY,
    )


def address(image: str) -> str:
    """Return an image in full, with `docker://` before the short form."""
    is_short = kind_of(image) is Kind.REGISTRY and not image.startswith("docker://")
    return f"docker://{image}" if is_short else image


def path_of(image: str) -> str | None:
    """The path of the file or folder of an image; None for an image in a registry.

    An `oci:` folder may be followed by a tag, so its path cannot contain a colon.
    """
    match kind_of(image):
        case Kind.FILE | Kind.FOLDER:
            return image
        case Kind.ARCHIVE:
            return image.partition(":")[2].partition(":")[0]
        case _:
            return None


def name_of(runtime: str) -> str:
    """The name in what nodes report: `apptainer` of `apptainer 1.4.5`."""
    return runtime.partition(" ")[0]


def runs(runtime: str, image: str) -> bool:
    """Whether a runtime (`apptainer`, with or without its version) can run an image."""
    return name_of(runtime) in _RUN_BY[kind_of(image)]


def pattern(runtimes: Iterable[str]) -> str:
    """A regular expression for the images that any of these runtimes can run, for PostgreSQL and Python."""
    names = {name_of(runtime) for runtime in runtimes}
    kinds = [_PATTERNS[kind] for kind, runnable_by in _RUN_BY.items() if names & set(runnable_by)]
    return f"^({'|'.join(kinds)})$" if kinds else "^$"
