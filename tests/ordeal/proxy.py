"""A TCP proxy between pilots and PostgreSQL that misbehaves on command."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

CHUNK = 1 << 16


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
        self._writers |= ends
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, "up", ends),
                self._pass(far_reader, writer, "down", ends),
            )
        finally:
            self._writers -= ends
            self._hang_up(ends)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: str,
        ends: set[asyncio.StreamWriter],
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
                writer.write(data[:left] if cuts else data)
                await writer.drain()
                left -= len(data)
                if cuts and left <= 0:
                    break
        self._hang_up(ends)

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
