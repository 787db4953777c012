"""A request of a user of a messenger, with all that is needed to fulfil it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from genai_app.access import Actor, get_dialog
from genai_app.adapters.messenger import ChatUpdate
from genai_app.db.database import Database
from genai_app.errors import NotFound
from genai_app.services.messengers.chats import BotChat, locale_of
from genai_app.services.messengers.commands import Wanted


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A wish of a known user in a chat. `keys`: of the update, or of the updates of an album; the
    first one is the client id of a question. `mark`: as in `Messenger`."""

    keys: Sequence[uuid.UUID]
    update: ChatUpdate
    wanted: Wanted
    actor: Actor
    state: BotChat
    mark: str

    @property
    def key(self) -> uuid.UUID:
        return self.keys[0]

    @property
    def locale(self) -> str:
        return locale_of(self.state, self.update.language)


async def last_answer(db: Database, request: ChatRequest) -> uuid.UUID:
    """Returns the last answer in the dialog of a chat. Raises NotFound."""
    async with db.read() as session:
        dialog = await get_dialog(session, request.actor, request.state.dialog_id)
    if dialog.leaf_id is None:
        raise NotFound(code="dialog_not_found")
    return dialog.leaf_id
