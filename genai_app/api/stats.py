"""`/admin/api/stats`: the figures of the overview page, for reviewers and their dashboards."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from genai_app.api.bodies import failures
from genai_app.api.roles import Reviewer
from genai_app.services import services
from genai_app.services.statistics.periods import Period

router = APIRouter(prefix="/admin/api/stats", tags=["administration"])


class StatsPoint(BaseModel):
    """The figures of one hour or day. `by_source`: answers by source, without failed ones."""

    begin: AwareDatetime
    answers: int
    failed: int
    users: int
    by_source: dict[str, int]


class Percentiles(BaseModel):
    """Percentiles in milliseconds, exact to 5 %; null without answers."""

    p50: float | None
    p95: float | None


class AnswerCount(BaseModel):
    """The number of answers of a department or model."""

    name: str
    answers: int


class Stats(BaseModel):
    """The use of the assistant since `begin`. `model_ms`: total time of all model runs; `saved_ms`:
    the time that the cached answers would have taken."""

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
    departments: list[AnswerCount]
    models: list[AnswerCount]
    points: list[StatsPoint]


@router.get("", responses=failures(403), summary="Figures of use")
async def stats(
    actor: Reviewer,
    period: Period = Period.DAY,
    department: Annotated[str | None, Query(max_length=200)] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
) -> Stats:
    """Returns points by the hour for the period `day`, by the day for longer ones. With `model`,
    `users` is always 0."""
    overview = await services().overviews.get(actor, period, department=department, model=model)
    return Stats(
        begin=overview.begin,
        answers=overview.answers,
        failed=overview.failed,
        users=overview.users,
        prompt_tokens=overview.prompt_tokens,
        completion_tokens=overview.completion_tokens,
        by_source=dict(overview.by_source),
        first_token_ms=Percentiles(p50=overview.first.p50, p95=overview.first.p95),
        total_ms=Percentiles(p50=overview.total.p50, p95=overview.total.p95),
        limits_hit=overview.limits_hit,
        model_ms=overview.model_ms,
        saved_ms=overview.saved_ms,
        departments=[AnswerCount(name=name, answers=count) for name, count in overview.departments],
        models=[AnswerCount(name=name, answers=count) for name, count in overview.models],
        points=[
            StatsPoint(
                begin=point.begin,
                answers=point.answers,
                failed=point.failed,
                users=point.users,
                by_source=dict(point.by_source),
            )
            for point in overview.points
        ],
    )
