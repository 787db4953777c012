"""The cache of complete answers: in Redis, or in this process without it.

The key covers everything that shapes an answer: who may share it, model, parameters, system prompt
and the whole conversation. A cache that is away is an empty one. A text that a reviewer barred for
its question is neither kept nor returned, whatever key it is under (services/reuse/barred.py).
"""

import hashlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal, NamedTuple

import cachetools
import msgspec

from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.adapters.redis.client import Entries
from genai_app.services.reuse.verified import question_hash
from genai_app.settings.settings import Settings

MAX_MEMORY_BYTES = 64 * 1024 * 1024
PREFIX = "genai:answer:"
KEYS_PREFIX = "genai:answer-keys:"  # under which keys a text is kept, by its digest

Scope = Literal["company", "user", "off"]


class Key(NamedTuple):
    """The key of an answer in the cache. `question`: the text of the last message."""

    name: str
    question: str


class CachedAnswer(msgspec.Struct, frozen=True):
    """A complete answer of the model. `made_at`: when it was new."""

    text: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    made_at: datetime


def answer_digest(question: str, text: str) -> bytes:
    """Returns a digest of an answer to a question, however the question is spelled."""
    return hashlib.sha256(question_hash(question) + hashlib.sha256(text.encode()).digest()).digest()


class AnswerCache:
    """Keeps complete answers for `ttl_s` seconds.

    Args:
        entries: Redis; None keeps them in this process, at most 64 MB.
        scope: `company` shares them among all users, `user` with nobody, `off` keeps none.
            Answers under a user's own instructions are shared with nobody.
    """

    def __init__(self, entries: Entries | None, *, scope: Scope, ttl_s: int) -> None:
        self.barred: set[bytes] = set()  # digests, as services/reuse/barred.py knows them
        self._entries = entries
        self._scope = scope
        self._ttl_s = ttl_s
        self._memory: cachetools.TTLCache[str, bytes] = cachetools.TTLCache(
            MAX_MEMORY_BYTES, ttl_s, getsizeof=len
        )
        self._decoder = msgspec.json.Decoder(CachedAnswer)

    @property
    def is_off(self) -> bool:
        """True when no answer is to be kept."""
        return self._scope == "off"

    def key(
        self,
        user_id: uuid.UUID,
        turns: Sequence[ChatTurn],
        *,
        model: str,
        parameters: Sequence[object],
        personal: bool = False,
        files: Sequence[str] = (),
        question: str | None = None,
    ) -> Key:
        """Returns the key of the answer to `turns`, the system prompt among them.

        Args:
            personal: the answer is for this user alone, whatever the scope.
            files: hashes of the files that the answer may be about; it is this user's alone then.
            question: as it was asked, where more stands in the last turn.
        """
        shared = self._scope == "company" and not personal and not files
        shared_by = "" if shared else str(user_id)
        messages: list[object] = [(turn.role, turn.content) for turn in turns]
        if files:
            pictures = [picture.digest for turn in turns for picture in turn.pictures]
            messages.append([files, pictures])
        text = msgspec.json.encode([shared_by, model, parameters, messages])
        own = "" if shared else f"{shared_by}:"  # so that they can be forgotten
        asked = turns[-1].content if question is None else question
        return Key(PREFIX + own + hashlib.sha256(text).hexdigest(), asked)

    async def find(self, key: Key) -> CachedAnswer | None:
        """Returns the answer kept under `key`; None when there is none or it is barred."""
        if self._entries is None:
            entry: bytes | None = self._memory.get(key.name)
        else:
            entry = await self._entries.get(key.name)
        if entry is None:
            return None
        try:
            answer = self._decoder.decode(entry)
        except msgspec.DecodeError:  # of another version
            return None
        return None if self._is_barred(key, answer.text) else answer

    async def keep(self, key: Key, answer: CachedAnswer) -> None:
        """Keeps a complete answer, unless it is barred."""
        if self._is_barred(key, answer.text):
            return
        text = msgspec.json.encode(answer)
        if self._entries is not None:
            digest = answer_digest(key.question, answer.text)
            under = KEYS_PREFIX + digest.hex()
            await self._entries.set(key.name, text, ttl_s=self._ttl_s, listed_in=under)
        elif len(text) <= MAX_MEMORY_BYTES // 8:
            self._memory[key.name] = text

    async def purge(self, digest: bytes) -> None:
        """Bars an answer, and removes it from Redis and from this process. Other processes use it
        no more as soon as they have read that it is barred."""
        self.barred.add(digest)
        if self._entries is not None:
            await self._entries.forget_listed(KEYS_PREFIX + digest.hex())

    def _is_barred(self, key: Key, text: str) -> bool:
        return bool(self.barred) and answer_digest(key.question, text) in self.barred

    async def forget_user(self, user_id: uuid.UUID) -> int:
        """Removes the answers that are kept for this user alone. Returns how many there were.

        Raises:
            Unavailable: Redis is away; it may have some.
        """
        own = f"{PREFIX}{user_id}:"
        if self._entries is not None:
            return await self._entries.delete_all(own)
        keys = [key for key in list(self._memory) if key.startswith(own)]
        for key in keys:
            self._memory.pop(key, None)
        return len(keys)


@asynccontextmanager
async def answer_cache(settings: Settings) -> AsyncGenerator[AnswerCache]:
    """Yields the cache of the product to a command line. Closes it when the block ends."""
    entries = Entries(settings.cache_url) if settings.cache_url else None
    try:
        yield AnswerCache(entries, scope=settings.cache_scope, ttl_s=settings.cache_ttl_s)
    finally:
        if entries is not None:
            await entries.aclose()
