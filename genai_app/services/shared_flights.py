"""The same question asked at several processes at one moment is one model run.

The process whose run begins first claims its key in Redis. A run that finds a claim asks no model:
it is told by the other one, over the relay. That one goes on while somebody elsewhere is told,
though everybody here has stopped. Whatever fails - Redis, the relay, the other process - ends in a
run of one's own, as long as no text was shown.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Protocol

import msgspec

from genai_app.adapters.llm import Finish
from genai_app.adapters.redis import Entries
from genai_app.errors import StorageUnavailable
from genai_app.models import Status
from genai_app.services.answers import Answers
from genai_app.services.cache import PREFIX as CACHED
from genai_app.services.cache import AnswerCache, Key
from genai_app.services.relay import Relay, grown

PREFIX = "genai:flight:"
CLAIM_S = 6
RENEW_S = 2.0
LOOK_S = 0.5
RETRY_S = 1.0


class Claim(msgspec.Struct, frozen=True):
    """Whose run it is: the process, the run, and the answer it was begun for."""

    owner: str
    flight_id: uuid.UUID
    message_id: uuid.UUID


class Led(Protocol):
    """A run of this process that others may be told by."""

    text: str
    task: asyncio.Task[None] | None

    def end_if_empty(self) -> None: ...


class SharedFlights:
    """
    Args:
        owner: names this process, as the relay does.
        is_alone: whether there is no other process now; then nothing is claimed.
    """

    def __init__(
        self,
        redis: Entries,
        relay: Relay,
        answers: Answers,
        cache: AnswerCache,
        *,
        owner: str,
        is_alone: Callable[[], bool],
    ) -> None:
        self._redis = redis
        self._relay = relay
        self._answers = answers
        self._cache = cache
        self._owner = owner
        self._is_alone = is_alone
        self._led: dict[uuid.UUID, tuple[str, Led]] = {}
        self._decoder = msgspec.msgpack.Decoder(Claim)

    # --- leading --------------------------------------------------------------

    @asynccontextmanager
    async def claimed(
        self, key: Key, flight_id: uuid.UUID, message_id: uuid.UUID, flight: Led
    ) -> AsyncGenerator[Claim | None]:
        """Claim a key for `flight` until the block ends. Gives the claim of another process' run
        where that was first; None: this one has to ask the model."""
        if self._is_alone():
            yield None
            return
        name = PREFIX + key.name.removeprefix(CACHED)
        mine = msgspec.msgpack.encode(Claim(self._owner, flight_id, message_id))
        found = await self._redis.claim(name, mine, ttl_s=CLAIM_S)
        if found is None or found == mine:
            self._led[flight_id] = name, flight
            try:
                yield None
            finally:
                del self._led[flight_id]
            return
        try:
            claim = self._decoder.decode(found)
        except msgspec.DecodeError:  # of another version
            claim = None
        yield claim

    def find(self, flight_id: uuid.UUID) -> Led | None:
        """A run of this process that holds its key."""
        _, flight = self._led.get(flight_id, ("", None))
        return flight

    def is_ridden(self, flight_id: uuid.UUID) -> bool:
        """Whether somebody elsewhere is told by a run of this process."""
        return flight_id in self._led and self._relay.is_wanted(flight_id)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """The runs of this process that others may be told by."""
        return {flight.task for _, flight in self._led.values() if flight.task is not None}

    async def renew(self) -> None:
        """Keep what is claimed; end what nobody is told by any more."""
        led = list(self._led.values())
        for _, flight in led:
            flight.end_if_empty()
        if led:
            await self._redis.prolong([name for name, _ in led], ttl_s=CLAIM_S)

    # --- riding ---------------------------------------------------------------

    async def ride(self, claim: Claim, key: Key) -> AsyncGenerator[str | Finish]:
        """The text of another process' run as it comes, then its finish. Ends without a finish
        where that run came to nothing or cannot be reached any more."""
        seen, begun = 0, False
        async with self._relay.reading(claim.flight_id) as far:
            while True:
                try:
                    answer = await self._answers.read(claim.message_id)
                except StorageUnavailable:
                    if not begun:
                        return
                    await asyncio.sleep(RETRY_S)
                    continue
                if answer is None or answer.abandoned:
                    return
                if answer.end is None:
                    far.learn(answer.text, claim.owner)
                elif begun and answer.end.status in (Status.COMPLETE, Status.TRUNCATED):
                    yield answer.text[seen:]
                    reason = "length" if answer.end.status is Status.TRUNCATED else "stop"
                    tokens = answer.end.prompt_tokens, answer.end.completion_tokens
                    yield Finish(reason, *tokens, answer.end.model or "")
                    return
                elif far.ended or not far.is_heard:
                    # over before we came, or stopped where it was made while it went on for us:
                    # what is whole is in the cache
                    cached = await self._cache.find(key)
                    if cached is not None and cached.text.startswith(far.text[:seen]):
                        yield cached.text[seen:]
                        tokens = cached.prompt_tokens, cached.completion_tokens
                        yield Finish("stop", *tokens, cached.model)
                    return
                begun = True
                if not far.is_heard:
                    await self._relay.ask(far)
                async with aclosing(grown(far, seen, 0.0, LOOK_S)) as pieces:
                    async for text in pieces:
                        seen += len(text)
                        yield text
