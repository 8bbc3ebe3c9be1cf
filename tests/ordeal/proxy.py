"""A TCP proxy between pilots and PostgreSQL that misbehaves on command."""

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
"""Mishaps that wait for something to befall, besides the newest: otherwise nothing would come through for long."""
SHORTEST, LONGEST = 4, 1 << 24
"""Bytes of a message of PostgreSQL, as its length says: what is beyond is no message."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """What happens once, to one piece of what passes.

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
    """Give where the types and lengths of messages stand in a piece that begins with one."""
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
    """Give a piece with one byte altered so that whoever gets it can tell.

    What a client sent and was altered within a value is another valid wish, which nothing but a checksum, as TLS has
    one, could tell. So on the way up it is a type or a length.
    """
    places = heads(data) if mishap.way == "up" else range(len(data))
    return garbled(data, places[mishap.place(len(places))])


@dataclass(eq=False)
class Wire:
    """One connection: its two ends, and whether it has fallen silent."""

    ends: set[asyncio.StreamWriter]
    silent: bool = False


@dataclass
class Gate:
    """One pilot's way to the database.

    Args:
        mode: "open"; "refuse" hangs up on all; "stall" lets nothing through; "cut" hangs up on each connection once
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
        wire = Wire(ends)
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
        wire: Wire,
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
        """Give what befalls this piece, if anything does."""
        for number, mishap in enumerate(self._mishaps):
            if mishap.way == way and mishap.after < size:
                return self._mishaps.pop(number)
            if mishap.way == way:
                self._mishaps[number] = replace(mishap, after=mishap.after - size)
        return None

    async def _befall(self, mishap: Mishap, data: bytes, wire: Wire) -> bytes:
        """Give what is left of a piece."""
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
        """Have something happen to what passes next; what did not happen in time is forgotten."""
        self._mishaps = [*self._mishaps[-MOST_WAITING:], mishap]

    def _hang_up(self, ends: set[asyncio.StreamWriter]) -> None:
        for end in ends:
            # Half of the time with what is on its way, else at once, as a machine that is gone does.
            if id(end) % 32:
                end.close()
            else:
                end.transport.abort()


class Proxy:
    """The gates of all pilots, in a thread of their own."""

    def __init__(self, target: int, gates: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.gates = [Gate(target) for _ in range(gates)]
        for gate in self.gates:
            asyncio.run_coroutine_threadsafe(gate.serve(), self._loop).result()

    def set(self, gate: Gate, mode: str, *, after: int = 0, way: str = "up") -> None:
        self._loop.call_soon_threadsafe(lambda: gate.turn(mode, after=after, way=way))

    def befall(self, gate: Gate, mishap: Mishap) -> None:
        self._loop.call_soon_threadsafe(lambda: gate.befall(mishap))

    def happened(self) -> Counter[str]:
        """Give how often each mishap has happened, by kind and way."""
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
