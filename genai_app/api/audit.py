"""`/admin/api/audit`: the audit log, for administrators and their log collectors."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from genai_app.api.bodies import RowBody, failures
from genai_app.api.dialogs.routes import Cursor
from genai_app.api.roles import Administrator
from genai_app.models import Action, Outcome
from genai_app.services import services
from genai_app.services.audit.log import MAX_PAGE, MAX_TEXT, PAGE, AuditFilters

router = APIRouter(prefix="/admin/api/audit", tags=["administration"])

Text = Annotated[str, Query(max_length=MAX_TEXT)]


class AuditItem(RowBody):
    """An audit event. `number`: its position in the sealed chain, null for about a second until it
    is sealed. `reason`: the reason that the actor entered."""

    id: uuid.UUID
    number: Annotated[int | None, Field(validation_alias="seq")]
    at: AwareDatetime
    action: str
    outcome: str
    actor: Annotated[str, Field(validation_alias="actor_name")]
    target: str
    channel: str
    address: str
    details: str
    reason: str


class AuditItems(BaseModel):
    """A page of events, newest first."""

    items: list[AuditItem]
    next_cursor: str | None


class ChainBody(BaseModel):
    """The result of a check of the chain. `count`: intact events; `head`: the number of the last
    event; `signed`: the number in the signed end of the chain; `broken`: null, or how the chain is
    broken (changed, missing, tail); `number`: the first broken event."""

    holds: bool
    count: int
    head: int
    signed: int | None
    broken: str | None
    number: int | None


@router.get("", responses=failures(400, 403), summary="List audit events")
async def list_events(
    actor: Administrator,
    action: Action | None = None,
    outcome: Outcome | None = None,
    who: Text = "",
    target: Text = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    cursor: Cursor = None,
) -> AuditItems:
    """Returns events that fit all filters. `who` and `target` are compared with the whole name;
    upper and lower case are the same."""
    filters = AuditFilters(action, outcome, who, target, since, until)
    page = await services().audit_log.list(actor, filters, cursor=cursor, limit=limit)
    return AuditItems(
        items=[AuditItem.model_validate(row) for row in page.items], next_cursor=page.next_cursor
    )


@router.post("/verify", responses=failures(403), summary="Check the chain of events")
async def verify(actor: Administrator) -> ChainBody:
    """Reads every event. Takes some seconds per 100,000 events."""
    check = await services().audit_log.verify(actor)
    return ChainBody(
        holds=check.broken is None,
        count=check.count,
        head=check.head,
        signed=check.anchored,
        broken=check.broken,
        number=check.seq,
    )
