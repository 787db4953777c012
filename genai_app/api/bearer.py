"""Who calls the API: the bearer of an access token or of an API key."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from genai_app.access import Actor
from genai_app.errors import NotAuthenticated
from genai_app.services import services
from genai_app.services.acting import act_as
from genai_app.services.keys import PREFIX

_scheme = HTTPBearer(
    scheme_name="bearer",
    description="An access token of `POST /token`, or an API key.",
    auto_error=False,
)


def get_bearer(request: Request) -> str | None:
    """What follows `Authorization: Bearer`; None where another scheme, or nothing, is sent."""
    scheme, _, text = request.headers.get("authorization", "").strip().partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


async def current_actor(request: Request, _: Annotated[object, Depends(_scheme)]) -> Actor:
    """Raises NotAuthenticated: no bearer, or one of nobody."""
    text = get_bearer(request)
    if not text:
        raise NotAuthenticated
    holders = services().keys if text.startswith(PREFIX) else services().tokens
    actor = await holders.find_actor(text)
    if actor is None:
        raise NotAuthenticated
    act_as(actor)
    return actor


CurrentActor = Annotated[Actor, Depends(current_actor)]
