"""`/me/keys`: a user's own API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from genai_app.api.bodies import failures
from genai_app.api.budget import Reader
from genai_app.errors import Forbidden
from genai_app.models import ApiKey
from genai_app.services import services
from genai_app.services.keys import MAX_NAME

router = APIRouter(prefix="/me/keys", tags=["keys"])


class NewKey(BaseModel):
    """A key to make. Without `expires_at` it lasts until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    expires_at: AwareDatetime | None = None


class Key(BaseModel):
    """What is told of a key. `hint`: its first characters."""

    id: UUID
    name: str
    hint: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    last_used_at: AwareDatetime | None


class MadeKey(Key):
    """A new key with its text, `key`, which is shown this once."""

    key: str


class Keys(BaseModel):
    """All keys that were not revoked, newest first."""

    items: list[Key]


@router.post("", status_code=201, responses=failures(400, 403, 413), summary="Make an API key")
async def create(body: NewKey, actor: Reader) -> MadeKey:
    """Make a key. Only a login can: a stolen key must not outlive itself."""
    if actor.session_id is None:
        raise Forbidden(code="login_needed")
    key, text = await services().keys.create(actor, body.name, body.expires_at)
    return MadeKey(**_told(key).model_dump(), key=text)


@router.get("", responses=failures(), summary="List my API keys")
async def list_all(actor: Reader) -> Keys:
    """The caller's keys."""
    return Keys(items=[_told(key) for key in await services().keys.list(actor)])


@router.delete("/{key_id}", status_code=204, responses=failures(404), summary="Revoke an API key")
async def revoke(key_id: str, actor: Reader) -> None:
    """End a key at once."""
    await services().keys.revoke(actor, key_id)


def _told(key: ApiKey) -> Key:
    return Key(
        id=key.id,
        name=key.name,
        hint=key.hint,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )
