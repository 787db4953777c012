"""How many tokens a conversation is, counted by a model server's own tokenizer and template."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from genai_app.adapters.llm.breaker import BreakerState
from genai_app.adapters.llm.dialects import ChatTurn, plain_prompt
from genai_app.adapters.llm.endpoints import Endpoint
from genai_app.adapters.llm.request import NETWORK_ERRORS

TIMEOUT_S = 2.0
ASK_AGAIN_S = 30.0  # it may have been replaced meanwhile


class _Counted(msgspec.Struct):
    count: int


class TokenCounter:
    """Asks the servers that can count.

    Args:
        tgi: they speak TGI's own dialect.
    """

    def __init__(
        self, http: httpx.AsyncClient, endpoints: Sequence[Endpoint], *, tgi: bool
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._tgi = tgi
        self._unable: dict[Endpoint, float] = {}  # loop time of the answer that said so

    async def count(self, turns: Sequence[ChatTurn], model: str) -> int | None:
        """Returns the tokens of a prompt; None where no server counts them."""
        for endpoint in self._endpoints:
            if self._is_unable(endpoint) or endpoint.breaker.state is BreakerState.OPEN:
                continue
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    response = await self._http.post(
                        f"{endpoint.url}/tokenize", content=self._body(turns, model)
                    )
            except NETWORK_ERRORS:
                continue
            count = self._count_of(response)
            if count is not None:
                return count
            if response.status_code in (200, 404, 405, 501):
                self._unable[endpoint] = asyncio.get_running_loop().time()
        return None

    def _is_unable(self, endpoint: Endpoint) -> bool:
        """Returns whether the server said lately that it cannot count. One that failed since may
        be another now."""
        since = self._unable.get(endpoint)
        if since is None or since < endpoint.breaker.failed_at:
            return False
        return asyncio.get_running_loop().time() - since < ASK_AGAIN_S

    def _body(self, turns: Sequence[ChatTurn], model: str) -> bytes:
        if self._tgi:
            return msgspec.json.encode({"inputs": plain_prompt(turns)})
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return msgspec.json.encode({"model": model, "messages": messages})

    def _count_of(self, response: httpx.Response) -> int | None:
        if response.status_code != 200:
            return None
        try:
            if self._tgi:
                return len(msgspec.json.decode(response.content, type=list[Any]))
            return msgspec.json.decode(response.content, type=_Counted).count
        except ValueError:
            return None
