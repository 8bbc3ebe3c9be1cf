"""Outcomes: how an attempt ended, from what its keeper reports, with the reason in words. Pure."""

from __future__ import annotations

import errno
import signal
from dataclasses import replace

from orchestra.domain.human import duration, size
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.domain.storable import storable
from orchestra.pilot.keeper_messages import Ended, Refused
from orchestra.pilot.state import LocalAttempt, Note

STOPPED = "its pilot was stopped"
"""The reason with which `pilot stop --now` ends attempts; their jobs run again elsewhere."""

# Errors of the node, not of the command.
_TRANSIENT = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE}
_SHELL = {126: "the command could not be run", 127: "command not found"}


CLOSED = "the node closed"
"""How the reason begins with which attempts are ended when the hours of their node are over."""

ALLOCATION = "its allocation"
"""How the reason begins with which attempts are ended because the engine takes their node back."""

_CAUSES = {STOPPED: Cause.LEASE, CLOSED: Cause.CLOSED, ALLOCATION: Cause.CLOSED}
"""Of attempts that were ended for a reason that begins so: no job is at fault, so no retry is used up."""


def outcome_of(ended: Ended, attempt: LocalAttempt) -> Outcome:
    """Return the outcome of an attempt that its keeper reports as ended, before its files are read."""
    # The keeper keeps the first reason that it was given, possibly by an earlier agent.
    asked = (ended.reason or "") if ended.cause is Cause.ENDED else ""
    blameless = next((cause for why, cause in _CAUSES.items() if asked.startswith(why)), None)
    if attempt.note.runtime:
        ended = without_container(ended)
    return Outcome(
        key=ended.key,
        cause=blameless or ended.cause,
        sequence=ended.sequence,
        exit_status=ended.exit_status,
        signal=ended.signal,
        reason=plain_text(reason_of(ended, attempt.note, attempt.end_reason)),
        seconds=ended.seconds,
        usage=ended.usage,
        devices=attempt.note.devices,
        image_digest=attempt.note.image_digest,
    )


def outcome_of_refusal(refused: Refused) -> Outcome:
    """Return the outcome of an attempt that its keeper has refused: a failure only where the command is at fault."""
    transient = refused.errno in _TRANSIENT
    at_fault = refused.reason == "invalid" or (refused.reason == "spawn" and not transient)
    cause = Cause.NO_START if at_fault else Cause.RETURNED
    return Outcome(refused.key, cause, reason=plain_text(f"not started: {refused.message}"))


def without_container(ended: Ended) -> Ended:
    """Return the end of a command as it would be without its container, which adds 128 to the number of a signal."""
    status = ended.exit_status
    number = status - 128 if status is not None else 0
    if number not in signal.valid_signals():
        return ended
    cause = Cause.SIGNAL if ended.cause is Cause.EXIT else ended.cause
    return replace(ended, cause=cause, exit_status=None, signal=int(number))


def reason_of(ended: Ended, note: Note, end_reason: str | None = None) -> str | None:
    """Return why an attempt ended, for people; None for a success."""
    match ended.cause:
        case Cause.EXIT:
            return _exit_text(ended.exit_status)
        case Cause.SIGNAL:
            return f"killed by signal {_signal_text(ended.signal)}, not by Orchestra"
        case Cause.TIMEOUT:
            limit = f" of {duration(note.timeout)}" if note.timeout else ""
            return f"ran longer than its time limit{limit}"
        case Cause.OUT_OF_MEMORY:
            return _memory_text(ended, note)
        case Cause.LEASE:
            return "ended because its node had not reached the database for as long as the lease"
        case _:
            why = end_reason or ended.reason
            return f"ended because {why}" if why else "ended on request"


def _exit_text(status: int | None) -> str | None:
    if status in (0, None):
        return None
    return f"exit status {status}" + (f" ({_SHELL[status]})" if status in _SHELL else "")


def _signal_text(number: int | None) -> str:
    try:
        return f"{number} ({signal.Signals(number or 0).name})"
    except ValueError:
        return str(number)


def _memory_text(ended: Ended, note: Note) -> str:
    if note.memory is not None and note.runtime in ("podman", "docker"):
        return f"ran out of memory: it needed more than {size(note.memory)} (--memory)"
    used = size(ended.usage.max_rss_bytes or 0)
    if note.memory is None:
        return f"killed by the kernel because the machine ran out of memory; it used {used}"
    return (
        f"ran out of memory: it used {used} of the {size(note.memory)} that it may use (--memory)"
    )


def plain_text(text: str | None) -> str | None:
    """Return text that PostgreSQL can store: without NUL and without the surrogates of undecodable file names."""
    return None if text is None else storable(text)
