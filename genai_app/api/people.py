"""`/admin/api/users`: lists and changes accounts, for administrators."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from genai_app.api.account.keys import KeyItem
from genai_app.api.bodies import RequestBody, Switch, failures
from genai_app.api.dialogs.routes import Cursor
from genai_app.api.roles import Administrator
from genai_app.models import Role
from genai_app.services import services
from genai_app.services.accounts.people import MAX_PAGE, MAX_SEARCH, PAGE, PersonView
from genai_app.services.accounts.users import MAX_FULL_NAME

router = APIRouter(prefix="/admin/api/users", tags=["administration"])


class PersonItem(BaseModel):
    """An account. `role`: the effective role; `group_role`: the role by groups of the directory;
    `granted_role`: the role that an administrator granted. `rate_limit`: the account's own limit,
    null for the limit of its role."""

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
    """A page of accounts, sorted by name."""

    items: list[PersonItem]
    next_cursor: str | None


class LoginItem(BaseModel):
    """A login that is valid now."""

    id: uuid.UUID
    channel: str
    created_at: AwareDatetime
    expires_at: AwareDatetime
    address: str
    user_agent: str


class PersonBody(PersonItem):
    """An account with its valid logins and API keys. `limit`: the effective limit. `questions` and
    `tokens`: the use of the last 30 days, null if reviewers see pseudonyms."""

    limit: str
    questions: int | None
    tokens: int | None
    last_asked_at: AwareDatetime | None
    sessions: list[LoginItem]
    keys: list[KeyItem]


class PersonChange(RequestBody):
    """The fields to change; missing ones stay as they are. An empty `rate_limit` restores the limit
    of the role."""

    role: Role | None = None
    rate_limit: Annotated[str, Field(max_length=100)] | None = None
    department: Annotated[str, Field(max_length=MAX_FULL_NAME)] | None = None
    disabled: Switch | None = None


@router.get("", responses=failures(400, 403), summary="List accounts")
async def list_people(
    actor: Administrator,
    q: Annotated[str, Query(max_length=MAX_SEARCH)] = "",
    role: Role | None = None,
    disabled: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    cursor: Cursor = None,
) -> PeopleItems:
    """Returns accounts that fit all filters. `q`: a part of the name, full name, department or mail
    address."""
    page = await services().people.list(
        actor, search=q, role=role, disabled=disabled, cursor=cursor, limit=limit
    )
    items = [PersonItem(**_columns(row)) for row in page.items]
    return PeopleItems(items=items, next_cursor=page.next_cursor)


@router.get("/{user_id}", responses=failures(403, 404), summary="Get an account")
async def get_person(user_id: str, actor: Administrator) -> PersonBody:
    return _person(await services().people.get(actor, user_id))


@router.patch("/{user_id}", responses=failures(400, 403, 404, 409, 413), summary="Change it")
async def change_person(user_id: str, body: PersonChange, actor: Administrator) -> PersonBody:
    """Changes an account. You cannot change your own role or disable your own account. Disabling an
    account immediately ends its logins, keys and running answers."""
    changes = services().account_changes
    if body.role is not None:
        await changes.set_role(actor, user_id, body.role)
    if body.rate_limit is not None:
        await changes.set_limit(actor, user_id, body.rate_limit)
    if body.department is not None:
        await changes.set_department(actor, user_id, body.department)
    if body.disabled is not None:
        await (changes.disable if body.disabled else changes.enable)(actor, user_id)
    return _person(await services().people.get(actor, user_id))


@router.post(
    "/{user_id}/unlock",
    status_code=204,
    responses=failures(403, 404),
    summary="Lift the pause after wrong passwords",
)
async def unlock_person(user_id: str, actor: Administrator) -> None:
    """Allows the next login attempt immediately, from any address. Does not unlock the account in
    the directory."""
    await services().account_changes.unlock(actor, user_id)


@router.delete(
    "/{user_id}/sessions", status_code=204, responses=failures(403, 404), summary="End all logins"
)
async def end_sessions(user_id: str, actor: Administrator) -> None:
    await services().account_changes.end_sessions(actor, user_id)


@router.delete(
    "/{user_id}/sessions/{session_id}",
    status_code=204,
    responses=failures(403, 404),
    summary="End a login",
)
async def end_session(user_id: str, session_id: str, actor: Administrator) -> None:
    await services().account_changes.end_sessions(actor, user_id, session_id)


@router.delete(
    "/{user_id}/keys/{key_id}",
    status_code=204,
    responses=failures(403, 404),
    summary="Revoke an API key of a user",
)
async def revoke_key(user_id: str, key_id: str, actor: Administrator) -> None:
    await services().account_changes.revoke_key(actor, user_id, key_id)


def _columns(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PersonItem.model_fields}


def _person(view: PersonView) -> PersonBody:
    return PersonBody(
        **_columns(view.user),
        limit=view.rate,
        questions=view.usage.questions if view.usage else None,
        tokens=view.usage.tokens if view.usage else None,
        last_asked_at=view.usage.last_at if view.usage else None,
        sessions=[LoginItem.model_validate(row.model_dump()) for row in view.sessions],
        keys=[KeyItem.model_validate(row.model_dump()) for row in view.keys],
    )
