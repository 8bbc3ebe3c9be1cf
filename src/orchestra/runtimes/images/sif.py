"""Images for Apptainer: fetched as SIF files, and unpacked for accounts that cannot mount these."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from orchestra.domain import images
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.images.fetcher import Fetcher
from orchestra.runtimes.images.folder import (
    CacheFolder,
    key_of,
    read_record,
    remove_tree,
    write_record,
)
from orchestra.runtimes.images.prepared import Prepared, file_state
from orchestra.runtimes.images.progress import size_of
from orchestra.runtimes.images.request import ImageError, ImageRequest

_PLAIN = re.compile(r"[A-Za-z0-9._/-]+")


def fetched(
    folder: CacheFolder,
    fetcher: Fetcher,
    runtime: ApptainerRuntime,
    address: str,
    request: ImageRequest,
) -> Prepared:
    """Return the SIF file of an image, fetched if it is not in the cache.

    Raises:
        ImageError: it cannot be fetched, or the request was cancelled.
    """
    key = key_of(f"{address} {_archive_state(address)}".strip())

    def fetch() -> bool:
        _fetch(folder, fetcher, runtime, address, key, request)
        return True

    found = folder.find_or_make(key, request, lambda: _kept(folder, key), fetch)
    assert found is not None  # fetch() returns True or raises
    return found


def _archive_state(address: str) -> str:
    """Return what changes when the archive that an address names is replaced; empty if it names none."""
    path = images.path_of(address)
    if path is None:
        return ""
    try:
        return str(file_state(Path(path)))
    except OSError as error:
        raise ImageError(f"the image {address} on this node: {error.strerror}") from None


def _kept(folder: CacheFolder, key: str) -> Prepared | None:
    path = folder.path / f"{key}.sif"
    record = read_record(folder.record_file(key))
    try:
        if path.stat().st_size != record["bytes"]:
            return None  # the file was truncated: fetch it again
        os.utime(folder.record_file(key))
        return Prepared(str(path), str(record["digest"]), key, file_state(path))
    except (OSError, KeyError):
        return None


def _fetch(
    folder: CacheFolder,
    fetcher: Fetcher,
    runtime: ApptainerRuntime,
    address: str,
    key: str,
    request: ImageRequest,
) -> None:
    with folder.work_folder(key) as part:
        # Apptainer cannot convert an image in a folder with quotes or blanks in its path.
        is_plain = _PLAIN.fullmatch(str(part))
        work = (
            part if is_plain else Path(tempfile.mkdtemp(prefix="orchestra-image-", dir="/var/tmp"))
        )
        try:
            # Its own cache and temporary files are removed with the work folder.
            variables = {
                f"{prefix}_{name}": str(work)
                for prefix in ("APPTAINER", "SINGULARITY")
                for name in ("CACHEDIR", "TMPDIR")
            }
            image = part / "image.sif"
            fetcher.fetch(runtime.fetch(address, str(image)), address, request, variables, work)
            request.say("reading it")
            with image.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            size = image.stat().st_size
            image.chmod(0o644)
            image.replace(folder.path / f"{key}.sif")
            record = {"image": address, "digest": digest, "bytes": size}
            write_record(folder.record_file(key), record)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def unpacked(
    folder: CacheFolder,
    fetcher: Fetcher,
    runtime: ApptainerRuntime,
    packed: Prepared,
    request: ImageRequest,
) -> Prepared:
    """Return a SIF file as a folder, unpacked once: otherwise Apptainer would unpack it for each job.

    If that fails, for example for lack of space, return the file.
    """
    key = key_of(f"unpacked {packed.digest}")
    path = folder.path / f"{key}.sandbox"

    def find() -> Prepared | None:
        if not read_record(folder.record_file(key)) or not path.is_dir():
            return None
        folder.touch(key)
        if packed.key:
            folder.release(packed.key)
            return Prepared(f"{path}/", packed.digest, key)
        return Prepared(f"{path}/", packed.digest, key, packed.state, packed.image)

    def make() -> bool:
        return _unpack(folder, fetcher, runtime, packed, key, request)

    return folder.find_or_make(key, request, find, make) or packed


def _unpack(
    folder: CacheFolder,
    fetcher: Fetcher,
    runtime: ApptainerRuntime,
    packed: Prepared,
    key: str,
    request: ImageRequest,
) -> bool:
    """Unpack a SIF file; False if that fails."""
    target = folder.path / f"{key}.sandbox"
    with folder.work_folder(key) as part:
        root = part / "root"
        done = fetcher.run(runtime.unpack(packed.image, str(root)), request, watched=part)
        if done is None or done.returncode:
            return False
        size = size_of(root)
        remove_tree(target)
        root.replace(target)
        record = {"image": packed.image, "digest": packed.digest, "bytes": size}
        write_record(folder.record_file(key), record)
    return True
