"""Images that users name by a path: files, with their SHA-256, and folders."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from orchestra.domain import human
from orchestra.runtimes.images.fetcher import SAY_EVERY
from orchestra.runtimes.images.folder import CacheFolder, key_of, read_record, write_record
from orchestra.runtimes.images.prepared import FileState, Prepared, file_state
from orchestra.runtimes.images.request import ImageError, ImageRequest

_BLOCK = 1 << 20


def local_folder(image: str) -> Prepared:
    """Return the image in a folder.

    Raises:
        ImageError: it does not exist.
    """
    try:
        Path(image).joinpath(".").stat()
    except OSError as error:
        raise _missing(image, error) from None
    return Prepared(image)


def local_file(folder: CacheFolder, image: str, request: ImageRequest) -> Prepared:
    """Return the image in a file.

    Raises:
        ImageError: it does not exist or cannot be read.
    """
    path = Path(image)
    try:
        state = file_state(path)
        return Prepared(image, _digest(folder, path, state, request), state=state)
    except OSError as error:
        raise _missing(image, error) from None


def _missing(image: str, error: OSError) -> ImageError:
    reason = "is not there" if isinstance(error, FileNotFoundError) else error.strerror
    return ImageError(f"the image {image} on this node: {reason}")


def _digest(folder: CacheFolder, path: Path, state: FileState, request: ImageRequest) -> str:
    """Return the SHA-256 of a file. It is computed once, as long as the file does not change."""
    known = folder.record_file(f"{key_of(str(path))}.file")
    record = read_record(known)
    if record.get("looks") == list(state):  # other versions read this name
        return str(record["digest"])
    digest, done, reported_at = hashlib.sha256(), 0, time.monotonic()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if time.monotonic() - reported_at > SAY_EVERY:
                reported_at = time.monotonic()
                request.say(f"reading it, {human.size(done)} of {human.size(state[0])}")
            request.check()
    text = f"sha256:{digest.hexdigest()}"
    with suppress(OSError):  # without the record it is computed again
        folder.create()
        write_record(known, {"image": str(path), "digest": text, "looks": state})
    return text
