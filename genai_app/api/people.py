"""`/admin/api/users`: accounts, for administrators."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from genai_app.api.bodies import failures
from genai_app.api.roles import Administrator
from genai_app.models import Role
from genai_app.services import services
from genai_app.services.people import MAX_PAGE, MAX_SEARCH, PAGE, PersonView
from genai_app.services.users import MAX_FULL_NAME

router = APIRouter(prefix="/admin/api/users", tags=["administration"])


class PersonItem(BaseModel):
    """An account. `group_role`: what groups of the directory give; `granted_role`: what was granted
    here; `role`: what holds. `rate_limit`: one of its own, or null."""

    id: uuid.UUID
    username: str
    origin: str
    full_name: str
    department: str
    role: str
    group_role: str | None
    granted_role: str | None
    rate_limit: str | None
    disabled_at: AwareDatetime | None
    disabled_reason: str | None


class PeopleItems(BaseModel):
    """Accounts by name."""

    items: list[PersonItem]
    next_cursor: str | None


class LoginItem(BaseModel):
    """A login that is good now."""

    id: uuid.UUID
    channel: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    address: str
    user_agent: str


class KeyItem(BaseModel):
    """An API key that was not revoked; of its text only the first characters."""

    id: uuid.UUID
    name: str
    hint: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    last_used_at: AwareDatetime | None


class PersonBody(PersonItem):
    """An account with all that is open in its name. `limit`: the one that holds; `questions` and
    `tokens` are of the last 30 days."""

    limit: str
    questions: int
    tokens: int
    last_asked_at: AwareDatetime | None
    sessions: list[LoginItem]
    keys: list[KeyItem]


class PersonChange(BaseModel):
    """What to change; what is not named stays. `rate_limit` "" gives the role's back."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    rate_limit: Annotated[str, Field(max_length=100)] | None = None
    department: Annotated[str, Field(max_length=MAX_FULL_NAME)] | None = None
    disabled: bool | None = None


@router.get("", responses=failures(403), summary="List accounts")
async def list_people(
    actor: Administrator,
    q: Annotated[str, Query(max_length=MAX_SEARCH)] = "",
    role: Role | None = None,
    disabled: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> PeopleItems:
    """`q`: a part of name, full name, department or mail address."""
    page = await services().people.list(
        actor, search=q, role=role, disabled=disabled, cursor=cursor, limit=limit
    )
    items = [PersonItem(**_columns(row)) for row in page.items]
    return PeopleItems(items=items, next_cursor=page.next_cursor)


@router.get("/{user_id}", responses=failures(403, 404), summary="Get an account")
async def get_person(user_id: str, actor: Administrator) -> PersonBody:
    return _told(await services().people.get(actor, user_id))


@router.patch("/{user_id}", responses=failures(400, 403, 404, 409, 413), summary="Change it")
async def change_person(user_id: str, body: PersonChange, actor: Administrator) -> PersonBody:
    """One's own role stays, and nobody shuts themselves out. To shut an account ends its logins,
    keys and running answers at once."""
    people = services().people
    if body.role is not None:
        await people.set_role(actor, user_id, body.role)
    if body.rate_limit is not None:
        await people.set_limit(actor, user_id, body.rate_limit)
    if body.department is not None:
        await people.set_department(actor, user_id, body.department)
    if body.disabled is not None:
        await (people.disable if body.disabled else people.enable)(actor, user_id)
    return _told(await people.get(actor, user_id))


@router.delete(
    "/{user_id}/sessions", status_code=204, responses=failures(403, 404), summary="End all logins"
)
async def end_sessions(user_id: str, actor: Administrator) -> None:
    await services().people.end_sessions(actor, user_id)


@router.delete(
    "/{user_id}/sessions/{session_id}",
    status_code=204,
    responses=failures(403, 404),
    summary="End a login",
)
async def end_session(user_id: str, session_id: str, actor: Administrator) -> None:
    await services().people.end_sessions(actor, user_id, session_id)


@router.delete(
    "/{user_id}/keys/{key_id}",
    status_code=204,
    responses=failures(403, 404),
    summary="Revoke an API key of a user",
)
async def revoke_key(user_id: str, key_id: str, actor: Administrator) -> None:
    await services().people.revoke_key(actor, user_id, key_id)


def _columns(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PersonItem.model_fields}


def _told(view: PersonView) -> PersonBody:
    return PersonBody(
        **_columns(view.user),
        limit=view.rate,
        questions=view.usage.questions,
        tokens=view.usage.tokens,
        last_asked_at=view.usage.last_at,
        sessions=[LoginItem.model_validate(row.model_dump()) for row in view.sessions],
        keys=[KeyItem.model_validate(row.model_dump()) for row in view.keys],
    )
