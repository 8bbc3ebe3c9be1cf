"""Images for Apptainer: fetched as SIF files, and unpacked for accounts that cannot mount these."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestra.domain import images
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.images.fetcher import Fetcher
from orchestra.runtimes.images.folder import (  # fmt: skip
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


@dataclass(frozen=True, slots=True)
class SifImages:
    """Prepares images for one request.

    The methods raise ImageError if the cache cannot be used or the request was cancelled.
    """

    folder: CacheFolder
    fetcher: Fetcher
    runtime: ApptainerRuntime
    request: ImageRequest

    def fetched(self, address: str) -> Prepared:
        """Return the SIF file of an image, fetched if it is not in the cache."""
        key = key_of(f"{address} {_archive_state(address)}".strip())
        fetch = partial(self._fetch, address, key)
        found = self.folder.find_or_make(key, self.request, partial(self._find_cached, key), fetch)
        assert found is not None  # _fetch() returns True or raises
        return found

    def _find_cached(self, key: str) -> Prepared | None:
        path = self.folder.path / f"{key}.sif"
        record = read_record(self.folder.record_file(key))
        try:
            if path.stat().st_size != record["bytes"]:
                return None  # the file was truncated: fetch it again
            os.utime(self.folder.record_file(key))
            return Prepared(str(path), str(record["digest"]), key, file_state(path))
        except (OSError, KeyError):
            return None

    def _fetch(self, address: str, key: str) -> bool:
        with self.folder.work_folder(key) as part:
            # Apptainer cannot convert an image in a folder with quotes or blanks in its path.
            needs_plain_path = not _PLAIN.fullmatch(str(part))
            work = (
                Path(tempfile.mkdtemp(prefix="orchestra-image-", dir="/var/tmp"))
                if needs_plain_path
                else part
            )
            try:
                # Its own cache and temporary files are removed with the work folder.
                variables = {
                    f"{prefix}_{name}": str(work)
                    for prefix in ("APPTAINER", "SINGULARITY")
                    for name in ("CACHEDIR", "TMPDIR")
                }
                image = part / "image.sif"
                command = self.runtime.fetch(address, str(image))
                self.fetcher.fetch(command, address, self.request, variables, work)
                self.request.say("reading it")
                with image.open("rb") as file:
                    digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
                record = {"image": address, "digest": digest, "bytes": image.stat().st_size}
                image.chmod(0o644)
                image.replace(self.folder.path / f"{key}.sif")
                write_record(self.folder.record_file(key), record)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return True

    def unpacked(self, packed: Prepared) -> Prepared:
        """Return a SIF file as a folder, unpacked once: otherwise Apptainer would unpack it for each job.

        If that fails, for example for lack of space, return the file.
        """
        key = key_of(f"unpacked {packed.digest}")
        find, unpack = partial(self._kept_folder, packed, key), partial(self._unpack, packed, key)
        return self.folder.find_or_make(key, self.request, find, unpack) or packed

    def _kept_folder(self, packed: Prepared, key: str) -> Prepared | None:
        path = self.folder.path / f"{key}.sandbox"
        if not read_record(self.folder.record_file(key)) or not path.is_dir():
            return None
        self.folder.touch(key)
        if packed.key:
            self.folder.release(packed.key)
            return Prepared(f"{path}/", packed.digest, key)
        return Prepared(f"{path}/", packed.digest, key, packed.state, packed.image)

    def _unpack(self, packed: Prepared, key: str) -> bool:
        """Unpack a SIF file; False if that fails."""
        target = self.folder.path / f"{key}.sandbox"
        with self.folder.work_folder(key) as part:
            root = part / "root"
            command = self.runtime.unpack(packed.image, str(root))
            done = self.fetcher.run(command, self.request, watched=part)
            if done is None or done.returncode:
                return False
            record = {"image": packed.image, "digest": packed.digest, "bytes": size_of(root)}
            remove_tree(target)
            root.replace(target)
            write_record(self.folder.record_file(key), record)
        return True


def _archive_state(address: str) -> str:
    """Return what changes when the archive that an address names is replaced; empty if it names none."""
    path = images.path_of(address)
    if path is None:
        return ""
    try:
        return str(file_state(Path(path)))
    except OSError as error:
        raise ImageError(f"the image {address} on this node: {error.strerror}") from None
