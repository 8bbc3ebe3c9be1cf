"""What a person may set of a node besides its slots and labels. Pure."""

from __future__ import annotations

from dataclasses import replace

from orchestra.domain.errors import BadInput
from orchestra.domain.models.nodes import NodeSettings
from orchestra.domain.opening_hours import ALWAYS, canonical

NICEST = 19
"""The lowest priority of a process (setpriority(2))."""
MOST_BYTES = 2**60

ALL_MEMORY = 0
"""As `memory_bytes`: no limit but what the machine has."""


def checked(settings: NodeSettings) -> NodeSettings:
    """Return settings as they are stored, with hours in their canonical form.

    Raises:
        BadInput: one of them cannot be had. Its `field` names it.
    """
    nice, memory, hours = settings.nice, settings.memory_bytes, settings.open_hours
    if nice is not None and not 0 <= nice <= NICEST:
        raise BadInput(
            f"{nice} is not a niceness of jobs: it is 0 to {NICEST}, the highest for the lowest priority.",
            field="nice",
        )
    if memory is not None and not 0 <= memory <= MOST_BYTES:
        raise BadInput(f"a node cannot have {memory} bytes of memory.", field="memory")
    if hours is None:
        return settings
    try:
        return replace(settings, open_hours=canonical(hours) or ALWAYS)
    except BadInput as error:
        raise BadInput(error.message, hint=error.remedy, field="open") from None
