"""`/me`: the caller's account, own instructions, limit and password."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from genai_app import clock
from genai_app.access import Actor
from genai_app.api.bodies import RequestBody, Text, failures
from genai_app.api.budget import Asker, Reader, limit_headers
from genai_app.services import services
from genai_app.services.accounts.instructions import MAX_CHARS
from genai_app.services.accounts.login import MAX_FIELD

router = APIRouter(tags=["me"])


class Me(BaseModel):
    """The caller's account."""

    username: Annotated[str, Field(examples=["ivanov"])]
    full_name: str
    role: Annotated[str, Field(examples=["user"])]
    instructions: Annotated[str, Field(description="My own for the model, for every question")]


class MyLimits(BaseModel):
    """The caller's limit of requests. `reset_at`: when `remaining` next grows; the present time
    when all requests of the limit are free."""

    limit: int
    remaining: int
    reset_at: datetime


@router.get("/me", responses=failures(), summary="Who I am")
async def me(actor: Reader) -> Me:
    """Returns the account of the access token or API key."""
    return _me(actor, actor.instructions)


class MeChange(RequestBody):
    """A change of the caller's account; what is left out stays."""

    instructions: Annotated[
        Text | None,
        Field(description=f"For the model, at most {MAX_CHARS} characters; an empty text clears"),
    ] = None


@router.patch("/me", responses=failures(400, 413), summary="Change my own instructions")
async def change_me(body: MeChange, actor: Reader) -> Me:
    """Changes the caller's own instructions, which stand before every question from the next one
    on."""
    if body.instructions is None:
        return _me(actor, actor.instructions)
    return _me(actor, await services().instructions.save(actor, body.instructions))


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


def _me(actor: Actor, instructions: str) -> Me:
    return Me(
        username=actor.username,
        full_name=actor.full_name,
        role=actor.role,
        instructions=instructions,
    )
