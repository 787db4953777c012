"""`/me`: the caller's account, limit and password."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from genai_app import clock
from genai_app.api.bodies import RequestBody, failures
from genai_app.api.budget import Asker, Reader, limit_headers
from genai_app.services import services
from genai_app.services.accounts.login import MAX_FIELD

router = APIRouter(tags=["me"])


class Me(BaseModel):
    """The caller's account."""

    username: Annotated[str, Field(examples=["ivanov"])]
    full_name: str
    role: Annotated[str, Field(examples=["user"])]


class MyLimits(BaseModel):
    """The caller's limit of requests. `reset_at`: when `remaining` next grows; the present time
    when all requests of the limit are free."""

    limit: int
    remaining: int
    reset_at: datetime


@router.get("/me", responses=failures(), summary="Who I am")
async def me(actor: Reader) -> Me:
    """Returns the account of the access token or API key."""
    return Me(username=actor.username, full_name=actor.full_name, role=actor.role)


class PasswordBody(RequestBody):
    """The passwords of a local account. `current_password`: the one that is valid now."""

    current_password: Annotated[str, Field(max_length=MAX_FIELD)]
    new_password: Annotated[str, Field(max_length=MAX_FIELD)]


@router.post(
    "/me/password",
    status_code=204,
    responses=failures(400, 403, 409, 413),
    summary="Change my password",
)
async def change_password(body: PasswordBody, actor: Reader) -> None:
    """Works for local accounts, with the access token of a login; an API key cannot change a
    password. All other logins of the account end. A wrong `current_password` counts as a wrong
    password at the login."""
    await services().auth.change_password(actor, body.current_password, body.new_password)


@router.get("/me/limits", responses=failures(), summary="What is left of my limit")
async def my_limits(actor: Asker, response: Response) -> MyLimits:
    """Returns the limit that the web page, the API and all keys share. This request does not count
    against the limit."""
    budget = await services().limits.look(actor)
    response.headers.update(limit_headers(budget))
    reset_at = clock.now() + timedelta(seconds=budget.reset_s)
    return MyLimits(limit=budget.limit, remaining=budget.remaining, reset_at=reset_at)
