"""Waking of a background loop before its pause is over."""

import asyncio
from contextlib import suppress

SOON_S = 0.2  # so long a release waits for others, to go with them in one report


class Wakeup:
    """Ends the pause of one loop, at once or a little later."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> None:
        self._event.set()

    def soon(self) -> None:
        """Ends the pause within SOON_S, once for all who ask meanwhile."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self._event.set)

    async def pause(self, seconds: float | None) -> None:
        """Returns after so many seconds, or when it is woken. None: only when it is woken."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self.cancel()
        self._event.clear()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
