"""A page whose scripts, or whose server's words, come late."""

import asyncio
from typing import Any

from playwright.async_api import Page, WebSocketRoute


class Held:
    """Holds the scripts of a page, or what the server says to it, until `release`."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._late: list[tuple[WebSocketRoute, str | bytes]] = []

    async def scripts(self, page: Page) -> None:
        async def later(route: Any) -> None:
            await self._open.wait()
            await route.continue_()

        await page.route("**/assets/*.js", later)

    async def words(self, page: Page) -> None:
        def opened(socket: WebSocketRoute) -> None:
            server = socket.connect_to_server()

            def said(message: str | bytes) -> None:
                # the handshake of the connection may pass: "0{...}", "40{...}"
                if self._open.is_set() or not str(message).startswith("42"):
                    socket.send(message)
                else:
                    self._late.append((socket, message))

            server.on_message(said)

        await page.route_web_socket("**/_event/**", opened)

    def release(self) -> None:
        self._open.set()
        late, self._late = self._late, []
        for socket, message in late:
            socket.send(message)

    def hold(self) -> None:
        """Again, after `release`."""
        self._open.clear()
