"""Checks of a new task's files on the creator's machine: its image, its volume and its folder."""

from __future__ import annotations

from dataclasses import replace

from orchestra.domain.models.new_tasks import NewTask
from orchestra.files import config_links, image_files, volume


def check(new: NewTask, folder: str, *, dry: bool = False) -> NewTask:
    """Check the files of a new task; return it with its checked image and the highest attempt in its folder.

    Args:
        folder: the task's folder.
        dry: leave out even the trial file on the volume.

    Raises:
        BadInput: its image cannot be used.
        VolumeError: its volume or its folder cannot be used.
    """
    image = None if new.image is None else image_files.check(new.image)
    volume.check_volume(new.volume, dry=dry)
    volume.check_task_folder(folder, reuse=new.reuse)
    attempts = volume.highest_attempt(folder) if new.reuse else 0
    if new.reuse and not dry:
        config_links.settle(folder)
    return replace(new, image=image, attempts=attempts)
