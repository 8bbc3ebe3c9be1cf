"""A TCP proxy between pilots and PostgreSQL that injects faults on command."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field, replace

from support.proxy import garbled

CHUNK = 1 << 16
MOST_WAITING = 1
"""The maximum of pending mishaps besides the newest: with more, no data would pass for a long time."""
SHORTEST, LONGEST = 4, 1 << 24
"""The maximum length of a message of PostgreSQL in bytes; anything longer is not a message."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault that happens once, to one piece of data.

    Args:
        what: "cut", "silence", "delay", "truncate", "repeat", "garble".
        way: "up" to the database, "down" from it.
        after: how many bytes pass before it.
        pick: which part of the piece it concerns, from 0 to 1.
        seconds: of a delay.
    """

    what: str
    way: str
    after: int
    pick: float
    seconds: float = 0.0

    def place(self, size: int) -> int:
        return min(size - 1, int(self.pick * size))


def heads(data: bytes) -> list[int]:
    """Return the positions of types and lengths of messages in a piece that begins with a message."""
    found: list[int] = []
    at = 0
    while at + 5 <= len(data):
        found += range(at, at + 5)
        length = struct.unpack("!I", data[at + 1 : at + 5])[0]
        if not SHORTEST <= length <= LONGEST:
            break
        at += 1 + length
    return found or list(range(min(4, len(data))))


def altered(data: bytes, mishap: Mishap) -> bytes:
    """Return a piece with one byte altered so that the recipient can detect it.

    An altered value in a client's request is another valid request, which only a checksum, as in TLS, could detect. So
    on the way up, a type or a length is altered.
    """
    places = heads(data) if mishap.way == "up" else range(len(data))
    return garbled(data, places[mishap.place(len(places))])


@dataclass(eq=False)
class ProxiedConnection:
    """One connection: its two ends, and whether it is silent."""

    ends: set[asyncio.StreamWriter]
    silent: bool = False


@dataclass
class PilotProxy:
    """One pilot's proxy to the database.

    Args:
        mode: "open"; "refuse" closes all connections; "stall" lets nothing through; "cut" closes each connection once
            `after` more bytes went `way` ("up" to the database, "down" from it); "slow" passes small pieces.
    """

    target: int
    mode: str = "open"
    after: int = 0
    way: str = "up"
    port: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    _mishaps: list[Mishap] = field(default_factory=list)
    _edition: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def serve(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def turn(self, mode: str, *, after: int = 0, way: str = "up") -> None:
        self.mode, self.after, self.way = mode, after, way
        self._edition += 1
        self._mishaps.clear()
        if mode == "stall":
            self._open.clear()
        else:
            self._open.set()
        if mode == "refuse":
            self._hang_up(set(self._writers))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            self._hang_up({writer})
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            self._hang_up({writer})
            return
        ends = {writer, far_writer}
        wire = ProxiedConnection(ends)
        self._writers |= ends
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, "up", wire),
                self._pass(far_reader, writer, "down", wire),
            )
        finally:
            self._writers -= ends
            self._hang_up(ends)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: str,
        wire: ProxiedConnection,
    ) -> None:
        edition, left = self._edition, self.after
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await reader.read(97 if self.mode == "slow" else CHUNK):
                await self._open.wait()
                if self.mode == "slow":
                    await asyncio.sleep(0.01)
                if edition != self._edition:
                    edition, left = self._edition, self.after
                cuts = self.mode == "cut" and way == self.way
                if mishap := self._mishap(way, len(data)):
                    data = await self._befall(mishap, data, wire)
                if not wire.silent:
                    writer.write(data[:left] if cuts else data)
                    await writer.drain()
                if mishap and mishap.what == "cut":
                    break
                left -= len(data)
                if cuts and left <= 0:
                    break
        self._hang_up(wire.ends)

    def _mishap(self, way: str, size: int) -> Mishap | None:
        """Return the mishap of this piece, or None."""
        for number, mishap in enumerate(self._mishaps):
            if mishap.way == way and mishap.after < size:
                return self._mishaps.pop(number)
            if mishap.way == way:
                self._mishaps[number] = replace(mishap, after=mishap.after - size)
        return None

    async def _befall(self, mishap: Mishap, data: bytes, wire: ProxiedConnection) -> bytes:
        """Return the rest of a piece."""
        self.happened[f"{mishap.what} {mishap.way}"] += 1
        match mishap.what:
            case "silence":
                wire.silent = True
            case "delay":
                await asyncio.sleep(mishap.seconds)
            case "repeat":
                return data * 2
            case "garble":
                return altered(data, mishap)
            case "cut" | "truncate":
                return data[: mishap.place(len(data))]
        return data

    def befall(self, mishap: Mishap) -> None:
        """Add a mishap for the next data. Mishaps that have not happened in time are dropped."""
        self._mishaps = [*self._mishaps[-MOST_WAITING:], mishap]

    def _hang_up(self, ends: set[asyncio.StreamWriter]) -> None:
        for end in ends:
            # Half of the time after the data in transit, else at once, as with a machine that has disappeared.
            if id(end) % 32:
                end.close()
            else:
                end.transport.abort()


class Proxy:
    """The proxies of all pilots, in a thread of their own."""

    def __init__(self, target: int, gates: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.gates = [PilotProxy(target) for _ in range(gates)]
        for gate in self.gates:
            asyncio.run_coroutine_threadsafe(gate.serve(), self._loop).result()

    def set(self, gate: PilotProxy, mode: str, *, after: int = 0, way: str = "up") -> None:
        self._loop.call_soon_threadsafe(lambda: gate.turn(mode, after=after, way=way))

    def befall(self, gate: PilotProxy, mishap: Mishap) -> None:
        self._loop.call_soon_threadsafe(lambda: gate.befall(mishap))

    def happened(self) -> Counter[str]:
        """Return how often each mishap has happened, by kind and direction."""
        return sum((gate.happened for gate in self.gates), Counter())

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for gate in self.gates:
            gate.close()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await asyncio.sleep(0)  # the aborted transports close their sockets in the next round
