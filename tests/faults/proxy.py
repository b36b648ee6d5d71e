"""A unix socket, or a TCP port, in front of an Engine's socket; it may spoil what comes back: slow, cut, altered."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 64 * 1024


@dataclass
class Proxy:
    """What is done to each answer; every field may be changed while connections are open."""

    socket: Path
    engine: Path
    port: int | None = None  # of 127.0.0.1, in place of the socket
    delay: float = 0.0  # seconds before each piece
    cut_after: int | None = None  # bytes of a connection after which it is closed
    piece: int = CHUNK  # bytes that are passed on at a time
    garbage: bytes = b""  # answered to everything
    alter: Callable[[bytes], bytes] = field(default=lambda piece: piece)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"tcp://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[Proxy]:
        """Serve until the block ends."""
        begun = threading.Event()

        async def serve() -> None:
            async with await self._listening():
                begun.set()
                await ended.wait()
            for writer in self._open:
                writer.transport.abort()
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)  # the transports close in the loop's next turn

        ended = asyncio.Event()
        thread = threading.Thread(target=self._loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        assert begun.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(ended.set)
            thread.join(10)
            self._loop.close()

    def drop(self) -> None:
        """Close every connection that is open now."""
        for writer in list(self._open):
            self._loop.call_soon_threadsafe(writer.transport.abort)

    async def _listening(self) -> asyncio.Server:
        if self.port:
            return await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        return await asyncio.start_unix_server(self._connected, self.socket)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.garbage:
                await reader.read(CHUNK)
                writer.write(self.garbage)
                await writer.drain()
                return
            upstream = await asyncio.open_unix_connection(self.engine)
            self._open.add(upstream[1])
            both = [
                asyncio.create_task(self._to_engine(reader, upstream[1])),
                asyncio.create_task(self._from_engine(upstream[0], writer)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                upstream[1].transport.abort()
                self._open.discard(upstream[1])
        except OSError:
            pass  # one of the two sides went away: so it is between two processes
        finally:
            writer.close()
            self._open.discard(writer)

    async def _to_engine(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(CHUNK):
            writer.write(piece)
            await writer.drain()
        await asyncio.Event().wait()  # docker closes its side first and still wants the answer

    async def _from_engine(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while piece := await reader.read(self.piece):
            await asyncio.sleep(self.delay)
            piece = self.alter(piece)
            if self.cut_after is not None and passed + len(piece) > self.cut_after:
                writer.write(piece[: self.cut_after - passed])
                await writer.drain()
                return
            passed += len(piece)
            writer.write(piece)
            await writer.drain()
