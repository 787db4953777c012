"""The name and window of a model, asked before a question is committed, without a long wait."""

import asyncio

from genai_app.adapters.llm.catalogue import Window
from genai_app.adapters.llm.client import LlmClient
from genai_app.errors import AppError

PATIENCE_S = 0.5


class ServedModels:
    """The models behind the answers of this process."""

    def __init__(self, llm: LlmClient) -> None:
        self._llm = llm

    @property
    def have_switch(self) -> bool:
        """True where a model that can think may be told not to: TGI takes no such parameter."""
        return not self._llm.is_tgi

    def thinks(self, model: str) -> bool:
        return self._llm.thinking.thinks(model)

    def note_thinking(self, model: str) -> None:
        """Takes it as known that the model can think."""
        self._llm.thinking.note(model)

    async def name(self) -> str | None:
        """Returns the model that answers unless another is named; None while no server says it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._llm.model_name()
        except (AppError, TimeoutError):
            return None

    async def window(self, model: str | None) -> Window | None:
        """Returns how much a model takes; None while no server says it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._llm.window(model)
        except (AppError, TimeoutError):
            return None

    async def sees(self, model: str | None) -> bool:
        """Returns whether a model takes pictures; True while no server says it, which then says it
        of the question itself."""
        try:
            name = model or await self._llm.model_name()
            return not self._llm.is_tgi and await self._llm.seeing.sees(name)
        except AppError:
            return True
