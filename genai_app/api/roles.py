"""Doors that only some roles may use. Whoever else knocks is refused, and audited."""

from typing import Annotated

from fastapi import Depends, Request

from genai_app.access import Actor
from genai_app.api.budget import Reader
from genai_app.errors import Forbidden
from genai_app.models import Role
from genai_app.services import services
from genai_app.services.audit import Action, Outcome, event


async def _reviewer(request: Request, actor: Reader) -> Actor:
    return await _with_role(Role.REVIEWER, request, actor)


async def _administrator(request: Request, actor: Reader) -> Actor:
    return await _with_role(Role.ADMIN, request, actor)


async def _with_role(role: Role, request: Request, actor: Actor) -> Actor:
    if actor.has(role):
        return actor
    # the template: a program that tries ids one after the other is one event a minute
    target = f"{request.method} {request.scope['route'].path}"
    await services().audit.record_news(
        event(Action.ACCESS, Outcome.REFUSED, by=actor, target=target)
    )
    raise Forbidden


Reviewer = Annotated[Actor, Depends(_reviewer)]
Administrator = Annotated[Actor, Depends(_administrator)]
