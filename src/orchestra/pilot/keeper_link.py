"""The agent's connection to a keeper.

A link belongs to one thread and its poll loop. Nothing here blocks except `connect`, which waits for the keeper's
hello.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from orchestra.domain.models.work import AttemptKey
from orchestra.pilot import keeper
from orchestra.pilot.keeper_messages import (
    Event,
    Hello,
    KeeperError,
    KeeperGone,
    KeeperIncompatible,
    KeeperSilent,
    KeeperSuperseded,
    Successor,
    parse_event,
)
from orchestra.pilot.keeper_spool import read_spool

NOTE_BYTES = keeper.NOTE_BYTES
BATCH_BYTES = 1 << 17

OnLost = Literal["kill", "keep"]


def connect(folder: Path, *, agent: str, timeout: float = 5.0) -> KeeperLink:
    """Take over the keeper of a folder.

    Raises:
        KeeperGone: no keeper listens.
        KeeperSilent: it does not answer.
        KeeperIncompatible: it speaks another protocol.
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


def _connect_in(folder: Path, peer: socket.socket) -> None:
    """Connect through the folder's descriptor, because the path of a socket is limited to 107 bytes."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        peer.connect(f"/proc/self/fd/{descriptor}/socket")
    finally:
        os.close(descriptor)


def _protocol_of(folder: Path) -> int:
    """Return the newest protocol that the keeper of a folder speaks.

    Raises:
        KeeperIncompatible: this agent does not speak it.
    """
    try:
        theirs = read_spool(folder).protocol
    except KeeperError:
        return (
            keeper.PROTOCOL
        )  # it is being created, hence by this version; or its answer will tell
    if keeper.OLDEST_PROTOCOL <= theirs <= keeper.PROTOCOL:
        return theirs
    raise KeeperIncompatible(
        f"The keeper of {folder} speaks protocol {theirs}, this pilot {keeper.PROTOCOL}."
    )


class KeeperLink:
    """A connection whose agent controls the keeper. `hello` is the keeper's answer to the connection.

    The `send_...` methods queue. `flush` sends as much as there is room for; `wants_write` says that more is queued.
    """

    def __init__(self, peer: socket.socket, *, agent: str, protocol: int = keeper.PROTOCOL) -> None:
        """Say hello on a connected socket with a timeout, and wait for the answer."""
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

    # Sending

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
        nice: int = 0,
    ) -> None:
        """Start an attempt; answered by Started or Refused. May be repeated.

        Args:
            argv: `argv[0]` is an absolute path on a local disk.
            env: the whole environment except ORCHESTRA_TOKEN.
            log: an open descriptor for stdout and stderr. The link owns it from here on and closes it once it is sent.
            memory: bytes that the attempt's processes may use together.
            timeout: seconds after which the attempt is ended, with `grace` seconds between TERM and KILL.
            note: JSON of up to NOTE_BYTES that comes back with Started and Ended, also to later agents.
            after: start it, and answer, when nothing is left of that attempt or of those queued behind it; forgotten if
                this connection ends first.
            folder: the attempt's folder with every symlink resolved; by default ORCHESTRA_OUT of its environment.
            nice: what is added to the niceness of its processes.
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
            **({"nice": nice} if nice else {}),
        )

    def send_end(self, key: AttemptKey, *, grace: float, reason: str) -> None:
        """End every process of an attempt: TERM, after `grace` seconds KILL. A repetition may shorten the grace."""
        self._send("end", token=str(key.token), grace=grace, reason=reason)

    def send_withdraw(self, key: AttemptKey) -> None:
        """Withdraw an attempt that is queued behind another; answered by Refused. One that has started runs on."""
        self._send("withdraw", token=str(key.token))

    def send_deadline(self, boottime: float, on_lost: OnLost) -> None:
        """Extend the lease until `boottime` (CLOCK_BOOTTIME). Then nothing starts, and with `kill` everything ends."""
        self._send("deadline", boottime=boottime, on_lost=on_lost)

    def send_ack(self, sequences: Iterable[int]) -> None:
        """Acknowledge outcomes that are safe elsewhere."""
        self._send("ack", sequences=list(sequences))

    def send_successor(self, successor: Successor | None) -> None:
        """Set the agent to start when there is none any more and the keeper has jobs or outcomes."""
        if successor is None:
            self._send("heir", argv=None, env={}, lock="", after=0.0)
            return
        self._send(
            "heir",
            argv=successor.argv,
            env=dict(successor.env),
            lock=successor.lock,
            after=successor.after,
        )

    def send_stop(self) -> None:
        """Make the keeper exit once it has neither jobs nor unacknowledged outcomes."""
        self._send("stop")

    def _send(self, kind: str, descriptor: int | None = None, /, **values: Any) -> None:
        line = keeper.encode({"type": kind, **values}).encode() + b"\n"
        self._queue.append((line, descriptor))

    def flush(self) -> None:
        """Send as much as the keeper has room for. Does nothing if it has gone; `receive` then raises the reason."""
        try:
            while self.wants_write:
                self._flush_batch()
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionError):
            self._discard_queue()

    def _flush_batch(self) -> None:
        if not self._batch:
            self._batch, self._descriptors = self._next_batch()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self._descriptors))]
        sent = self._socket.sendmsg([self._batch], rights if self._descriptors else [])
        self._batch = self._batch[sent:]
        self._close_descriptors()  # they are sent with the first byte

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

    def _discard_queue(self) -> None:
        self._close_descriptors()
        for _, descriptor in self._queue:
            if descriptor is not None:
                os.close(descriptor)
        self._queue.clear()
        self._batch = b""

    # Receiving

    def receive(self) -> list[Event]:
        """Return the keeper's events since the last call.

        Raises:
            KeeperGone: it has closed the connection, and all its events were returned.
            KeeperSuperseded: the same, because another agent took over.
            KeeperError: the same, because it could not parse this agent's messages.
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
                    yield parse_event(message)
            except keeper.MALFORMED as error:
                # What follows is ignored: the next hello contains all that is known.
                self._end = KeeperError(f"The keeper's message cannot be understood: {error!r}.")
                return

    def _first_hello(self) -> Hello:
        while self._end is None:
            for event in self._events(self._socket.recv(1 << 16)):
                if isinstance(event, Hello):
                    return event
        raise self._end

    def close(self) -> None:
        """Close the connection; the keeper's jobs run on. What was queued and not sent is dropped."""
        self._discard_queue()
        self._socket.close()


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables that turn one environment into another; None where a variable is removed."""
    return dict(after.items() - before.items()) | dict.fromkeys(before.keys() - after.keys())
