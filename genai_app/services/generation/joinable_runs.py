"""The model runs of this process that others who ask the same may join."""

from functools import partial

from genai_app import clock
from genai_app.adapters.llm.client import LlmClient
from genai_app.services.generation.model_call import ModelCall
from genai_app.services.generation.model_run import ModelRun
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.reuse.cache import AnswerCache, CachedAnswer, Key


class JoinableRuns:
    """Keeps the runs by the key of their answer, from before they begin until they end.

    Args:
        cache: gets the complete answers of runs that have a key.
    """

    def __init__(self, llm: LlmClient, slots: ModelSlots, cache: AnswerCache) -> None:
        self._call = partial(ModelCall, llm, slots.turns)
        self._cache = cache
        self._runs: dict[Key, ModelRun] = {}

    def find(self, key: Key | None) -> ModelRun | None:
        """Returns the run that is on its way to the same answer, if any."""
        return self._runs.get(key) if key else None

    def hold(self, key: Key | None, *, alone: bool) -> ModelRun:
        """Returns the run to that answer, begun or not; `Generations.start` or `drop` must follow.

        It can be joined from now on, so that of many who ask at once and commit later, all but the
        first find it.

        Args:
            key: of the answer in the cache; None: it is for nobody else.
            alone: a run of its own, though one may be on its way.
        """
        run = None if alone else self.find(key)
        if run is None:
            run = ModelRun(key, self._call, self._keep)
            if key and key not in self._runs:
                self._runs[key] = run
        run.holders += 1
        return run

    def drop(self, run: ModelRun) -> None:
        """Drops a held run whose question was not committed."""
        run.holders -= 1
        run.end_if_empty()
        self.forget(run)

    def forget(self, run: ModelRun) -> None:
        """Makes a run that has ended, or that nobody will begin, joinable no more."""
        if run.key and not run.is_joinable and self._runs.get(run.key) is run:
            del self._runs[run.key]

    async def _keep(self, run: ModelRun) -> None:
        call = run.call
        if run.key and call.finish is not None:
            answer = CachedAnswer(
                call.text,
                call.finish.model,
                call.finish.prompt_tokens,
                call.finish.completion_tokens,
                clock.now(),
            )
            await self._cache.keep(run.key, answer)
