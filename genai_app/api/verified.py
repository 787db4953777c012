"""Verified answers, for reviewers: the answers of colleagues that come before the model's."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from genai_app.api.bodies import Id, Sent, Text, failures
from genai_app.api.dialogs import MAX_PAGE, Cursor
from genai_app.api.roles import Reviewer
from genai_app.models import MAX_PROMPT_CHARS, VerifiedAnswer
from genai_app.services import services
from genai_app.services.verified import PAGE, Which

router = APIRouter(prefix="/admin/api/verified", tags=["admin"])

Said = Annotated[Text, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]


def _moment(value: object) -> object:
    """As RFC 3339 says; pydantic would take numbers too."""
    if value is None or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("no date and time with a time zone")


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
ReviewBy = Annotated[
    AwareDatetime | None,
    BeforeValidator(_moment),
    Field(description="Until when it is good; null for the usual time from now."),
]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


class VerifiedBody(Sent):
    question: Annotated[Said, Field(examples=["How many days of holiday do I have?"])]
    answer: Annotated[Said, Field(examples=["28 calendar days a year."])]
    review_by: ReviewBy = None
    message_id: Annotated[Id | None, Field(description="The answer that was no good.")] = None


class VerifiedChange(Sent):
    """Another `answer` is a new entry in place of the old one. Without one the old is good for
    longer."""

    answer: Annotated[Said | None, Field(examples=["28 calendar days a year."])] = None
    review_by: ReviewBy = None


class VerifiedItem(BaseModel):
    """`hits`: how often it was given."""

    id: UUID
    question: str
    answer: str
    owner: str
    message_id: UUID | None
    created_at: datetime
    updated_at: datetime
    review_by: datetime
    retired_at: datetime | None
    hits: int
    last_hit_at: datetime | None

    @classmethod
    def of(cls, row: VerifiedAnswer) -> "VerifiedItem":
        return cls(owner=row.owner_name, **row.model_dump(include=set(cls.model_fields)))


class VerifiedItems(BaseModel):
    items: list[VerifiedItem]
    next_cursor: str | None


@router.get(
    "", responses=failures(403), summary="List verified answers, the first to be reviewed first"
)
async def list_verified(
    actor: Reviewer, state: Which = Which.LIVE, limit: Limit = PAGE, cursor: Cursor = None
) -> VerifiedItems:
    """`due`: those whose review date is past or near."""
    page = await services().verified.list_page(actor, which=state, limit=limit, cursor=cursor)
    return VerifiedItems(
        items=[VerifiedItem.of(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "",
    status_code=201,
    responses=failures(400, 403, 404, 409, 413),
    summary="Write the answer to a question",
)
async def write_verified(body: VerifiedBody, actor: Reviewer) -> VerifiedItem:
    """It answers the question, asked alone, from now on; one that did before is retired."""
    row = await services().verified.write(
        actor,
        body.question,
        body.answer,
        review_by=body.review_by,
        message_id=body.message_id,
    )
    return VerifiedItem.of(row)


@router.patch(
    "/{verified_id}",
    responses=failures(400, 403, 404, 409, 413),
    summary="Correct a verified answer, or vouch for it for longer",
)
async def change_verified(verified_id: str, body: VerifiedChange, actor: Reviewer) -> VerifiedItem:
    """Returns the one that answers now."""
    row = await services().verified.change(
        actor, verified_id, answer=body.answer, review_by=body.review_by
    )
    return VerifiedItem.of(row)


@router.delete(
    "/{verified_id}",
    status_code=204,
    responses=failures(403, 404),
    summary="Retire a verified answer",
)
async def retire_verified(verified_id: str, actor: Reviewer) -> None:
    """The model answers again. Who was given it keeps it."""
    await services().verified.retire(actor, verified_id)
