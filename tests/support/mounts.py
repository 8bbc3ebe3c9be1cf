"""File systems that are full or hang, for tests that run as root."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.needs import missing, need

_DETACH = 2  # MNT_DETACH of sys/mount.h


def _mount(kind: str, target: Path, options: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"test", os.fsencode(target), kind.encode(), 0, options.encode()):
        missing(f"cannot mount a {kind}: {os.strerror(ctypes.get_errno())}")


def _unmount(target: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(target), _DETACH)


@contextmanager
def small(target: Path, options: str) -> Iterator[None]:
    """A file system in memory over a folder, with tmpfs's options, such as its size."""
    need("root")
    target.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", target, options)
    try:
        yield
    finally:
        _unmount(target)


@contextmanager
def hung(target: Path) -> Iterator[None]:
    """A file system over a folder that does not answer; at the end everything that waits for it gets an error.

    It is unmounted first, so that later accesses find the folder as it was.
    """
    need("root", "fuse")
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        _mount("fuse", target, f"fd={device},rootmode=40000,user_id=0,group_id=0")
        yield
    finally:
        _unmount(target)
        os.close(device)
