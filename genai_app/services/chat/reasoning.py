"""The switch for the model's reasoning: what it sends to the model server, and where it is offered.

No server says whether a model can reason, or whether its reasoning can be turned off. So a model
whose answers came with reasoning counts as one that can, here or at another process: the newest
answers in the database show it.
"""

import asyncio
import json
from typing import Literal

import sqlalchemy as sa
from sqlmodel import col

from genai_app.adapters.llm.dialects import TEMPLATE
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Message
from genai_app.services.generation.served_models import ServedModels

Effort = Literal["low", "medium", "high"]
Default = Literal["auto", "on", "off"]
Sampling = tuple[tuple[str, object], ...]

EFFORT = "reasoning_effort"  # a parameter of vLLM
NEWEST = 500  # messages that are looked at
LOOK_S = 10.0


def reasoning_parameters(reasoning: bool | Effort | None) -> Sampling:
    """Returns the parameters for the model server; none where reasoning is left to it."""
    if reasoning is None:
        return ()
    switch = (TEMPLATE, {"enable_thinking": bool(reasoning)})
    return (switch,) if isinstance(reasoning, bool) else (switch, (EFFORT, reasoning))


def sampling_to_json(sampling: Sampling) -> str | None:
    """Returns parameters as a queued question keeps them; None where there are none."""
    return json.dumps(sampling) if sampling else None


def sampling_of_json(text: str | None) -> Sampling:
    """Returns the parameters of a queued question."""
    return tuple((str(name), value) for name, value in json.loads(text or "[]"))


class ReasoningSwitch:
    """Knows whether the model can think, and what it does unless a question says otherwise.

    Args:
        default: `auto` leaves it to the model server, and offers the switch where it thinks.
    """

    def __init__(self, db: Database, models: ServedModels, default: Default) -> None:
        self._db = db
        self.models = models
        self._default = default
        self._look_at = float("-inf")  # loop time of the next look at the database

    @property
    def is_on(self) -> bool:
        """The position of a switch that nobody has turned."""
        return self._default != "off"

    def with_default(self, sampling: Sampling) -> Sampling:
        """Returns the parameters of a request, with those of the default where it says nothing."""
        if self._default == "auto" or any(name in (TEMPLATE, EFFORT) for name, _ in sampling):
            return sampling
        return (*sampling, *reasoning_parameters(self.is_on))

    async def is_offered(self) -> bool:
        """Returns whether users may turn reasoning on and off."""
        if not self.models.have_switch:
            return False
        if self._default != "auto":
            return True
        model = await self.models.name()
        if model is None:
            return False
        if not self.models.thinks(model) and await self._has_thought(model):
            self.models.note_thinking(model)
        return self.models.thinks(model)

    async def _has_thought(self, model: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_S
        newest = (
            sa.select(col(Message.model), col(Message.reasoning_ms))
            .order_by(col(Message.id).desc())
            .limit(NEWEST)
            .subquery()
        )
        thoughts = sa.select(sa.literal(1)).where(
            newest.c.model == model, newest.c.reasoning_ms.is_not(None)
        )
        try:
            async with self._db.read() as session:
                return await session.scalar(thoughts.limit(1)) is not None
        except StorageUnavailable:
            return False
