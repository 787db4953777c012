"""uvicorn with a shutdown in steps, so that no request fails during a restart behind a proxy.

1. `/readyz` returns 503, and each response closes its connection. While other processes serve too,
this step lasts longer than a proxy keeps an idle connection (deploy/nginx: 4 s). 2. The listening
sockets close, after every connection in their backlog was accepted. From then on a proxy's
connection is refused, and it asks the next process. Who is connected gets time to send a request.
3. Idle connections and the sockets of pages close; pages connect to another process. 4. Running
answers get time to end; the rest is saved as interrupted. Every stream ends with its last event,
also streams of answers of other processes. 5. uvicorn closes the other connections and stops the
services.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
import uvicorn

from genai_app.services import services

log = structlog.stdlib.get_logger(__name__)

NOTICE_S = 5.0
FIRST_REQUEST_S = 3.0  # time for the last accepted connections to send a request
FIRST_REQUEST_POLL_S = 0.05
FORCED_POLL_S = 0.1


class GracefulServer(uvicorn.Server):
    """Serves until a signal, then shuts down in the steps above. A second Ctrl-C skips the
    waiting."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handles the signals in the event loop. uvicorn would raise them again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shuts down in steps. Takes at most about 35 s, of which running answers get 20 s."""
        services().stopping.begin()
        log.info("server.stopping")
        alone = await services().slots.count_processes() < 2
        await self._unless_forced(asyncio.sleep(0 if alone else NOTICE_S))
        await self._stop_listening()
        await self._unless_forced(self._first_requests())
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._unless_forced(services().generations.drain())
        await super().shutdown(sockets)

    async def _unless_forced(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Awaits `waiting`; a second Ctrl-C cancels it."""
        task = asyncio.ensure_future(waiting)
        while not task.done() and not self.force_exit:
            await asyncio.wait({task}, timeout=FORCED_POLL_S)
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _stop_listening(self) -> None:
        """Closes the listening sockets, and accepts the connections in their backlog.

        When a socket closes, the kernel resets connections that are not accepted yet. Copies of the
        sockets prevent this until all of them are accepted.
        """
        copies = [
            socket.socket(fileno=os.dup(each.fileno()))
            for server in self.servers
            for each in server.sockets
        ]
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        for copy in copies:
            with copy:
                copy.setblocking(False)
                await self._accept_waiting(copy)

    async def _accept_waiting(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # the backlog is empty, or the client has disconnected
                return
            connection.setblocking(False)
            try:
                await loop.connect_accepted_socket(self._protocol, connection)
            except OSError:
                connection.close()

    async def _first_requests(self) -> None:
        """Returns when every connection has sent a request, or after FIRST_REQUEST_S."""
        connections: set[Any] = self.server_state.connections
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_REQUEST_S):
                # those of pages have no cycle, and no need of time
                while any(  # noqa: ASYNC110 - uvicorn has no event for it
                    getattr(each, "cycle", each) is None for each in connections
                ):
                    await asyncio.sleep(FIRST_REQUEST_POLL_S)

    def _protocol(self) -> asyncio.Protocol:
        protocol_class: Any = self.config.http_protocol_class
        return protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
