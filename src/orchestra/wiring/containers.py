"""What this machine runs containers with: runtimes, binds, the image cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.domain.errors import BadInput, ConfigurationError
from orchestra.domain.wording import words
from orchestra.homefolder import home_folder

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.domain.binds import Bind
    from orchestra.runtimes.discovery import ContainerRuntime
    from orchestra.runtimes.images.cache import ImageCache


def container_runtimes(
    settings: Settings, *, leave_no_files: bool = False
) -> tuple[ContainerRuntime, ...]:
    """Return the container runtimes of this machine, best first; `leave_no_files` leaves no files behind.

    Raises:
        ConfigurationError: the configured runtime cannot be used.
    """
    from orchestra.runtimes import discovery

    origin = settings.origin("container_runtime")
    return discovery.find_runtimes(
        settings.container_runtime, os.environ, origin=origin, leave_no_files=leave_no_files
    )


def container_binds(settings: Settings) -> tuple[Bind, ...]:
    """Return the paths of this node that every container sees.

    Raises:
        ConfigurationError: one of them is not a bind.
    """
    from orchestra.domain.binds import parse_bind

    try:
        return tuple(parse_bind(text, field=None) for text in settings.container_binds)
    except BadInput as error:
        origin = settings.origin("container_binds")
        raise ConfigurationError(
            words(f'"container_binds" in {origin}: ', error.message), hint=error.remedy
        ) from None


def image_cache(settings: Settings) -> ImageCache:
    """Return the image cache of `job run --here`: that of the nodes if one is configured, else the user's own."""
    from orchestra.runtimes.environment import inherited
    from orchestra.runtimes.images.cache import ImageCache

    home = home_folder() or Path(f"/var/tmp/orchestra-{os.geteuid()}")  # noqa: S108 - made private, or refused
    usual = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "orchestra/images"
    return ImageCache(
        settings.image_cache or usual,
        inherited(os.environ),
        limit=settings.image_cache_size,
        silence=settings.image_fetch_timeout,
    )
