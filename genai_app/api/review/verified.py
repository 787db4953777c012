"""Verified answers: answers that reviewers wrote, which are used instead of the model's answers."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field

from genai_app.api.bodies import Id, RequestBody, Text, failures
from genai_app.api.dialogs.routes import MAX_PAGE, Cursor
from genai_app.api.roles import Reviewer
from genai_app.models import MAX_PROMPT_CHARS, VerifiedAnswer
from genai_app.services import services
from genai_app.services.reuse.verified import PAGE, Which

router = APIRouter(prefix="/admin/api/verified", tags=["admin"])

Sentences = Annotated[Text, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]


def _moment(value: object) -> object:
    """Refuses values that are not RFC 3339 texts. pydantic alone would accept numbers."""
    if value is None or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("not a date and time with a time zone")


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
ReviewBy = Annotated[
    AwareDatetime | None,
    BeforeValidator(_moment),
    Field(description="When the answer is to be reviewed; null for the default time from now."),
]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]


class VerifiedBody(RequestBody):
    """A question and the answer that all users get from now on."""

    question: Annotated[Sentences, Field(examples=["How many days of holiday do I have?"])]
    answer: Annotated[Sentences, Field(examples=["28 calendar days a year."])]
    review_by: ReviewBy = None
    message_id: Annotated[
        Id | None, Field(description="The id of the wrong answer of the model.")
    ] = None


class VerifiedChange(RequestBody):
    """The changes to a verified answer. With `answer`, a new entry replaces the old one. Without
    it, only the review date moves."""

    answer: Annotated[Sentences | None, Field(examples=["28 calendar days a year."])] = None
    review_by: ReviewBy = None


class VerifiedItem(BaseModel):
    """A verified answer. `hits`: how often users got it."""

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
    """A page of verified answers."""

    items: list[VerifiedItem]
    next_cursor: str | None


@router.get(
    "",
    responses=failures(400, 403),
    summary="List verified answers, the first to be reviewed first",
)
async def list_verified(
    actor: Reviewer, state: Which = Which.LIVE, limit: Limit = PAGE, cursor: Cursor = None
) -> VerifiedItems:
    """Returns verified answers by `state`. `live`: in use; `due`: the review date is past or near;
    `retired`: no longer in use."""
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
    """Writes an answer that everybody gets from now on who asks this question as the first of a
    dialog. An earlier verified answer to the same question is retired."""
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
    """Corrects or confirms a verified answer. Returns the entry that is in use afterwards."""
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
    """Retires a verified answer, so that the model answers the question again. Dialogs that contain
    the verified answer keep it."""
    await services().verified.retire(actor, verified_id)
