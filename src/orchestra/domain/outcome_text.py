"""How an attempt ended, in words. Pure."""

from __future__ import annotations

import signal as signals

from orchestra.domain.human import one_line
from orchestra.domain.states import Cause

_WORDS: dict[str, str] = {
    Cause.OUT_OF_MEMORY: "ran out of memory",
    Cause.TIMEOUT: "ran longer than its time-out",
    Cause.ENDED: "ended on request",
    Cause.LEASE: "ended with its lease or its pilot",
    Cause.NO_START: "could not be started",
    Cause.NO_CONTAINER: "its container could not be begun",
    Cause.NOT_COMPLETE: "exit status 0, but not complete",
    Cause.INPUT: "an input has changed",
    Cause.VOLUME: "its folder could not be made",
    Cause.RETURNED: "given back by its pilot",
    Cause.LOST: "lost with its node",
    "unheard": "lost before it was heard of",
}

TOLD_BY_REASON = frozenset({Cause.ENDED, Cause.LEASE})
"""Ends of which the reason says all: who or what ended the attempt, and why."""

# Ends of attempts whose command may never have begun.
_WITHOUT_LOG = frozenset({Cause.NO_START, Cause.NO_CONTAINER, Cause.INPUT, Cause.VOLUME})


def leaves_log(cause: Cause | None, log_tail: bytes | None) -> bool:
    """Whether there is a log to look at. A container that could not be begun may have told why there."""
    return bool(log_tail) or cause not in _WITHOUT_LOG


def describe_end(cause: Cause, exit_status: int | None, signal: int | None) -> str:
    """Say how an attempt ended: "exit status 3", "killed by signal 9 (SIGKILL)"."""
    if cause is Cause.EXIT:
        return f"exit status {exit_status}"
    if cause is Cause.SIGNAL:
        return f"killed by signal {signal}{_signal_name(signal)}"
    if cause is Cause.GPU_OUT_OF_MEMORY:
        how = Cause.EXIT if signal is None else Cause.SIGNAL
        return f"{describe_end(how, exit_status, signal)}: the GPU's memory was full"
    return _WORDS.get(cause, cause.value)


def _signal_name(number: int | None) -> str:
    try:
        return f" ({signals.Signals(number or 0).name})"
    except ValueError:  # a real-time signal has no name of its own
        return ""


def last_line(tail: bytes | None) -> str | None:
    """Give the last line of a log that says something, safe to print."""
    lines = (tail or b"").decode(errors="replace").splitlines()
    spoken = next((line.strip() for line in reversed(lines) if line.strip()), None)
    return one_line(spoken, 100) if spoken else None


def last_lines(tail: bytes | None, count: int) -> tuple[str, ...]:
    """Give the last lines of a log without empty ones at its end, safe to print; they keep their indent."""
    lines = (tail or b"").decode(errors="replace").rstrip().splitlines()
    chosen = lines[-count:] if count else []
    return tuple(one_line(line.rstrip().expandtabs(4), 160) for line in chosen)
