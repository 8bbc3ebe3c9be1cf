"""Bind mounts of containers as people write them: `SRC:DST[:ro]`. Pure."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.storable import LONGEST_PATH, check_text
from orchestra.domain.wording import Field, words


@dataclass(frozen=True, slots=True)
class Bind:
    """A path of the host that a container sees under the same name, or as `target`."""

    source: PurePosixPath
    target: PurePosixPath | None = None
    read_only: bool = False

    @property
    def seen_as(self) -> PurePosixPath:
        """The path inside the container."""
        return self.target or self.source

    def __str__(self) -> str:
        return f"{self.source}:{self.seen_as}" + (":ro" if self.read_only else "")


def parse_bind(text: str, *, field: Field | None = Field.BIND) -> Bind:
    """Parse `SRC`, `SRC:DST`, `SRC:DST:ro` or `SRC:DST:rw`; both paths are absolute. Errors name `field`.

    Raises:
        BadInput: it is not of that form. A path that contains a colon cannot be given.
    """
    shown = words(field or "", " " if field else "", f'"{one_line(text)}"')
    source, *rest = text.split(":")
    mode = rest.pop() if rest and rest[-1] in ("ro", "rw") else "rw"
    target = rest.pop(0) if rest else source
    if rest:
        raise BadInput(words(shown, " has too many colons."), hint=_HINT)
    if any(char < " " for char in text):
        raise BadInput(words(shown, " contains a control character."), hint=_HINT)
    check_text(shown, text, most=2 * LONGEST_PATH)
    for path in (source, target):
        if not path.startswith("/"):
            raise BadInput(
                words(f'"{one_line(path)}" in ', shown, " is not an absolute path."), hint=_HINT
            )
    inside = PurePosixPath(posixpath.normpath(target).replace("//", "/"))
    if str(inside) == "/":
        raise BadInput(words(shown, " would hide the whole image."), hint=_HINT)
    outside = PurePosixPath(source)
    return Bind(outside, None if inside == outside else inside, mode == "ro")


_HINT = "Write SRC:DST or SRC:DST:ro with absolute paths, for example /scratch/ana:/scratch:ro."
