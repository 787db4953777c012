"""Answers that cost no run of the model: those that a reviewer wrote, then those of the cache."""

import asyncio
from contextlib import suppress

import structlog

from genai_app import metrics
from genai_app.access import Actor
from genai_app.errors import StorageUnavailable
from genai_app.models import Source, Status
from genai_app.services.background import every
from genai_app.services.chat.placement import Submission, TurnPosition
from genai_app.services.generation.checkpoints import End, ReadyAnswer
from genai_app.services.generation.context_fit import Request
from genai_app.services.generation.generations import Generations
from genai_app.services.reuse.barred import Verdicts
from genai_app.services.reuse.cache import AnswerCache, Key
from genai_app.services.reuse.verified import Verified

log = structlog.get_logger()

REFRESH_S = 2.0  # the longest delay until a process sees what others have written
SAVE_HITS_S = 1.0
CLOSE_TIMEOUT_S = 5.0


class ReadyAnswers:
    """Finds ready answers, and refreshes this process's copy of what they depend on."""

    def __init__(
        self, cache: AnswerCache, verified: Verified, verdicts: Verdicts, generations: Generations
    ) -> None:
        self._cache = cache
        self._verified = verified
        self._verdicts = verdicts
        self._generations = generations
        self._busy = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Loads the verified answers and verdicts, and starts the background loops."""
        try:
            await self._refresh()
        except StorageUnavailable as error:  # the loop goes on trying
            log.warning("storage.unavailable", while_doing="ready answers", detail=error.detail)
        self._loops = [
            asyncio.create_task(every(REFRESH_S, self._refresh), name="ready answers"),
            asyncio.create_task(every(SAVE_HITS_S, self._save_hits), name="hits"),
        ]

    async def close(self) -> None:
        """Stops the background loops and saves the last hits."""
        with suppress(TimeoutError):  # a query that is cut short costs its connection
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._busy.acquire()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        try:
            await self._verified.save_hits()
        except StorageUnavailable as error:
            log.warning("storage.unavailable", while_doing="hits", detail=error.detail)

    async def find(
        self, actor: Actor, submission: Submission, position: TurnPosition, request: Request
    ) -> tuple[ReadyAnswer | None, Key | None]:
        """Returns the ready answer, if any, and the key under which the model's is to be kept.

        A question asked alone is looked up among the verified answers first. While the same
        question is being answered the cache has nothing: its run is joined. A request that sets
        how the model draws is answered by a run of its own.
        """
        options = submission.options
        if position.answer is not None:  # it goes on: nothing else can be its text
            return None, None
        alone = position.parent is None and submission.again is None and not submission.earlier
        alone = alone and not request.files  # it may be about them
        if alone and options.read_cache:
            verified = await self._verified.find(submission.text)
            if verified is not None:
                end = End(
                    Status.COMPLETE, None, Source.VERIFIED, None, None, None, verified.written_at
                )
                return ReadyAnswer(verified.answer, end, verified.id), None
        asked = position.turns[-1].content
        cache_key = await self._key(actor, request, asked) if options.is_repeatable else None
        key = cache_key if options.write_cache and options.keep else None
        if cache_key is None or not options.read_cache:
            return None, key
        joins = self._generations.joinable.find(key) is not None
        cached = None if joins else await self._cache.find(cache_key)
        metrics.cache("joined" if joins else "hit" if cached else "miss")
        if cached is None:
            return None, key
        end = End(
            Status.COMPLETE,
            None,
            Source.CACHE,
            cached.model,
            cached.prompt_tokens,
            cached.completion_tokens,
            cached.made_at,
        )
        return ReadyAnswer(cached.text, end), key

    def note(self, answer: ReadyAnswer, total_s: float) -> None:
        """Counts a ready answer that was committed as the answer to a question."""
        if answer.verified_id is not None:
            self._verified.note_hit(answer.verified_id)
        metrics.answer_ended(
            status=answer.end.status, source=answer.end.source, first_token_s=None, total_s=total_s
        )

    async def _key(self, actor: Actor, request: Request, question: str) -> Key | None:
        if self._cache.is_off:
            return None
        model = request.model or await self._generations.models.name()
        if model is None:
            return None
        return self._cache.key(
            actor.user_id,
            request.turns,
            model=model,
            parameters=(request.max_tokens, request.temperature, request.sampling),
            personal=request.personal,
            files=request.files,
            question=question,
        )

    async def _refresh(self) -> None:
        async with self._busy:
            await self._verified.refresh()
            await self._verdicts.refresh()

    async def _save_hits(self) -> None:
        async with self._busy:
            await self._verified.save_hits()
