"""What an agent and a keeper tell each other: the keeper's events as values, and the errors of their connection.

`keeper.py` documents what each message promises and what may be repeated. An `AttemptKey` here is the pair of
`attempt` and `token` there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Cause
from orchestra.domain.usage import Usage


class KeeperError(OrchestraError):
    """The keeper cannot be used."""

    code = "keeper_error"


class KeeperGone(KeeperError):
    """The keeper has closed the connection."""

    code = "keeper_gone"


class KeeperSilent(KeeperError):
    """The keeper is alive and does not answer."""

    code = "keeper_silent"


class KeeperIncompatible(KeeperError):
    """The keeper speaks a protocol that this agent does not support. Only its spool can be read."""

    code = "keeper_foreign"


class SpoolDamaged(KeeperError):
    """The spool exists, but its content cannot be read."""

    code = "spool_damaged"


class KeeperSuperseded(KeeperGone):
    """Another agent has taken over the keeper."""

    code = "keeper_superseded"


@dataclass(frozen=True, slots=True)
class Started:
    """A process that runs since `boottime` (CLOCK_BOOTTIME). `pid` is valid only with `start_time` and the boot id."""

    key: AttemptKey
    pid: int
    start_time: int
    boottime: float
    note: Any
    cgroup: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A spawn that started nothing and may be tried again.

    `reason` is `spawn` (the system call failed with `errno`), `spool` (no room to record the outcome), `lease`,
    `stopping`, `invalid`, or `withdrawn` (it was queued behind another attempt). `message` is the reason in words.
    """

    key: AttemptKey
    reason: str
    errno: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, of which no process is left. Sent again until `send_ack([sequence])`.

    Exit status, signal and `seconds` are those of the leader. `cause` is EXIT, SIGNAL, TIMEOUT, ENDED (with the
    `reason` that was given), LEASE or OUT_OF_MEMORY. `max_rss_bytes` is never below the keeper's own 15 MB or so.
    """

    key: AttemptKey
    sequence: int
    cause: Cause
    reason: str | None
    exit_status: int | None
    signal: int | None
    seconds: float
    usage: Usage
    boottime: float
    note: Any


@dataclass(frozen=True, slots=True)
class Hello:
    """A keeper's identity, the attempts that it runs, and the outcomes that nobody has acknowledged."""

    keeper: UUID
    boot_id: str
    pid: int
    version: str
    protocol: int
    running: tuple[Started, ...] = ()
    outcomes: tuple[Ended, ...] = ()


Event = Hello | Started | Refused | Ended


@dataclass(frozen=True, slots=True)
class Successor:
    """An agent that a keeper starts when there has been none for `after` seconds.

    `argv[0]` is an absolute path on a local disk. `lock` is the file that agents lock as long as they live.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    lock: str
    after: float


def parse_event(message: Mapping[str, Any]) -> Event:
    """Parse a decoded message of a keeper, or a record of its spool."""
    return _PARSERS[message["type"]](message)


def parse_hello(message: Mapping[str, Any]) -> Hello:
    """Parse a hello, or the header of a spool."""
    return Hello(
        keeper=UUID(message["keeper"]),
        boot_id=message["boot_id"],
        pid=message["pid"],
        version=message["version"],
        protocol=message["protocol"],
        running=tuple(map(_parse_started, message["running"])),
        outcomes=tuple(map(_parse_ended, message["outcomes"])),
    )


def _parse_started(message: Mapping[str, Any]) -> Started:
    return Started(
        _key(message),
        message["pid"],
        message["start_time"],
        message["boottime"],
        message["note"],
        message["cgroup"],
    )


def _parse_refused(message: Mapping[str, Any]) -> Refused:
    return Refused(_key(message), message["reason"], message["errno"], message["message"])


def _parse_ended(message: Mapping[str, Any]) -> Ended:
    return Ended(
        key=_key(message),
        sequence=message["sequence"],
        cause=_CAUSES.get(message["cause"]) or Cause(message["cause"]),
        reason=message["reason"],
        exit_status=message["exit_status"],
        signal=message["signal"],
        seconds=message["seconds"],
        usage=Usage.of(message),
        boottime=message["boottime"],
        note=message["note"],
    )


def _key(message: Mapping[str, Any]) -> AttemptKey:
    return _parse_key(message["attempt"], message["token"])


@lru_cache(maxsize=1024)  # each key arrives at least twice
def _parse_key(attempt: str, token: str) -> AttemptKey:
    task, index, number = map(int, attempt.split("/"))
    return AttemptKey(task, index, number, UUID(token))


_CAUSES = {"memory": Cause.OUT_OF_MEMORY}
_PARSERS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "hello": parse_hello,
    "started": _parse_started,
    "refused": _parse_refused,
    "ended": _parse_ended,
}
