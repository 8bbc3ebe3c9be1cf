"""Results whose inputs differed from what was registered."""

from __future__ import annotations

from dataclasses import dataclass

COUNTED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class ChangedInputs:
    """The number of such results, up to 10,000, and the note on one of them."""

    results: int = 0
    example: int | None = None
    note: str | None = None

    def __bool__(self) -> bool:
        return self.results > 0

    @property
    def counted(self) -> str:
        more = " or more" if self.results >= COUNTED_AT_MOST else ""
        return f"{self.results:,}{more}"
