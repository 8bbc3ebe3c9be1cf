"""Why attempts failed, as codes that can be typed and put in an address: `exit:3`, `signal:9`, `timeout`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line
from orchestra.domain.outcome_text import describe_end
from orchestra.domain.states import Cause

_NUMBERED = (Cause.EXIT, Cause.SIGNAL)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why attempts failed. `number` is the exit status or the signal; None for any, or where there is none."""

    cause: Cause
    number: int | None = None

    @classmethod
    def of(cls, cause: Cause, exit_status: int | None, signal: int | None) -> Reason:
        """The reason of an attempt that ended so."""
        return cls(cause, {Cause.EXIT: exit_status, Cause.SIGNAL: signal}.get(cause))

    @property
    def exit_status(self) -> int | None:
        return self.number if self.cause is Cause.EXIT else None

    @property
    def signal(self) -> int | None:
        return self.number if self.cause is Cause.SIGNAL else None

    @property
    def words(self) -> str:
        """The reason in words: `exit status 3`, `exceeded its timeout`."""
        if self.cause is Cause.GPU_OUT_OF_MEMORY:
            return "the GPU's memory was full"
        if self.number is None and self.cause in _NUMBERED:
            return "any exit status" if self.cause is Cause.EXIT else "killed by any signal"
        return describe_end(self.cause, self.exit_status, self.signal)

    def __str__(self) -> str:
        return self.cause.value if self.number is None else f"{self.cause.value}:{self.number}"


def parse_reason(code: str) -> Reason:
    """Parse `exit:3`, `exit` for any exit status, `timeout`.

    Raises:
        BadInput: it is not the code of a reason.
    """
    word, colon, number = code.strip().partition(":")
    if word in {cause.value for cause in Cause}:
        cause = Cause(word)
        if not colon:
            return Reason(cause)
        if cause in _NUMBERED and number.isascii() and number.isdigit() and len(number) < 10:
            return Reason(cause, int(number))
    others = listed([cause.value for cause in Cause if cause not in _NUMBERED])
    raise BadInput(
        f'"{one_line(code)}" is not a reason why jobs fail.',
        hint=f"Reasons are exit:1 (the exit status), signal:9, {others}.",
    )
