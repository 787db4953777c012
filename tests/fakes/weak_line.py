"""A line to the product that freezes: connections stay open, and nothing comes through.

async with WeakLine(app.port, port) as line:
    line.freeze()
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

CHUNK = 65536


class WeakLine:
    """A forwarder of TCP connections in the running event loop."""

    def __init__(self, target_port: int, port: int) -> None:
        self._target_port = target_port
        self._port = port
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def freeze(self) -> None:
        """From now on every byte waits on its way, in both directions."""
        self._open.clear()

    def thaw(self) -> None:
        """What waited arrives."""
        self._open.set()

    def cut(self) -> None:
        """Every connection is lost with what was on its way; new ones are taken."""
        for task in self._tasks:
            task.cancel()
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        pumps = [self._pump(reader, back), self._pump(there, writer)]
        task = asyncio.create_task(self._carry(pumps, (writer, back)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, pumps: Sequence[Coroutine[Any, Any, None]], writers: tuple[asyncio.StreamWriter, ...]
    ) -> None:
        try:
            await asyncio.gather(*pumps)
        finally:
            for writer in writers:
                writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
            writer.close()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
