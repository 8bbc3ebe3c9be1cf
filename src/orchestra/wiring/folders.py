"""The folders that the configuration decides on; they may not exist yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.config import Settings


def data_folder(settings: Settings) -> Path:
    """Return the folder of the embedded database, used or not."""
    from orchestra.store.postgres import datafolder

    return (settings.data_dir or datafolder.default_folder()[0]).absolute()


def pilot_folder(settings: Settings, cluster: str, node: str) -> Path:
    """Return the folder where the pilot of a node keeps its log and what its keepers need."""
    from orchestra.pilot import state_folder

    usual = state_folder.pilot_folder(cluster, node)
    if settings.state_dir is None:
        return usual
    return settings.state_dir / usual.parent.name / usual.name


def shared_images(settings: Settings, cluster: str) -> Path:
    """Return where the pilots of pools of a cluster keep pulled images on this machine, for those that come later."""
    from orchestra.pilot import state_folder

    return pilot_folder(settings, cluster, "node").with_name(state_folder.IMAGES)


def pilots_folder(settings: Settings) -> Path:
    """Return the folder that contains the folders of all pilots of this account."""
    return pilot_folder(settings, "cluster", "node").parent.parent


def servers_folder(settings: Settings, cluster: str) -> Path:
    """Return the folder where the servers of this account for a cluster say where they listen."""
    return pilot_folder(settings, cluster, "node").parent


def mail_folder(settings: Settings) -> Path:
    """Return the folder for mails that no mail server takes.

    It is in the data folder. With a server and no `data_dir` there is none, and it is beside the pilots' folders.
    """
    if settings.data_dir is None and settings.postgres is not None:
        return pilots_folder(settings).absolute() / "mail"
    return data_folder(settings) / "mail"
