"""What a new task needs of the machine on which it is asked for: its image, its volume, and a folder of its own."""

from __future__ import annotations

from dataclasses import replace

from orchestra.domain.models.new_tasks import NewTask
from orchestra.files import image_files, volume


def check(new: NewTask, folder: str, *, dry: bool = False) -> NewTask:
    """Check the files of a task that can be made otherwise; return it with what they say of it.

    Args:
        folder: the task's own.
        dry: leave out even the trial file on the volume.

    Raises:
        BadInput: its image cannot be used.
        VolumeError: its volume or its folder cannot.
    """
    image = None if new.image is None else image_files.check(new.image)
    volume.check_volume(new.volume, dry=dry)
    volume.check_task_folder(folder, reuse=new.reuse)
    attempts = volume.highest_attempt(folder) if new.reuse else 0
    return replace(new, image=image, attempts=attempts)
