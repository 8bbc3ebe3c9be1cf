"""How an attempt ended, in words, and the last lines of its log. Pure."""

from __future__ import annotations

import signal as signals

from orchestra.domain.human import one_line
from orchestra.domain.states import Cause

_WORDS: dict[str, str] = {
    Cause.OUT_OF_MEMORY: "ran out of memory",
    Cause.TIMEOUT: "exceeded its timeout",
    Cause.ENDED: "ended on request",
    Cause.LEASE: "ended with its lease or its pilot",
    Cause.CLOSED: "ended because its node closed, or its allocation did",
    Cause.NO_START: "could not be started",
    Cause.NO_CONTAINER: "its container could not be started",
    Cause.NOT_COMPLETE: "exit status 0, but not complete",
    Cause.INPUT: "an input has changed",
    Cause.VOLUME: "its folder could not be created",
    Cause.RETURNED: "requeued by its pilot",
    Cause.LOST: "lost with its node",
    "unheard": "lost before its start was reported",
}

EXPLAINED_BY_REASON = frozenset({Cause.ENDED, Cause.LEASE, Cause.CLOSED})
"""Causes whose reason says everything: who or what ended the attempt, and why."""

# Causes where the command may never have started.
_WITHOUT_LOG = frozenset({Cause.NO_START, Cause.NO_CONTAINER, Cause.INPUT, Cause.VOLUME})


def leaves_log(cause: Cause | None, log_tail: bytes | None) -> bool:
    """Whether there is a log to read. A container that could not be started may have said why there."""
    return bool(log_tail) or cause not in _WITHOUT_LOG


def describe_end(cause: Cause, exit_status: int | None, signal: int | None) -> str:
    """Describe how an attempt ended: "exit status 3", "killed by signal 9 (SIGKILL)"."""
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
    except ValueError:  # a real-time signal has no name
        return ""


def last_line(tail: bytes | None) -> str | None:
    """The last non-empty line of a log, safe to print, or None."""
    lines = (tail or b"").decode(errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), None)
    return one_line(last, 100) if last else None


def last_lines(tail: bytes | None, count: int) -> tuple[str, ...]:
    """The last lines of a log without trailing empty ones, safe to print, with their indentation."""
    lines = (tail or b"").decode(errors="replace").rstrip().splitlines()
    chosen = lines[-count:] if count else []
    return tuple(one_line(line.rstrip().expandtabs(4), 160) for line in chosen)
