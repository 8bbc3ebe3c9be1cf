"""The embedded database for one machine: creating, starting and stopping it.

One server owns a data folder. A command that starts or stops it holds the file `lock` meanwhile. The server holds a
lock on the folder itself for as long as one of its processes lives, so that "running" does not depend on a process
id. That lock also keeps the cleaners of /var/tmp out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestra.domain.errors import Refused, VolumeError
from orchestra.homefolder import expanded
from orchestra.store.postgres import datafolder, postmaster
from orchestra.store.postgres.postmaster import Place

if TYPE_CHECKING:
    from orchestra.store.postgres.programs import Announce

_NO_SETTINGS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Status:
    """The status of the embedded database. `size` is in bytes on disk, `url` contains the password.

    `major` is the version of PostgreSQL that created it, None if it does not exist.
    """

    data_dir: Path
    exists: bool
    major: int | None
    running: bool
    pid: int | None
    url: str | None
    size: int
    log: Path


def ensure_running(
    data_dir: Path | None = None,
    announce: Announce | None = None,
    *,
    settings: Mapping[str, str] = _NO_SETTINGS,
) -> str:
    """Return the address of the embedded database; create and start it if needed.

    `announce` is called with a line for everything that is created: a new database, an account. `settings` are
    PostgreSQL's own, for this start. The address contains the password.

    Raises:
        Refused: another machine uses this folder, or it is on a network file system.
        VolumeError: the folder cannot be created or belongs to another user.
        DatabaseUnavailable: PostgreSQL does not start here; the message says why.
    """
    say = announce or _say_nothing
    place = Place(_choose(data_dir, say))
    if url := postmaster.answering(place):
        return url
    from orchestra.store.postgres import startup

    # Root's server account has to pass through the folder to its own part of it.
    datafolder.make_private(place.data, mode=0o700 if os.geteuid() else 0o711)
    try:
        with postmaster.one_at_a_time(place):
            return postmaster.answering(place) or startup.make_and_start(place, say, settings)
    except OSError as error:
        raise VolumeError(
            f"{error.filename or place.data} cannot be used for the database: {error.strerror}."
        ) from error


def url_if_ready(data_dir: Path | None = None) -> str | None:
    """The address at which the embedded database reported that it is ready, or None. It may have stopped since."""
    return postmaster.url(Place(_choose(data_dir)))


def url_if_running(data_dir: Path | None = None) -> str | None:
    """The address of the embedded database if it answers, or None. Starts and creates nothing."""
    return postmaster.answering(Place(_choose(data_dir)))


def status(data_dir: Path | None = None) -> Status:
    """Return the status of the embedded database. Starts and creates nothing."""
    place = Place(_choose(data_dir))
    url = postmaster.answering(place)
    facts = postmaster.postmaster(place)
    return Status(
        data_dir=place.data,
        exists=place.exists,
        major=place.major,
        running=url is not None,
        pid=int(facts[0]) if url and facts else None,
        url=url,
        size=_size(place.cluster),
        log=place.log,
    )


def stop(
    data_dir: Path | None = None, mode: Literal["smart", "fast", "immediate"] = "fast"
) -> bool:
    """Stop the embedded database and wait for that; False if it was not running.

    Raises:
        DatabaseUnavailable: it does not stop within a minute.
    """
    place = Place(_choose(data_dir))
    if not place.exists:
        return False
    from orchestra.store.postgres import startup

    with postmaster.one_at_a_time(place):
        return startup.stop(place, mode)


def _say_nothing(_line: str) -> None:
    pass


def _choose(data_dir: Path | None, say: Announce | None = None) -> Path:
    if data_dir is None:
        folder, why = datafolder.default_folder()
        if why and say and not folder.exists():
            say(why)
        return folder
    folder = expanded(data_dir).absolute()
    if kind := datafolder.network_file_system(folder):
        raise Refused(
            f"{folder} is on a network file system ({kind}), and a database there would be destroyed sooner or later.",
            hint='Leave "data_dir" out of the configuration, or name a folder on a local disk.',
        )
    return folder


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += Path(parent, name).lstat().st_blocks * 512
            except OSError:
                pass  # a server removes files meanwhile
    return total
