"""The caller of the API, by the access token or API key in the `Authorization` header."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from genai_app.access import Actor
from genai_app.errors import NotAuthenticated
from genai_app.services import services
from genai_app.services.accounts.api_keys import PREFIX
from genai_app.services.accounts.current_actor import act_as
from genai_app.web.body_limit import MAX_BODY_BYTES

_scheme = HTTPBearer(
    scheme_name="bearer",
    description="An access token of `POST /token`, or an API key.",
    auto_error=False,
)


def get_bearer(request: Request) -> str | None:
    """Returns the text after `Authorization: Bearer`, or None without this header or scheme."""
    scheme, _, text = request.headers.get("authorization", "").strip().partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


async def current_actor(request: Request, _: Annotated[object, Depends(_scheme)]) -> Actor:
    """Returns the owner of the bearer token. Raises NotAuthenticated without a valid token."""
    text = get_bearer(request)
    if not text:
        raise NotAuthenticated
    issuer = services().keys if text.startswith(PREFIX) else services().tokens
    actor = await issuer.find_actor(text)
    if actor is None:
        raise NotAuthenticated
    act_as(actor)
    return actor


CurrentActor = Annotated[Actor, Depends(current_actor)]


class CallerFirst(APIRoute):
    """Authenticates the caller of a long request before its body is read; FastAPI reads it first.
    So nobody fills the memory without a token."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_authenticated(request: Request) -> Response:
            size = request.headers.get("content-length", "")
            is_long = int(size) > MAX_BODY_BYTES if size.isdecimal() else False
            if is_long or "transfer-encoding" in request.headers:
                await current_actor(request, None)
            return await handle(request)

        return handle_authenticated
