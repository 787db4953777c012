"""Dependencies that admit only some roles. A refused call is written to the audit log."""

from typing import Annotated

from fastapi import Depends, Request

from genai_app.access import Actor
from genai_app.api.budget import Reader
from genai_app.models import Role
from genai_app.services import services


async def _reviewer(request: Request, actor: Reader) -> Actor:
    return await _with_role(Role.REVIEWER, request, actor)


async def _administrator(request: Request, actor: Reader) -> Actor:
    return await _with_role(Role.ADMIN, request, actor)


async def _with_role(role: Role, request: Request, actor: Actor) -> Actor:
    # the route's template without ids: a program that tries many ids makes one event a minute
    await services().audit.let_in(actor, role, f"{request.method} {request.scope['route'].path}")
    return actor


Reviewer = Annotated[Actor, Depends(_reviewer)]
Administrator = Annotated[Actor, Depends(_administrator)]
