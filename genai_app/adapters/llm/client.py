"""The model servers: which one is asked, how long it is waited for, what its failures mean.

    ModelUnavailable   model_unavailable  refused, DNS, TLS, 5xx, cut before the first token
                       model_timeout      no first token in time
                       model_auth 401/403 - model_unknown 404 - model_busy 429 (retry_after_s)
    ContextTooLong     context_too_long   the prompt does not fit
    ModelRefused       model_refused      any other 4xx, with the server's reason
                       model_unknown      404 that names a model
    ModelFailed        model_interrupted  cut, silent or ended too early after the first token
                       model_failed       an error event, or events that cannot be read
                       model_total_timeout

catalogue.py asks the servers what they have; request.py is one request; dialects.py reads the
events of both dialects; endpoints.py and breaker.py know which server is worth asking. When a
run may call at all is decided by the caller, with `turns_at`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from genai_app import metrics
from genai_app.adapters.llm.breaker import BreakerState
from genai_app.adapters.llm.catalogue import Served, ServerCatalogue, Window
from genai_app.adapters.llm.dialects import (
    TEMPLATE,
    AnswerReader,
    ChatTurn,
    Finish,
    OpenAiAnswer,
    TextDelta,
    TgiAnswer,
    begun_answer,
    openai_body,
    tgi_body,
)
from genai_app.adapters.llm.endpoints import Endpoint, Turns, refusal_of
from genai_app.adapters.llm.reasoning import ThinkingModels
from genai_app.adapters.llm.request import Clock, LlmRequest, Unreachable
from genai_app.adapters.llm.token_counter import TokenCounter
from genai_app.adapters.llm.vision import SeeingModels
from genai_app.errors import AppError, ModelUnavailable
from genai_app.settings.settings import Settings

CHECK_TIMEOUT_S = 2.0
RETRY_PAUSE_S = 0.2
KEEPALIVE_S = 4.0  # uvicorn, and so vLLM, drops an idle connection after 5

log = structlog.get_logger()


class LlmClient:
    """Streams answers from the model servers of the settings. One per process.

    Args:
        base_urls: in place of `settings.llm_base_url`; the demo model's.
    """

    def __init__(self, settings: Settings, *, base_urls: Sequence[str] | None = None) -> None:
        urls = settings.llm_base_url if base_urls is None else base_urls
        if not urls:
            raise ValueError("no model server is given")
        self.endpoints = [Endpoint(url.rstrip("/").removesuffix("/v1")) for url in urls]
        self._settings = settings
        self.is_tgi = settings.llm_kind == "tgi" and not settings.demo_model
        self._name = settings.llm_model
        self._http = _http_client(settings)
        self.catalogue = ServerCatalogue(self._http, self.endpoints, tgi=self.is_tgi)
        self._counter = TokenCounter(self._http, self.endpoints, tgi=self.is_tgi)
        self.thinking = ThinkingModels()
        self.seeing = SeeingModels(self._http, self.endpoints, settings.llm_vision)

    async def stream(
        self,
        turns: Sequence[ChatTurn],
        *,
        model: str | None = None,
        max_tokens: int,
        temperature: float | None = None,
        sampling: Sequence[tuple[str, object]] = (),
        turns_at: Turns | None = None,
    ) -> AsyncGenerator[TextDelta | Finish, None]:
        """Yields the answer as it comes. The last item is a `Finish`, else an error is raised.

        A server that fails before the first token is followed by another one, once.

        Closing the generator, or cancelling the task that awaits it, closes the connection, which
        ends the generation on the server. A plain `break` closes nothing: use
        `contextlib.aclosing`.

        Args:
            turns_at: waits for a turn at a server; without it nothing is waited for. The deadlines
                begin after it.

        Raises:
            ContextTooLong, ModelRefused, ModelUnavailable, ModelFailed: see the top of this
                module.
        """
        name = model or await self.model_name()
        make_body = tgi_body if self.is_tgi else openai_body
        make = partial(make_body, turns, model=name, max_tokens=max_tokens)
        make = partial(make, temperature=temperature, sampling=sampling)
        has_pictures = any(turn.pictures for turn in turns)  # files to read, megabytes to encode
        body = await asyncio.to_thread(make) if has_pictures else make()
        may_think = _may_think(turns, sampling)
        clock, failed = Clock(self._settings), None
        try:
            for last_try in (False, True):
                answer = self._reader(name, turns, may_think=may_think)
                asked_at = clock.loop.time()
                async with (turns_at or self._at_once)(failed) as endpoint:
                    clock.put_off(clock.loop.time() - asked_at)
                    if failed not in (None, endpoint):
                        metrics.failover()
                    request = LlmRequest(self._http, answer, clock, endpoint.breaker.succeed)
                    try:
                        await request.open(endpoint.url + self._path, body)
                        while (delta := await request.next()) is not None:
                            yield delta
                        _learn_thinking(self.thinking, answer, may_think=may_think)
                        for item in _closing(answer, is_whole=True):
                            yield item
                        return
                    except AppError as error:
                        self._learn(error, endpoint, begun=answer.begun, named=bool(model))
                        if last_try or not _is_worth_another(error, begun=answer.begun):
                            for item in _closing(answer, is_whole=False):
                                yield item
                            raise
                        failed = endpoint
                        _log_retry(endpoint, error)
                    finally:
                        await request.aclose()
                if len(self.endpoints) == 1:
                    await asyncio.sleep(RETRY_PAUSE_S)
        finally:
            clock.deadline.close()

    def _reader(self, model: str, turns: Sequence[ChatTurn], *, may_think: bool) -> AnswerReader:
        kind = TgiAnswer if self.is_tgi else OpenAiAnswer
        opened = may_think and self.thinking.opens(model)
        return kind(model=model, turns=turns, opened=opened)

    def _learn(self, error: AppError, endpoint: Endpoint, *, begun: bool, named: bool) -> None:
        """Learns from an error what it says of its server, and of the model that has no name."""
        endpoint.judge(error, begun=begun)
        if error.code == "model_unknown" and not named:
            self._name = self._settings.llm_model  # the server has another one now

    async def model_name(self) -> str:
        """Returns `GENAI_LLM_MODEL`, or the first model the server names; asks once.

        Raises:
            ModelUnavailable: no server says it, or none is worth asking now.
        """
        if not self._name:
            if refusal := refusal_of(self.endpoints, 0):
                raise refusal
            answers = await self.catalogue.ask_each(self._settings.llm_first_token_timeout_s)
            for endpoint, answer in zip(self.endpoints, answers, strict=True):
                closed = endpoint.breaker.state is not BreakerState.OPEN
                if isinstance(answer, AppError) and closed:
                    endpoint.judge(answer, begun=False)
            served = [answer for answer in answers if isinstance(answer, Served)]
            if not served:
                raise answers[0] if isinstance(answers[0], AppError) else ModelUnavailable()
            self._name = served[0].models[0]
        return self._name

    async def window(self, model: str | None) -> Window | None:
        """Returns how much a model takes, by default the one of `model_name`; None where no server
        says so. Waits half a second at most for the server's word, and for the name as long as
        `model_name`."""
        return await self.catalogue.window(model or await self.model_name())

    async def count_tokens(self, turns: Sequence[ChatTurn], model: str | None) -> int | None:
        """Returns how many tokens a prompt is for the model; None where no server counts them."""
        return await self._counter.count(turns, model or await self.model_name())

    async def learn_window(self, model: str | None, total: int) -> None:
        """Takes the size of a context from the refusal of a server."""
        self.catalogue.learn(model or await self.model_name(), total)

    async def check(self, endpoint: Endpoint) -> None:
        """
        Raises:
            AppError: this server does not answer as a model server within 2 s.
        """
        answer = await self.catalogue.ask(endpoint, CHECK_TIMEOUT_S)
        if isinstance(answer, AppError):
            raise answer

    async def aclose(self) -> None:
        """Closes every connection; streams that still run are cut."""
        await self.catalogue.aclose()
        await self._http.aclose()

    @property
    def _path(self) -> str:
        return "/generate_stream" if self.is_tgi else "/v1/chat/completions"

    @asynccontextmanager
    async def _at_once(self, failed: Endpoint | None) -> AsyncGenerator[Endpoint]:
        """Yields the endpoint with the least work, preferably one that has not failed just now."""
        if refusal := refusal_of(self.endpoints, 0):
            raise refusal
        offered = [each for each in self.endpoints if each.breaker.offer()]
        if not offered:
            raise ModelUnavailable("a probe is under way")
        endpoint = min(
            offered, key=lambda each: (each is failed, each.breaker.rests, each.in_flight)
        )
        for each in offered:
            if each is not endpoint:
                each.breaker.withdraw()
        probe = endpoint.begin()
        try:
            yield endpoint
        finally:
            endpoint.end(probe=probe)


def _is_worth_another(error: AppError, *, begun: bool) -> bool:
    """Returns whether a second try makes sense: nothing was shown, and the server's answer is not
    final."""
    return isinstance(error, Unreachable) or (error.code == "model_busy" and not begun)


def _log_retry(endpoint: Endpoint, error: AppError) -> None:
    log.warning("llm.trying_again", endpoint=endpoint.name, code=error.code, detail=error.detail)


def _may_think(turns: Sequence[ChatTurn], sampling: Sequence[tuple[str, object]]) -> bool:
    """Returns whether the model is free to think before the answer."""
    template: Any = dict(sampling).get(TEMPLATE) or {}
    is_off = template.get("enable_thinking") is False
    return not is_off and not begun_answer(turns)


def _learn_thinking(models: ThinkingModels, answer: AnswerReader, *, may_think: bool) -> None:
    if may_think and answer.finish().reason == "stop":
        alone = answer.splitter.closed_alone
        models.learn(answer.asked, thought=answer.thought, closed_alone=alone)


def _closing(answer: AnswerReader, *, is_whole: bool) -> list[TextDelta | Finish]:
    """Returns the text that was held back, and the end of an answer that has come to it."""
    rest = answer.rest(is_whole=is_whole)
    texts: list[TextDelta | Finish] = [] if rest is None else [rest]
    return [*texts, answer.finish()] if is_whole else texts


def _http_client(settings: Settings) -> httpx.AsyncClient:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if settings.llm_api_key is not None:
        headers["authorization"] = f"Bearer {settings.llm_api_key.get_secret_value()}"
    connect_s = settings.llm_connect_timeout_s
    transport = AiohttpTransport(
        verify=ssl.create_default_context(),  # the system's store knows the company's own CA
        trust_env=False,
        limits=httpx.Limits(max_connections=0, keepalive_expiry=KEEPALIVE_S),  # 0: no bound
    )
    # aiohttp counts name lookup under "pool"; waiting for an answer is bounded by Clock.
    timeout = httpx.Timeout(None, connect=connect_s, pool=connect_s)
    return httpx.AsyncClient(transport=transport, timeout=timeout, headers=headers, trust_env=False)
