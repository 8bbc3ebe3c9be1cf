"""Checks of a new task's image on the creator's machine: its name, its file, and the file's type."""

from __future__ import annotations

from pathlib import Path

from orchestra.domain import images
from orchestra.domain.errors import BadInput
from orchestra.domain.images import Kind
from orchestra.files import fs_health

SIF_MAGIC = b"SIF_MAGIC"
_MAGIC_AT = (
    32  # after the line that makes a SIF file executable; github.com/apptainer/sif, global header
)
_SQUASHFS = b"hsqs"  # the format of Singularity 2, perhaps also after such a line
_BYTES = 4096


def check(text: str) -> str:
    """Check an image and return it as stored. Images of a registry are checked only when a node fetches them.

    Raises:
        BadInput: the name is not valid, or there is no image at that path.
    """
    image = images.check(text)
    where = images.path_of(image)
    if where is None:
        return image
    fs_health.check(where)
    path = Path(where)
    try:
        is_folder = path.is_dir()
        if is_folder and images.kind_of(image) is not Kind.ARCHIVE:
            return _folder(path)
        if not is_folder:
            _file(path, image)
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else _words(error)
        raise BadInput(f"the image {where} {reason}.", hint=_hint(text)) from None
    return image


def _folder(path: Path) -> str:
    if not any((path / name).exists() for name in ("bin", "usr/bin")):
        raise BadInput(
            f"the folder {path} is not an image: it has no bin folder.",
            hint="An image folder is a root file system, as made by `apptainer build --sandbox`.",
        )
    return f"{str(path).rstrip('/')}/"


def _file(path: Path, image: str) -> None:
    with path.open("rb") as file:
        beginning = file.read(_BYTES)
    if images.kind_of(image) is Kind.ARCHIVE:
        return
    if not beginning:
        raise BadInput(f"the image {path} is empty.")
    is_sif = beginning[_MAGIC_AT:].startswith(SIF_MAGIC)
    if not is_sif and _SQUASHFS not in beginning:
        raise BadInput(
            f"{path} is not an image: it is not a SIF file.",
            hint="For an archive of docker save: docker-archive:/the/path",
        )


def _words(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _hint(text: str) -> str | None:
    name = Path(text).name
    return f"For an image of a registry, write docker://{name}" if "/" not in text[1:] else None
