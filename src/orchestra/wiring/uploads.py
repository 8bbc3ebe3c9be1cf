"""The folder for uploads: whether it can be used, and what removes what no data set has."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from orchestra.domain.errors import OrchestraError

if TYPE_CHECKING:
    from orchestra.api.server import Server
    from orchestra.config import Settings
    from orchestra.files.upload_store import UploadStore

SWEEP_EVERY = 3600.0

_log = logging.getLogger(__name__)


def upload_store(settings: Settings) -> UploadStore | None:
    """Return the folder for uploads, if the configuration names one.

    Raises:
        VolumeError: it cannot be used.
    """
    from orchestra.files.upload_store import UploadStore

    if settings.upload_root is None:
        return None
    found = UploadStore(str(settings.upload_root), settings.upload_limit)
    found.check()
    return found


@contextmanager
def swept(server: Server) -> Iterator[None]:
    """Sweep the uploads of a server at the beginning of the block and then hourly."""
    ended = Event()
    if server.uploads is not None:
        Thread(target=_sweep, args=(server, server.uploads, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _sweep(server: Server, store: UploadStore, ended: Event) -> None:
    while not ended.is_set():
        try:
            store.sweep(server.roots_in_use(f"{store.root}/"))
        except (OrchestraError, OSError) as error:  # next time, then
            _log.warning("the uploads could not be swept: %s", error)
        ended.wait(SWEEP_EVERY)
