"""Which models take pictures. No server says so in its list of models: it is asked with a picture
of one colour, and its refusal is remembered."""

import asyncio
import base64
import re
import struct
import zlib
from collections.abc import Sequence
from typing import Literal

import httpx
import msgspec
import structlog

from genai_app.adapters.llm.breaker import BreakerState
from genai_app.adapters.llm.endpoints import Endpoint
from genai_app.adapters.llm.request import NETWORK_ERRORS

Vision = Literal["auto", "on", "off"]

TIMEOUT_S = 10.0  # a busy server makes the token last of all
ASK_AGAIN_S = 600.0  # the server may have another model by then, under the same name
SIDE = 64  # pixels: smaller ones are refused by models that do see
_ABOUT_PICTURES = re.compile(
    r"multi-?modal|image|picture|vision|visual|mmproj|content.{0,40}(string|str\b)", re.IGNORECASE
)

log = structlog.stdlib.get_logger(__name__)


class SeeingModels:
    """Knows which models take pictures.

    Args:
        mode: `on` and `off` say it for all models; `auto` asks.
    """

    def __init__(
        self, http: httpx.AsyncClient, endpoints: Sequence[Endpoint], mode: Vision
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._mode = mode
        self._asked: dict[str, tuple[bool, float]] = {}  # and the loop time of the answer
        self._asking = asyncio.Lock()

    async def sees(self, model: str) -> bool:
        """Returns whether a model takes pictures; True where no server can say so now."""
        if self._mode != "auto":
            return self._mode == "on"
        async with self._asking:
            sees, at = self._asked.get(model, (True, float("-inf")))
            now = asyncio.get_running_loop().time()
            if now - at < ASK_AGAIN_S:
                return sees
            answer = await self._ask(model)
            if answer is not None:
                self._asked[model] = answer, now
                log.info("llm.vision", model=model, sees=answer)
            return answer is not False

    async def _ask(self, model: str) -> bool | None:
        """Returns whether the first server that can say takes a picture; None where none says."""
        for endpoint in self._endpoints:
            if endpoint.breaker.state is BreakerState.OPEN:
                continue
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    response = await self._http.post(
                        f"{endpoint.url}/v1/chat/completions", content=_body(model)
                    )
            except NETWORK_ERRORS:
                continue
            if response.status_code == 200:
                return True
            if response.status_code not in (401, 403, 404, 429) and _ABOUT_PICTURES.search(
                response.text[:4000]
            ):
                return False
        return None


def _body(model: str) -> bytes:
    url = f"data:image/png;base64,{base64.b64encode(_png()).decode()}"
    content = [
        {"type": "text", "text": "?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return msgspec.json.encode(
        {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 1}
    )


def _png() -> bytes:
    """Returns a grey square."""
    rows = (b"\0" + b"\x80" * SIDE) * SIDE
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
