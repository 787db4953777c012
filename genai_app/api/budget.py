"""Who asks, and how many requests they have left: on every answer that knows its caller."""

import math
from typing import Annotated

from fastapi import Depends, Request, Response

from genai_app.access import Actor
from genai_app.api.bearer import CurrentActor
from genai_app.services import services
from genai_app.services.limits import Budget


def limit_headers(budget: Budget | None) -> dict[str, str]:
    """The headers of OpenAI's API; none where the limit could not be read."""
    if budget is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(budget.limit),
        "x-ratelimit-remaining-requests": str(budget.remaining),
        "x-ratelimit-reset-requests": _duration(budget.reset_s),
    }


def _duration(seconds: float) -> str:
    """`12s`, `6m0s`, `1h0m0s`; never less than there is to wait."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


async def _asker(request: Request, actor: CurrentActor) -> Actor:
    request.state.actor = actor  # should it fail, errors.py looks what is left
    return actor


async def _reader(response: Response, actor: Annotated[Actor, Depends(_asker)]) -> Actor:
    response.headers.update(limit_headers(await services().limits.look(actor)))
    return actor


# of a route that takes a unit of the limit: its turn says what is left
Asker = Annotated[Actor, Depends(_asker)]
# of any other
Reader = Annotated[Actor, Depends(_reader)]
