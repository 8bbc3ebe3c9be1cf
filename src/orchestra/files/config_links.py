"""Links named after the configs, in `by-config` in a task's folder: `by-config/model/a.yaml` leads to that result.

A link has the path of its config below the data set's folder, ending included, so that no two configs share one. It
points at the job's own symlink, `job_configId_N`, which is switched from attempt to attempt; nothing here has to be.
For a config that is the output of another task's job, the name is that of the job there.

No symlink is followed on the way to a link, and nothing but links of this kind is ever replaced or removed.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

from orchestra.domain.models.jobs import ATTEMPTS

BY_CONFIG = "by-config"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OUTPUT = re.compile(rf"{re.escape(ATTEMPTS)}/(job_configId_[0-9]+)/[0-9]+")
_TO_JOB = re.compile(r"(?:\.\./)+(job_configId_[0-9]+)")
_TO_ATTEMPT = re.compile(rf"(?:\.\./)+{re.escape(ATTEMPTS)}/job_configId_[0-9]+/[0-9]+")
_ATTEMPT = re.compile(rf"{re.escape(ATTEMPTS)}/job_configId_[0-9]+/[0-9]+")


def name_of(config: str) -> str | None:
    """Return the name of a config's link, by its path in the data set; None if it has none."""
    if output := _OUTPUT.fullmatch(config):
        return output[1]
    # A folder with that of attempts in it would be taken for a task's.
    return None if {"", ".", "..", ATTEMPTS} & set(config.split("/")) else config


def make(task_folder: str, index: int, config: str) -> None:
    """Create the link of a job's config, or leave it as it is if it exists.

    Raises:
        OSError: it cannot be created; FileExistsError if something else has its name.
    """
    if (path := name_of(config)) is None:
        return
    *parents, name = path.split("/")
    target = f"{'../' * (len(parents) + 1)}job_configId_{index}"
    with _folder(task_folder, [BY_CONFIG, *parents]) as folder:
        try:
            os.symlink(target, name, dir_fd=folder)
        except FileExistsError:
            present = _target(name, folder)
            if present == target:
                return
            if present is None or not _is_ours(present):
                raise
            _replace(target, name, folder)


def settle(task_folder: str) -> None:
    """Point the links at the attempts that they lead to now, before another task uses the folder for its own jobs."""
    with suppress(OSError), _opened(task_folder) as top:
        for depth, name, folder in _links(top):
            job = _TO_JOB.fullmatch(_target(name, folder) or "")
            attempt = _target(job[1], top) if job else None
            if attempt and _ATTEMPT.fullmatch(attempt):
                _replace(f"{'../' * depth}{attempt}", name, folder)


def foreign(top: int) -> list[str]:
    """Return what is in `by-config` of an open task's folder and is no such link."""
    if not _is_folder(BY_CONFIG, top):
        return [BY_CONFIG]
    found = []
    for path, folders, files, at in os.fwalk(BY_CONFIG, dir_fd=top, follow_symlinks=False):
        found += [
            f"{path}/{name}"
            for name in sorted([*folders, *files])
            if not _is_folder(name, at) and not _is_ours(_target(name, at))
        ]
    return found


def remove_dangling(top: int) -> None:
    """Remove links that lead nowhere from an open task's folder, and folders of links that are then empty.

    Raises:
        OSError: a link cannot be removed.
    """
    if not _is_folder(BY_CONFIG, top):
        return
    below = os.fwalk(BY_CONFIG, dir_fd=top, follow_symlinks=False, topdown=False)
    for _path, folders, files, at in below:
        for name in (*folders, *files):
            if _is_folder(name, at):
                with suppress(OSError):  # it contains something that is not ours, which stays
                    os.rmdir(name, dir_fd=at)
            elif _is_ours(_target(name, at)) and not _leads_somewhere(name, at):
                os.unlink(name, dir_fd=at)
    with suppress(OSError):
        os.rmdir(BY_CONFIG, dir_fd=top)


def _links(top: int) -> Iterator[tuple[int, str, int]]:
    """Yield all symlinks with how many folders they are below the task's, and the folder that they are in."""
    for path, folders, files, at in os.fwalk(BY_CONFIG, dir_fd=top, follow_symlinks=False):
        for name in (*folders, *files):
            if _target(name, at) is not None:
                yield len(PurePosixPath(path).parts), name, at


def _is_ours(target: str | None) -> bool:
    return bool(target and (_TO_JOB.fullmatch(target) or _TO_ATTEMPT.fullmatch(target)))


def _target(name: str, folder: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return None


def _replace(target: str, name: str, folder: int) -> None:
    beside = f".{target.rpartition('/')[2]}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=folder)
    os.symlink(target, beside, dir_fd=folder)
    os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)


@contextmanager
def _opened(path: str, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _folder(task_folder: str, names: list[str]) -> Iterator[int]:
    """Open a folder below a task's; create it, in place of links of configs that have gone."""
    try:
        # One call in the usual case: flat names, in a folder that exists.
        descriptor = os.open(f"{task_folder}/{names[0]}", _FOLDER)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(f"{task_folder}/{names[0]}")  # noqa: PTH102
        descriptor = os.open(f"{task_folder}/{names[0]}", _FOLDER)
    try:
        for name in names[1:]:
            below = _subfolder(name, descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _subfolder(name: str, parent: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        if _is_ours(_target(name, parent)):
            os.unlink(name, dir_fd=parent)
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    return os.open(name, _FOLDER, dir_fd=parent)


def _is_folder(name: str, parent: int) -> bool:
    try:
        os.close(os.open(name, _FOLDER, dir_fd=parent))
    except OSError:
        return False
    return True


def _leads_somewhere(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder)
    except OSError:
        return False
    return True
