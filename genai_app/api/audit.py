"""`/admin/api/audit`: who did what, for administrators and their own log collector."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from genai_app.api.bodies import failures
from genai_app.api.roles import Administrator
from genai_app.models import Action, Outcome
from genai_app.services import services
from genai_app.services.audit_log import MAX_PAGE, MAX_TEXT, PAGE, AuditFilters

router = APIRouter(prefix="/admin/api/audit", tags=["administration"])

Text = Annotated[str, Query(max_length=MAX_TEXT)]


class AuditItem(BaseModel):
    """One event. `number`: its place in the chain, null until it is sealed, a second or so.
    `reason`: what the actor gave as one."""

    id: uuid.UUID
    number: int | None
    at: AwareDatetime
    action: str
    outcome: str
    actor: str
    target: str
    channel: str
    address: str
    details: str
    reason: str


class AuditItems(BaseModel):
    """Events, newest first."""

    items: list[AuditItem]
    next_cursor: str | None


class ChainBody(BaseModel):
    """What a check of the chain found. `broken`: how, or null; `number`: where."""

    holds: bool
    count: int
    head: int
    signed: int | None
    broken: str | None
    number: int | None


@router.get("", responses=failures(403), summary="List audit events")
async def list_events(
    actor: Administrator,
    action: Action | None = None,
    outcome: Outcome | None = None,
    who: Text = "",
    target: Text = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> AuditItems:
    """Names and targets are compared whole, in any case."""
    filters = AuditFilters(action, outcome, who, target, since, until)
    page = await services().audit_log.list(actor, filters, cursor=cursor, limit=limit)
    return AuditItems(items=[_item(row) for row in page.items], next_cursor=page.next_cursor)


@router.post("/verify", responses=failures(403), summary="Check the chain of events")
async def verify(actor: Administrator) -> ChainBody:
    """Reads every event: seconds for each 100,000."""
    found = await services().audit_log.verify(actor)
    return ChainBody(
        holds=found.broken is None,
        count=found.count,
        head=found.head,
        signed=found.anchored,
        broken=found.broken,
        number=found.seq,
    )


def _item(row: Any) -> AuditItem:
    return AuditItem(
        id=row.id,
        number=row.seq,
        at=row.at,
        action=row.action,
        outcome=row.outcome,
        actor=row.actor_name,
        target=row.target,
        channel=row.channel,
        address=row.address,
        details=row.details,
        reason=row.reason,
    )
