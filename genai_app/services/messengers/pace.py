"""Keeps the calls of a messenger below its limits, per chat and over all chats."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from genai_app.adapters.messenger import MessengerLimits

BACKLOG_S = 1.0  # longer than this, edits of growing answers wait for the others
MAX_CHATS = 10_000
SECOND_S = 1.0


class Pace:
    """Grants turns for calls. By the event loop's clock."""

    def __init__(self, limits: MessengerLimits) -> None:
        self._limits = limits
        self._next = 0.0
        self._chats: defaultdict[str, float] = defaultdict(float)
        self._places = asyncio.Semaphore(limits.most_in_second)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def is_crowded(self) -> bool:
        """True when calls wait already: an edit of a growing answer can be left out."""
        backlog_s = self._next - asyncio.get_running_loop().time()
        return backlog_s > BACKLOG_S or self._places.locked()

    def wait_s(self, chat_id: str) -> float:
        """Returns the seconds until the next call in a chat is allowed."""
        return max(self._chats[chat_id] - asyncio.get_running_loop().time(), 0.0)

    @asynccontextmanager
    async def turn(self, chat_id: str) -> AsyncGenerator[None]:
        """Waits until a call in the chat is allowed, and takes it. The call is made inside."""
        loop = asyncio.get_running_loop()
        async with self._turns[chat_id]:
            while wait_s := self.wait_s(chat_id):  # it may be held meanwhile  # noqa: ASYNC110
                await asyncio.sleep(wait_s)
            await self._places.acquire()
            try:
                await self._take(chat_id, loop)
                yield
            finally:
                self.hold(chat_id, self._limits.pause_s)
                loop.call_later(SECOND_S, self._places.release)

    async def _take(self, chat_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self._chats[chat_id] = loop.time() + self._limits.edit_interval_s
        self._next = max(self._next, loop.time()) + 1 / self._limits.per_second
        await asyncio.sleep(self._next - 1 / self._limits.per_second - loop.time())
        self._forget(loop.time())

    def hold(self, chat_id: str, seconds: float) -> None:
        """Allows no call in a chat for so long, as the messenger asked."""
        until = asyncio.get_running_loop().time() + seconds
        self._chats[chat_id] = max(self._chats[chat_id], until)

    def _forget(self, now: float) -> None:
        """Removes the chats that may be called at once, when there are many."""
        if len(self._chats) > MAX_CHATS:
            for chat_id in [each for each, until in self._chats.items() if until < now]:
                if not self._turns[chat_id].locked():
                    del self._chats[chat_id], self._turns[chat_id]
