"""Who the caller is, and how many requests are left."""

from datetime import timedelta

from fastapi import APIRouter, Response

from genai_app import clock
from genai_app.api.bodies import Me, MyLimits, failures
from genai_app.api.budget import Asker, Reader, limit_headers
from genai_app.services import services

router = APIRouter(tags=["me"])


@router.get("/me", responses=failures(), summary="Who I am")
async def me(actor: Reader) -> Me:
    return Me(username=actor.username, full_name=actor.full_name, role=actor.role)


@router.get("/me/limits", responses=failures(), summary="What is left of my limit")
async def my_limits(actor: Asker, response: Response) -> MyLimits:
    """One limit for the page, the API and all keys together. Looking takes nothing of it."""
    budget = await services().limits.look(actor)
    response.headers.update(limit_headers(budget))
    reset_at = clock.now() + timedelta(seconds=budget.reset_s)
    return MyLimits(limit=budget.limit, remaining=budget.remaining, reset_at=reset_at)
