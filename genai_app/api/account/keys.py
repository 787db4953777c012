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
from genai_app.services.accounts.api_keys import MAX_NAME

router = APIRouter(prefix="/me/keys", tags=["keys"])


class NewKey(BaseModel):
    """The key to make. Without `expires_at` the key is valid until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    expires_at: AwareDatetime | None = None


class KeyItem(BaseModel):
    """An API key without its text. `hint`: the first characters of the text."""

    id: UUID
    name: str
    hint: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    last_used_at: AwareDatetime | None


class MadeKey(KeyItem):
    """A new API key. `key`: its text, which is shown only in this response."""

    key: str


class KeyItems(BaseModel):
    """The keys that are not revoked, newest first."""

    items: list[KeyItem]


@router.post("", status_code=201, responses=failures(400, 403, 413), summary="Make an API key")
async def create(body: NewKey, actor: Reader) -> MadeKey:
    """Needs the access token of a login. An API key cannot make other keys, so that somebody who
    stole one loses access when it is revoked."""
    if actor.session_id is None:
        raise Forbidden(code="login_needed")
    key, text = await services().keys.create(actor, body.name, body.expires_at)
    return MadeKey(**_item(key).model_dump(), key=text)


@router.get("", responses=failures(), summary="List my API keys")
async def list_all(actor: Reader) -> KeyItems:
    """Returns the caller's keys."""
    return KeyItems(items=[_item(key) for key in await services().keys.list(actor)])


@router.delete("/{key_id}", status_code=204, responses=failures(404), summary="Revoke an API key")
async def revoke(key_id: str, actor: Reader) -> None:
    """Revokes a key immediately. Its text is refused from then on."""
    await services().keys.revoke(actor, key_id)


def _item(key: ApiKey) -> KeyItem:
    return KeyItem(
        id=key.id,
        name=key.name,
        hint=key.hint,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )
