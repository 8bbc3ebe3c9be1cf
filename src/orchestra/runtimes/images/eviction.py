"""Evicts the least recently used images from the cache folder."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from orchestra.runtimes.images.folder import CacheFolder, read_record, remove_tree

_STALE_AFTER = 7 * 86400.0
"""Seconds after which work in progress must have been abandoned."""


def evict(folder: CacheFolder, limit: int) -> None:
    """Remove the least recently used images until they take at most `limit` bytes, but none that is in use."""
    images = []
    for path in (*folder.path.glob("*.sif"), *folder.path.glob("*.sandbox")):
        with suppress(OSError, KeyError):
            record = path.with_suffix(".json")
            images.append((record.stat().st_mtime, path, int(str(read_record(record)["bytes"]))))
    total = sum(size for _, _, size in images)
    for _, path, size in sorted(images):
        if total <= limit:
            break
        total -= size if _remove(folder, path) else 0
    for part in folder.path.glob("*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE_AFTER:
                remove_tree(part)


def _remove(folder: CacheFolder, path: Path) -> bool:
    if path.stem in folder.in_use:
        return False
    try:
        with folder.try_exclusive(path.stem) as is_exclusive:
            if is_exclusive:
                # The record first: without it, whatever remains is not considered an image.
                path.with_suffix(".json").unlink(missing_ok=True)
                if path.suffix == ".sandbox":
                    remove_tree(path)
                else:
                    path.unlink(missing_ok=True)
            return is_exclusive
    except OSError:
        return False
