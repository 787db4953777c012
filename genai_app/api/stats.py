"""`/admin/api/stats`: the figures of the overview, for reviewers and their own dashboards."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from genai_app.api.bodies import failures
from genai_app.api.roles import Reviewer
from genai_app.services import services
from genai_app.services.overview import Period

router = APIRouter(prefix="/admin/api/stats", tags=["administration"])


class StatsPoint(BaseModel):
    """One hour or day. `by_source` leaves out what failed."""

    begin: AwareDatetime
    answers: int
    failed: int
    users: int
    by_source: dict[str, int]


class Percentiles(BaseModel):
    """Milliseconds, within 5 %; null without an answer."""

    p50: float | None
    p95: float | None


class Count(BaseModel):
    """How many answers a department or model had."""

    name: str
    answers: int


class Stats(BaseModel):
    """What the assistant was used for since `begin`. `model_ms`: models at work; `saved_ms`: what
    answers that were given again would have taken."""

    begin: AwareDatetime
    answers: int
    failed: int
    users: int
    prompt_tokens: int
    completion_tokens: int
    by_source: dict[str, int]
    first_token_ms: Percentiles
    total_ms: Percentiles
    limits_hit: int
    model_ms: int
    saved_ms: int
    departments: list[Count]
    models: list[Count]
    points: list[StatsPoint]


@router.get("", responses=failures(403), summary="Figures of use")
async def stats(
    actor: Reviewer,
    period: Period = Period.DAY,
    department: Annotated[str | None, Query(max_length=200)] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
) -> Stats:
    """By the hour for a day, by the day for more. With `model` nobody is counted in `users`."""
    found = await services().overviews.get(actor, period, department=department, model=model)
    return Stats(
        begin=found.begin,
        answers=found.answers,
        failed=found.failed,
        users=found.users,
        prompt_tokens=found.prompt_tokens,
        completion_tokens=found.completion_tokens,
        by_source=dict(found.by_source),
        first_token_ms=Percentiles(p50=found.first.p50, p95=found.first.p95),
        total_ms=Percentiles(p50=found.total.p50, p95=found.total.p95),
        limits_hit=found.limits_hit,
        model_ms=found.model_ms,
        saved_ms=found.saved_ms,
        departments=[Count(name=name, answers=count) for name, count in found.departments],
        models=[Count(name=name, answers=count) for name, count in found.models],
        points=[
            StatsPoint(
                begin=point.begin,
                answers=point.answers,
                failed=point.failed,
                users=point.users,
                by_source=dict(point.by_source),
            )
            for point in found.points
        ],
    )
