"""Checks of a new task's files on the creator's machine: its image, its volume and its folder."""

from __future__ import annotations

import os
from dataclasses import replace

from orchestra.domain import images
from orchestra.domain.errors import BadInput
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.wording import Field, words
from orchestra.files import config_links, image_files, volume


def check(new: NewTask, folder: str, *, dry: bool = False, elsewhere: bool = False) -> NewTask:
    """Check the files of a new task; return it with its checked image and the highest attempt in its folder.

    Args:
        folder: the task's folder.
        dry: leave out even the trial file on the volume.
        elsewhere: the volume is not on this machine, so that the nodes will check it.

    Raises:
        BadInput: its image cannot be used.
        VolumeError: its volume or its folder cannot be used.
    """
    if elsewhere:
        return _elsewhere(new)
    image = None if new.image is None else image_files.check(new.image)
    volume.check_volume(new.volume, dry=dry)
    volume.check_task_folder(folder, reuse=new.reuse)
    attempts = volume.highest_attempt(folder) if new.reuse else 0
    if new.reuse and not dry:
        config_links.settle(folder)
    return replace(new, image=image, attempts=attempts)


def _elsewhere(new: NewTask) -> NewTask:
    if new.reuse:
        raise BadInput(
            words(Field.REUSE(True), f" looks at the volume {new.volume}, which is not here.")
        )
    path = None if new.image is None else images.path_of(images.check(new.image))
    if new.image is None or (path and not os.path.lexists(path)):
        return new
    return replace(new, image=image_files.check(new.image))
