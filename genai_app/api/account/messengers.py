"""`/me/messenger`: links of a user's accounts in messengers."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel

from genai_app.api.bodies import RequestBody, failures
from genai_app.api.budget import Reader
from genai_app.errors import Forbidden
from genai_app.models import MessengerLink
from genai_app.services import services

router = APIRouter(prefix="/me/messenger", tags=["me"])


class MessengerChoice(RequestBody):
    """The messenger to link."""

    messenger: Literal["telegram", "mattermost"]


class LinkCode(BaseModel):
    """A code that links one account of the messenger, once. `url`: opens the bot with it."""

    code: str
    url: str
    expires_at: AwareDatetime


class LinkItem(BaseModel):
    """A linked account. `title`: its name in the messenger."""

    id: UUID
    messenger: str
    title: str
    linked_at: AwareDatetime


class LinkItems(BaseModel):
    """The linked accounts, newest first."""

    items: list[LinkItem]


@router.post("", responses=failures(400, 403, 404, 413, 503), summary="Get a code for a messenger")
async def make_code(body: MessengerChoice, actor: Reader) -> LinkCode:
    """Needs the access token of a login: whoever stole an API key must not be able to link. The
    code works for ten minutes; one that was made before is void."""
    if actor.session_id is None:
        raise Forbidden(code="login_needed")
    made = await services().messengers.make_code(actor, body.messenger)
    return LinkCode(code=made.code, url=made.url, expires_at=made.expires_at)


@router.get("", responses=failures(), summary="List my linked messengers")
async def list_all(actor: Reader) -> LinkItems:
    """Returns the accounts of messengers that ask as the caller."""
    rows = await services().messengers.links.list(actor)
    return LinkItems(items=[_item(row) for row in rows])


@router.delete("/{link_id}", status_code=204, responses=failures(404), summary="Unlink a messenger")
async def unlink(link_id: str, actor: Reader) -> None:
    """Ends a link immediately: the bot answers the account no more."""
    await services().messengers.links.unlink(actor, link_id)


def _item(row: MessengerLink) -> LinkItem:
    return LinkItem(id=row.id, messenger=row.messenger, title=row.title, linked_at=row.linked_at)
