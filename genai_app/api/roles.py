"""Doors that only some roles may use. Whoever else knocks is refused, and audited."""

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
    # the template: a program that tries ids one after the other is one event a minute
    await services().audit.let_in(actor, role, f"{request.method} {request.scope['route'].path}")
    return actor


Reviewer = Annotated[Actor, Depends(_reviewer)]
Administrator = Annotated[Actor, Depends(_administrator)]
