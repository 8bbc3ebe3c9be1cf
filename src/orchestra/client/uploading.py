"""Uploads of a client whose files the nodes do not see."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.client.session import Session
    from orchestra.domain.models.datasets import Manifest

_log = logging.getLogger("orchestra.client")


def taken(session: Session, name: str, found: Manifest, upload: bool | None = None) -> Manifest:
    """Return files as they are to be registered for a data set or task of that name: after an upload, if one is needed.

    Raises:
        BadInput, Refused, ServerUnavailable: as `interface.uploading.taken`.
    """
    from orchestra.interface import uploading

    with session.interface() as ask:
        label = uploading.label_of(name)
        result = uploading.taken(ask, label, found, upload, lambda _sent, _total: None)
    if result.note:
        _log.info("%s", result.note)
    return result.manifest
