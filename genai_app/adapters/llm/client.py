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

What the servers say of themselves is models.py; one request is request.py; the events of the
two dialects are dialects.py; which server is worth asking is endpoints.py. When a run may
call at all is decided by whoever hands in `turns`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import httpx
import structlog
from httpx_aiohttp import AiohttpTransport

from genai_app import metrics
from genai_app.adapters.llm.dialects import (
    ChatTurn,
    Finish,
    OpenAiAnswer,
    Piece,
    TgiAnswer,
    openai_body,
    tgi_body,
)
from genai_app.adapters.llm.endpoints import Breaker, Endpoint, Turns, refusal_of
from genai_app.adapters.llm.models import Served, ServerCatalogue, Window
from genai_app.adapters.llm.request import Clock, Run, Unreachable
from genai_app.errors import AppError, ModelUnavailable
from genai_app.settings.settings import Settings

__all__ = ["ChatTurn", "Finish", "LlmClient", "Piece", "Served", "Window"]

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
        self._tgi = settings.llm_kind == "tgi" and not settings.demo_model
        self._name = settings.llm_model
        self._http = _http_client(settings)
        self._catalogue = ServerCatalogue(self._http, self.endpoints, tgi=self._tgi)

    async def stream(
        self,
        turns: Sequence[ChatTurn],
        *,
        model: str | None = None,
        max_tokens: int,
        temperature: float | None = None,
        sampling: Sequence[tuple[str, object]] = (),
        turns_at: Turns | None = None,
    ) -> AsyncGenerator[Piece | Finish, None]:
        """The answer as it comes. The last item is a `Finish`, else an error is raised.

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
        if self._tgi:
            body = tgi_body(
                turns, max_tokens=max_tokens, temperature=temperature, sampling=sampling
            )
        else:
            body = openai_body(
                turns,
                model=name,
                max_tokens=max_tokens,
                temperature=temperature,
                sampling=sampling,
            )
        clock, failed = Clock(self._settings), None
        try:
            for last_try in (False, True):
                answer = (TgiAnswer if self._tgi else OpenAiAnswer)(model=name, turns=turns)
                asked_at = clock.loop.time()
                async with (turns_at or self._at_once)(failed) as endpoint:
                    clock.put_off(clock.loop.time() - asked_at)
                    if failed not in (None, endpoint):
                        metrics.failover()
                    run = Run(self._http, answer, clock, endpoint.answered)
                    try:
                        await run.open(endpoint.url + self._path, body)
                        while (piece := await run.next()) is not None:
                            yield piece
                        yield answer.finish()
                        return
                    except AppError as error:
                        endpoint.judge(error, begun=answer.begun)
                        if error.code == "model_unknown" and not model:
                            self._name = self._settings.llm_model  # the server has another one now
                        if last_try or not _is_worth_another(error, begun=answer.begun):
                            raise
                        log.warning(
                            "llm.trying_again",
                            endpoint=endpoint.name,
                            code=error.code,
                            detail=error.detail,
                        )
                        failed = endpoint
                    finally:
                        await run.aclose()
                if len(self.endpoints) == 1:
                    await asyncio.sleep(RETRY_PAUSE_S)
        finally:
            clock.deadline.close()

    async def model_name(self) -> str:
        """`GENAI_LLM_MODEL`, or the first model the server names; asked once.

        Raises:
            ModelUnavailable: no server tells, or none is worth asking now.
        """
        if not self._name:
            if refusal := refusal_of(self.endpoints, 0):
                raise refusal
            timeout_s = self._settings.llm_first_token_timeout_s
            answers = await self._ask_all(timeout_s)
            for endpoint, answer in zip(self.endpoints, answers, strict=True):
                if isinstance(answer, AppError) and endpoint.breaker is not Breaker.OPEN:
                    endpoint.judge(answer, begun=False)
            names = [answer for answer in answers if isinstance(answer, str)]
            if not names:
                raise answers[0] if isinstance(answers[0], AppError) else ModelUnavailable()
            self._name = names[0]
        return self._name

    async def window(self, model: str | None) -> Window | None:
        """How much the model takes, the one that answers by default without a name; None where no
        server says so. Waits half a second at most for the server's word, and for the name as
        long as `model_name`."""
        return await self._catalogue.window(model or await self.model_name())

    async def count_tokens(self, turns: Sequence[ChatTurn], model: str | None) -> int | None:
        """How many tokens a prompt is for the model; None where no server counts them."""
        return await self._catalogue.count_tokens(turns, model or await self.model_name())

    async def learn_window(self, model: str | None, total: int) -> None:
        """A server refused a prompt and named its context."""
        self._catalogue.learn(model or await self.model_name(), total)

    async def list_models(self) -> list[str]:
        """Names of the models that the servers have. Raises ModelUnavailable: no server tells."""
        answers = await self._ask_all(CHECK_TIMEOUT_S)
        names = [answer for answer in answers if isinstance(answer, str)]
        if not names:
            raise answers[0] if isinstance(answers[0], AppError) else ModelUnavailable()
        own = [self._settings.llm_model] if self._settings.llm_model else []
        return list(dict.fromkeys([*own, *names]))

    async def ask_each(self) -> list[Served | AppError]:
        """What each endpoint says of itself, in their order, or why it does not."""
        timeout_s = self._settings.llm_connect_timeout_s
        asked = (self._catalogue.ask(each, timeout_s) for each in self.endpoints)
        return list(await asyncio.gather(*asked))

    async def check(self) -> None:
        """
        Raises:
            ModelUnavailable: no server answers as a model server within 2 s.
        """
        answers = await self._ask_all(CHECK_TIMEOUT_S)
        if not any(isinstance(answer, str) for answer in answers):
            raise answers[0] if isinstance(answers[0], ModelUnavailable) else ModelUnavailable()

    async def check_endpoint(self, endpoint: Endpoint) -> None:
        """
        Raises:
            AppError: this server does not answer as a model server within 2 s.
        """
        answer = await self._ask_name(endpoint, CHECK_TIMEOUT_S)
        if isinstance(answer, AppError):
            raise answer

    async def aclose(self) -> None:
        """Close every connection; streams that still run are cut."""
        await self._catalogue.aclose()
        await self._http.aclose()

    @property
    def _path(self) -> str:
        return "/generate_stream" if self._tgi else "/v1/chat/completions"

    @asynccontextmanager
    async def _at_once(self, failed: Endpoint | None) -> AsyncGenerator[Endpoint]:
        """The endpoint with the least work that has not failed just now, and is not `failed`."""
        if refusal := refusal_of(self.endpoints, 0):
            raise refusal
        offered = [each for each in self.endpoints if each.offer()]
        if not offered:
            raise ModelUnavailable("a probe is under way")
        endpoint = min(offered, key=lambda each: (each is failed, each.rests, each.in_flight))
        for each in offered:
            if each is not endpoint:
                each.withdraw()
        probe = endpoint.begin()
        try:
            yield endpoint
        finally:
            endpoint.end(probe=probe)

    async def _ask_all(self, timeout_s: float) -> list[str | AppError]:
        """Per endpoint, in their order, the name of its model or why there is none."""
        asked = (self._ask_name(each, timeout_s) for each in self.endpoints)
        return list(await asyncio.gather(*asked))

    async def _ask_name(self, endpoint: Endpoint, timeout_s: float) -> str | AppError:
        served = await self._catalogue.ask(endpoint, timeout_s)
        return served.models[0] if isinstance(served, Served) else served


def _is_worth_another(error: AppError, *, begun: bool) -> bool:
    """Whether a second try makes sense: nothing was shown, and the server is not the last word."""
    return isinstance(error, Unreachable) or (error.code == "model_busy" and not begun)


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
