"""Reading of answers that this process does not make: made by another one, or ended."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing

from genai_app.errors import StorageUnavailable
from genai_app.models import Status
from genai_app.services.generation.checkpoints import RESTARTING, Answers, Increment
from genai_app.services.generation.relay import FarReader, Relay, grown
from genai_app.services.generation.seen import Seen

REMOTE_POLL_S = 0.5
RETRY_S = 1.0


class RemoteAnswers:
    """Follows answers by the relay of their process, and by the database.

    Args:
        live: the ids of the answers that this process makes.
    """

    def __init__(self, answers: Answers, relay: Relay, live: Collection[uuid.UUID]) -> None:
        self.is_restarting = False  # this process: its readers are sent away
        self._answers = answers
        self._relay = relay
        self._live = live

    async def follow(
        self, message_id: uuid.UUID, seen: Seen, pause_s: float
    ) -> AsyncGenerator[Increment]:
        """Yields the text and its increments, as Generations.follow does."""
        async with self._relay.reading(message_id) as far:
            was_read, reader = False, FarReader(far, seen, far.replaced)
            while True:
                try:
                    answer = await self._answers.read(message_id)
                    if answer is not None and answer.abandoned:
                        lost = await self._answers.interrupt(spare=self._live, only=message_id)
                        if lost:
                            continue
                except StorageUnavailable:
                    if not was_read:
                        raise
                    await asyncio.sleep(RETRY_S)  # who reads already waits with the answer
                    continue
                if answer is None:
                    return
                was_read = True
                far.learn(answer)
                if last := answer.end and reader.rest(answer):
                    yield last
                    return
                if self.is_restarting:
                    yield Increment("", Status.INTERRUPTED, RESTARTING)
                    return
                if not far.is_heard:
                    await self._relay.ask(far)
                async with aclosing(grown(reader, pause_s, REMOTE_POLL_S)) as increments:
                    async for increment in increments:
                        yield increment
