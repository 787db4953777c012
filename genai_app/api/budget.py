"""Dependencies that authenticate a caller and put the caller's limit into the response headers."""

import math
from typing import Annotated

from fastapi import Depends, Request, Response

from genai_app.access import Actor
from genai_app.api.bearer import CurrentActor
from genai_app.services import services
from genai_app.services.limits.rate import Budget


def limit_headers(budget: Budget | None) -> dict[str, str]:
    """Returns the limit's headers, named as in OpenAI's API. None for a limit that cannot be
    read."""
    if budget is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(budget.limit),
        "x-ratelimit-remaining-requests": str(budget.remaining),
        "x-ratelimit-reset-requests": _duration(budget.reset_s),
    }


def _duration(seconds: float) -> str:
    """Returns seconds in OpenAI's notation: `12s`, `6m0s`, `1h0m0s`. Rounds up."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


async def _asker(request: Request, actor: CurrentActor) -> Actor:
    request.state.actor = actor  # if the route fails, errors.py adds the limit's headers
    return actor


async def _reader(response: Response, actor: Annotated[Actor, Depends(_asker)]) -> Actor:
    response.headers.update(limit_headers(await services().limits.look(actor)))
    return actor


# for routes that count against the limit: the turn's headers contain it
Asker = Annotated[Actor, Depends(_asker)]
# for all other routes
Reader = Annotated[Actor, Depends(_reader)]
