"""The configs of a run: a folder, or files that were named one by one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import Manifest
from orchestra.files import manifest


def scan(paths: Sequence[str], progress: manifest.Progress | None = None) -> Manifest:
    """Return the list of the files that were named: one folder, one file, or several files.

    Raises:
        BadInput: one of them cannot be registered.
    """
    if len(paths) == 1:
        return manifest.scan(paths[0], progress)
    raise BadInput(f"{len(paths)} paths", hint=os.curdir)
