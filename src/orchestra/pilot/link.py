"""The agent's side of a keeper's socket: start a keeper, adopt one, speak with it, read what a dead one left.

What each message promises and what may be repeated is said in `keeper.py`; an `AttemptKey` here is the pair of
`attempt` and `token` there. A link is for one thread and for a selector's loop: nothing in it blocks but
`start_keeper` and `connect`, which wait for the keeper's hello.
"""

from __future__ import annotations

import array
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self
from uuid import UUID

import orchestra
from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Cause
from orchestra.domain.usage import Usage
from orchestra.pilot import keeper

NOTE_BYTES = keeper.NOTE_BYTES
KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
BATCH_BYTES = 1 << 17

OnLost = Literal["kill", "keep"]


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
    """The keeper speaks a protocol that this agent does not: of it only the spool can be read."""

    code = "keeper_foreign"


class SpoolDamaged(KeeperError):
    """There is a spool, and what it holds cannot be told."""

    code = "spool_damaged"


class KeeperSuperseded(KeeperGone):
    """Another agent has taken over the keeper."""

    code = "keeper_superseded"


@dataclass(frozen=True, slots=True)
class Started:
    """A process runs since `boottime` (CLOCK_BOOTTIME). `pid` counts only with `start_time` and the boot id."""

    key: AttemptKey
    pid: int
    start_time: int
    boottime: float
    note: Any
    cgroup: str | None = None

    @property
    def age(self) -> float:
        """Seconds since the start, on the machine and in the boot in which it happened."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.boottime


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was started, and the same spawn may be tried again.

    `reason` is `spawn` (the system would not: `errno`), `spool` (no room to write its outcome down), `lease`,
    `stopping`, `invalid`, or `withdrawn` (it waited for another one); `message` says it in words.
    """

    key: AttemptKey
    reason: str
    errno: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """No process of the attempt is left, and this is how it ended; sent again until `send_ack([sequence])`.

    Status, signal and `seconds` are the leader's. `cause` is EXIT, SIGNAL, TIMEOUT, ENDED (`reason` as it was given) or
    LEASE, or OUT_OF_MEMORY. Its `max_rss_bytes` are never below the keeper's own 15 MB or so.
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

    @property
    def age(self) -> float:
        """Seconds since the end, on the machine and in the boot in which it happened."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.boottime


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a keeper is, what it runs, and the outcomes that nobody has acknowledged."""

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

    `argv[0]` is an absolute path on a local disk; `lock` is what agents hold a lock on as long as they live.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    lock: str
    after: float


def start_keeper(
    folder: Path,
    keeper_id: UUID,
    *,
    agent: str,
    version: str = orchestra.__version__,
    linger: float = 60.0,
    timeout: float = 10.0,
) -> KeeperLink:
    """Start a keeper that outlives this process, in a folder that no keeper has used, and connect to it.

    Args:
        folder: made if missing, on a local disk, mode 0700.
        agent: a name for the keeper's log.
        linger: seconds after which a keeper with nothing to keep and no agent ends.

    Raises:
        KeeperError: it could not be started, or did not answer within `timeout` seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    arguments = [
        "--folder",
        str(folder),
        "--id",
        str(keeper_id),
        "--version",
        version,
        "--linger",
        str(linger),
    ]
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", keeper.__file__, *arguments]
    # Its own environment can be read in /proc for as long as it lives: nothing secret goes into it.
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeeperError(f"The keeper did not start: {error}") from None
    if done.returncode:
        raise KeeperError(
            f"The keeper did not start: {done.stderr.decode(errors='replace').strip()}"
        )
    return connect(folder, agent=agent, timeout=timeout)


def connect(folder: Path, *, agent: str, timeout: float = 5.0) -> KeeperLink:
    """Take over the keeper of a folder.

    Raises:
        KeeperGone: none listens.
        KeeperSilent: it does not answer.
        KeeperForeign: it speaks another protocol.
    """
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.settimeout(timeout)
        _connect_in(folder, peer)
        return KeeperLink(peer, agent=agent, protocol=_protocol_of(folder))
    except TimeoutError:
        peer.close()
        raise KeeperSilent(f"The keeper of {folder} does not answer; is it stopped?") from None
    except OSError as error:
        peer.close()
        raise KeeperGone(f"No keeper listens in {folder}: {error.strerror}.") from None
    except BaseException:
        peer.close()
        raise


def _protocol_of(folder: Path) -> int:
    """The protocol that the keeper of a folder speaks best.

    Raises:
        KeeperForeign: this agent does not speak it.
    """
    try:
        theirs = read_spool(folder).protocol
    except KeeperError:
        return keeper.PROTOCOL  # it is just being made, so by this version; or its answer tells
    if keeper.OLDEST_PROTOCOL <= theirs <= keeper.PROTOCOL:
        return theirs
    raise KeeperIncompatible(
        f"The keeper of {folder} speaks protocol {theirs}, this pilot {keeper.PROTOCOL}."
    )


def has_agent(hello: Hello) -> bool:
    """Whether somebody is connected to a living keeper of this machine; true where that cannot be known.

    By its descriptors: those sockets of a name that are connected (03 in /proc/net/unix) are the ones it has accepted.
    """
    try:
        found = [os.readlink(path) for path in Path(f"/proc/{hello.pid}/fd").iterdir()]  # noqa: PTH115
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return Path(f"/proc/{hello.pid}").exists()
    connected = {words[6] for words in map(str.split, lines[1:]) if words[5] == "03"}
    return any(name.removeprefix("socket:[").removesuffix("]") in connected for name in found)


def end_keeper(hello: Hello) -> None:
    """Kill a living keeper of this machine, which has nothing left to keep and cannot be told so.

    Not while it has a child, whatever its spool says: that may have been read in the middle of a write.
    """
    with suppress(OSError):
        is_it = str(hello.keeper).encode() in Path(f"/proc/{hello.pid}/cmdline").read_bytes()
        if is_it and not keeper.family_tree().get(hello.pid):
            os.kill(hello.pid, signal.SIGKILL)


def _connect_in(folder: Path, peer: socket.socket) -> None:
    """Connect by way of the folder's descriptor: a socket's own path can have 107 bytes only."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        peer.connect(f"/proc/self/fd/{descriptor}/socket")
    finally:
        os.close(descriptor)


def is_alive(folder: Path) -> bool:
    """True where a keeper lives in the folder, stopped or not: it holds the lock of its spool.

    Also where that cannot be known because the disk or the permissions are broken: what may live is not given up.
    """
    try:
        with (folder / "spool").open("rb") as spool:
            fcntl.flock(spool, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def read_spool(folder: Path) -> Hello:
    """What the keeper of a folder would say in its hello if it lived.

    `outcomes` are to be reported; of `running` nobody can know how they ended, and their processes may be alive.

    Raises:
        SpoolDamaged: it holds records and does not say whose they are, or they are not of this version's kind.
        KeeperError: no keeper ever ran in that folder.
    """
    try:
        content = (folder / "spool").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        content = b""
    except OSError as error:
        raise SpoolDamaged(f"The spool in {folder} cannot be read: {error.strerror}.") from None
    slots = (
        content[at : at + keeper.SLOT_BYTES] for at in range(0, len(content), keeper.SLOT_BYTES)
    )
    header, *records = [keeper.unseal(slot) for slot in slots] or [None]
    if header is None:
        if any(records):
            raise SpoolDamaged(f"The spool in {folder} has lost its beginning.")
        raise KeeperError(f"No keeper ever ran in {folder}.")
    try:
        return _left(header, [record for record in records if record])
    except keeper.MISUNDERSTOOD as error:
        raise SpoolDamaged(f"The spool in {folder} cannot be understood: {error!r}.") from None


def _left(header: keeper.Message, records: Sequence[keeper.Message]) -> Hello:
    events = [_event(record) for record in records]
    outcomes = sorted(
        (event for event in events if isinstance(event, Ended)), key=lambda ended: ended.sequence
    )
    running = tuple(event for event in events if isinstance(event, Started))
    return replace(_hello(header), running=running, outcomes=tuple(outcomes))


class KeeperLink:
    """A connection that decides for a keeper. `hello` is what the keeper said when it was made.

    The `send_...` methods queue; `flush` sends what there is room for, and `wants_write` says that some is left.
    """

    def __init__(self, peer: socket.socket, *, agent: str, protocol: int = keeper.PROTOCOL) -> None:
        """Say hello on a connected socket with a time-out, and wait for the answer."""
        self._socket = peer
        self._queue: deque[tuple[bytes, int | None]] = deque()
        self._batch = b""
        self._descriptors: list[int] = []
        self._partial = bytearray()
        self._environment: dict[str, str] = {}
        self._end: KeeperError | None = None
        self._send("hello", protocol=protocol, agent=agent)
        self.flush()
        self.hello = self._first_hello()
        peer.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        return bool(self._batch or self._queue)

    def send_spawn(
        self,
        key: AttemptKey,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: int,
        *,
        timeout: float | None = None,
        grace: float,
        memory: int | None = None,
        note: Any = None,
        after: AttemptKey | None = None,
        folder: str | None = None,
    ) -> None:
        """Have an attempt started; answered by Started or Refused. May be repeated.

        Args:
            argv: `argv[0]` is an absolute path on a local disk.
            env: the whole environment but for ORCHESTRA_TOKEN.
            log: an open descriptor for stdout and stderr. It is the link's from here on, and closed once sent.
            memory: bytes that its processes may use together.
            timeout: seconds after which the attempt is ended, with `grace` seconds between TERM and KILL.
            note: JSON of up to NOTE_BYTES that comes back with Started and Ended, also to later agents.
            after: start it, and answer, when nothing is left of that attempt, or of what waits for it; forgotten where
                this connection ends before.
            folder: the attempt's own, with every symbolic link resolved; else ORCHESTRA_OUT of its environment.
        """
        if not self._environment:
            self._environment = dict(env)
            self._send("environment", env=self._environment)
        self._send(
            "spawn",
            log,
            attempt=str(key),
            token=str(key.token),
            argv=list(argv),
            env=_changes(self._environment, env),
            timeout=timeout,
            grace=grace,
            memory=memory,
            note=note,
            after=after and str(after.token),
            **({} if folder is None else {"folder": folder}),
        )

    def send_end(self, key: AttemptKey, *, grace: float, reason: str) -> None:
        """Have every process of an attempt ended: TERM, after `grace` seconds KILL. Repeated, it shortens the grace."""
        self._send("end", token=str(key.token), grace=grace, reason=reason)

    def send_withdraw(self, key: AttemptKey) -> None:
        """Have an attempt Refused that waits for another one; one that has begun runs on."""
        self._send("withdraw", token=str(key.token))

    def send_deadline(self, boottime: float, on_lost: OnLost) -> None:
        """Extend the lease to a moment of CLOCK_BOOTTIME; then nothing starts, and with `kill` everything is ended."""
        self._send("deadline", boottime=boottime, on_lost=on_lost)

    def send_ack(self, sequences: Iterable[int]) -> None:
        """Say that these outcomes are safe elsewhere."""
        self._send("ack", sequences=list(sequences))

    def send_successor(self, successor: Successor | None) -> None:
        """Say what is to be started when there is no agent any more and something is left to look after."""
        if successor is None:
            self._send("heir", argv=None, env={}, lock="", after=0.0)
        else:
            self._send(
                "heir",
                argv=successor.argv,
                env=dict(successor.env),
                lock=successor.lock,
                after=successor.after,
            )

    def send_stop(self) -> None:
        """Have the keeper exit once it has neither jobs nor unacknowledged outcomes."""
        self._send("stop")

    def _send(self, kind: str, descriptor: int | None = None, /, **values: Any) -> None:
        line = keeper.encode({"type": kind, **values}).encode() + b"\n"
        self._queue.append((line, descriptor))

    def flush(self) -> None:
        """Send what the keeper has room for. Where it has gone this does nothing: `receive` says why."""
        try:
            while self.wants_write:
                self._flush_batch()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionError):
            self._forget()

    def _flush_batch(self) -> None:
        if not self._batch:
            self._batch, self._descriptors = self._next_batch()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self._descriptors))]
        sent = self._socket.sendmsg([self._batch], rights if self._descriptors else [])
        self._batch = self._batch[sent:]
        self._close_descriptors()  # they travel with the first byte

    def _next_batch(self) -> tuple[bytes, list[int]]:
        lines: list[bytes] = []
        descriptors: list[int] = []
        size = 0
        while self._queue and size < BATCH_BYTES and len(descriptors) < keeper.MAX_DESCRIPTORS:
            line, descriptor = self._queue.popleft()
            lines.append(line)
            size += len(line)
            if descriptor is not None:
                descriptors.append(descriptor)
        return b"".join(lines), descriptors

    def _close_descriptors(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _forget(self) -> None:
        self._close_descriptors()
        for _, descriptor in self._queue:
            if descriptor is not None:
                os.close(descriptor)
        self._queue.clear()
        self._batch = b""

    def receive(self) -> list[Event]:
        """What the keeper has said since the last call.

        Raises:
            KeeperGone: it has closed the connection, after all that it said was given.
            KeeperSuperseded: because another agent took over.
            KeeperError: because it could not understand this one.
        """
        events: list[Event] = []
        try:
            while self._end is None:
                events += self._events(self._socket.recv(1 << 16))
        except BlockingIOError:
            pass
        except ConnectionError:
            self._end = KeeperGone()
        if self._end and not events:
            raise self._end
        return events

    def _events(self, data: bytes) -> Iterator[Event]:
        if not data:
            self._end = KeeperGone()
        self._partial += data
        *lines, self._partial = self._partial.split(b"\n")
        for line in lines:
            try:
                message = keeper.decode(line.decode())
                if message["type"] == "superseded":
                    self._end = KeeperSuperseded()
                elif message["type"] == "error":
                    self._end = KeeperError(f"The keeper says: {message['message']}.")
                else:
                    yield _event(message)
            except keeper.MISUNDERSTOOD as error:
                # Nothing after it counts: the next hello tells all that is known.
                self._end = KeeperError(f"The keeper cannot be understood: {error!r}.")
                return

    def _first_hello(self) -> Hello:
        while self._end is None:
            for event in self._events(self._socket.recv(1 << 16)):
                if isinstance(event, Hello):
                    return event
        raise self._end

    def close(self) -> None:
        """Leave the keeper, whose jobs run on. What was queued and not sent is dropped."""
        self._forget()
        self._socket.close()


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """What makes one environment of another; None where a variable goes."""
    return dict(after.items() - before.items()) | dict.fromkeys(before.keys() - after.keys())


def _key(message: Mapping[str, Any]) -> AttemptKey:
    return _parsed_key(message["attempt"], message["token"])


@lru_cache(maxsize=1024)  # each is heard twice at least
def _parsed_key(attempt: str, token: str) -> AttemptKey:
    task, ordinal, number = map(int, attempt.split("/"))
    return AttemptKey(task, ordinal, number, UUID(token))


def _started(message: Mapping[str, Any]) -> Started:
    return Started(
        _key(message),
        message["pid"],
        message["start_time"],
        message["boottime"],
        message["note"],
        message["cgroup"],
    )


def _refused(message: Mapping[str, Any]) -> Refused:
    return Refused(_key(message), message["reason"], message["errno"], message["message"])


_CAUSES = {"memory": Cause.OUT_OF_MEMORY}


def _ended(message: Mapping[str, Any]) -> Ended:
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


def _hello(message: Mapping[str, Any]) -> Hello:
    return Hello(
        keeper=UUID(message["keeper"]),
        boot_id=message["boot_id"],
        pid=message["pid"],
        version=message["version"],
        protocol=message["protocol"],
        running=tuple(map(_started, message["running"])),
        outcomes=tuple(map(_ended, message["outcomes"])),
    )


_READERS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "hello": _hello,
    "started": _started,
    "refused": _refused,
    "ended": _ended,
}


def _event(message: Mapping[str, Any]) -> Event:
    return _READERS[message["type"]](message)
