"""Fixtures of the scripted model server and of clients to it.

A test module takes them with `pytest_plugins = ("tests.fakes.model_fixtures",)`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from genai_app.adapters.llm.client import LlmClient
from genai_app.settings.settings import load_settings
from tests.fakes.model_reading import MakeLlm
from tests.fakes.model_server import ModelServer


@pytest.fixture
def fake() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest_asyncio.fixture
async def make_llm(fake: ModelServer) -> AsyncIterator[MakeLlm]:
    """Makes clients of the scripted server, or of other URLs, with `llm_` settings."""
    made: list[LlmClient] = []

    def make(*urls: str, **settings: object) -> LlmClient:
        overrides: dict[str, Any] = {f"llm_{name}": value for name, value in settings.items()}
        made.append(LlmClient(load_settings(**overrides, llm_base_url=urls or (fake.url,))))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()
