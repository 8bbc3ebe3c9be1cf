"""The image of a new task as its creator finds it: is the name one, is the file there, and what is it?"""

from __future__ import annotations

from pathlib import Path

from orchestra.domain import images
from orchestra.domain.errors import BadInput
from orchestra.domain.images import Kind
from orchestra.files import fs_health

SIF_MAGIC = b"SIF_MAGIC"
_MAGIC_AT = (
    32  # behind the line by which a SIF file can be run; github.com/apptainer/sif, global header
)
_SQUASHFS = b"hsqs"  # the format of Singularity 2, which may stand behind such a line, too
_BYTES = 4096


def check(text: str) -> str:
    """Give an image as it is kept. What a registry has is known only when a node has fetched it.

    Raises:
        BadInput: no image can be called so, or there is none at that path.
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
            hint="An image in a folder is a root file system, as `apptainer build --sandbox` makes it.",
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
