"""Answers that may be given again: in Redis, or in this process without it.

The key covers everything that shapes an answer: who may share it, model, parameters, system prompt
and the whole conversation. A cache that is away is an empty one.
"""

import hashlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

import cachetools
import msgspec

from genai_app.adapters.llm import ChatTurn
from genai_app.adapters.redis import Entries
from genai_app.settings import Settings

MAX_MEMORY_BYTES = 64 * 1024 * 1024
PREFIX = "genai:answer:"

Scope = Literal["company", "user", "off"]


class CachedAnswer(msgspec.Struct, frozen=True):
    """A complete answer of the model. `made_at`: when it was new."""

    text: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    made_at: datetime


class AnswerCache:
    """Keeps complete answers for `ttl_s` seconds.

    Args:
        entries: Redis; None keeps them in this process, at most 64 MB.
        scope: `company` shares them among all users, `user` with nobody, `off` keeps none.
    """

    def __init__(self, entries: Entries | None, *, scope: Scope, ttl_s: int) -> None:
        self._entries = entries
        self._scope = scope
        self._ttl_s = ttl_s
        self._memory: cachetools.TTLCache[str, bytes] = cachetools.TTLCache(
            MAX_MEMORY_BYTES, ttl_s, getsizeof=len
        )
        self._decoder = msgspec.json.Decoder(CachedAnswer)

    @property
    def is_off(self) -> bool:
        """Nothing is to be kept."""
        return self._scope == "off"

    def key(
        self,
        user_id: uuid.UUID,
        turns: Sequence[ChatTurn],
        *,
        model: str,
        parameters: Sequence[object],
    ) -> str:
        """The key of the answer to `turns`, the system prompt among them."""
        shared_by = "" if self._scope == "company" else str(user_id)
        said = [(turn.role, turn.content) for turn in turns]
        text = msgspec.json.encode([shared_by, model, parameters, said])
        own = f"{shared_by}:" if self._scope == "user" else ""  # so that they can be forgotten
        return PREFIX + own + hashlib.sha256(text).hexdigest()

    async def find(self, key: str) -> CachedAnswer | None:
        """The answer kept under `key`."""
        if self._entries is None:
            found: bytes | None = self._memory.get(key)
        else:
            found = await self._entries.get(key)
        if found is None:
            return None
        try:
            return self._decoder.decode(found)
        except msgspec.DecodeError:  # of another version
            return None

    async def keep(self, key: str, answer: CachedAnswer) -> None:
        """Keep a complete answer."""
        text = msgspec.json.encode(answer)
        if self._entries is not None:
            await self._entries.set(key, text, ttl_s=self._ttl_s)
        elif len(text) <= MAX_MEMORY_BYTES // 8:
            self._memory[key] = text

    async def forget_user(self, user_id: uuid.UUID) -> int:
        """Remove the answers that are kept for this user alone. Returns how many there were.

        Raises:
            Unavailable: Redis is away; it may have some.
        """
        own = f"{PREFIX}{user_id}:"
        if self._entries is not None:
            return await self._entries.delete_all(own)
        found = [key for key in list(self._memory) if key.startswith(own)]
        for key in found:
            self._memory.pop(key, None)
        return len(found)


@asynccontextmanager
async def answer_cache(settings: Settings) -> AsyncGenerator[AnswerCache]:
    """The cache of the product, for a command line beside it. Closed when the block ends."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    entries = Entries(url) if url else None
    try:
        yield AnswerCache(entries, scope=settings.cache_scope, ttl_s=settings.cache_ttl_s)
    finally:
        if entries is not None:
            await entries.aclose()
