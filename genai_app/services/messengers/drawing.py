"""The messages of a chat that show one answer. Which they are is kept in the database, so that
another process goes on."""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.adapters.messenger import Button, FormattingRefused, MessageGone, Messenger
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import MessengerAnswer
from genai_app.services.messengers.pace import Pace
from genai_app.services.messengers.parts import next_part

log = structlog.stdlib.get_logger(__name__)

SENDING_S = 5.0  # so long the end of a process waits for a message on its way
RESERVE = 16  # characters left free in a message, against rounding of what a messenger counts


@dataclass(slots=True)
class ShownPart:
    """A message that shows a part of an answer. `end`: where the part ends in the text, None while
    it grows; `opening`: the line that opens the code which the next part goes on with."""

    id: str
    end: int | None = None
    opening: str = ""


class AnswerMessages:
    """Draws an answer: what is drawn already is not sent again."""

    def __init__(
        self, db: Database, messenger: Messenger, pace: Pace, row: MessengerAnswer
    ) -> None:
        self._db, self._messenger, self._pace = db, messenger, pace
        self._answer_id, self._chat_id = row.message_id, row.chat_id
        self._parts = [ShownPart(**each) for each in json.loads(row.parts)]
        self._drawn: dict[int, tuple[str, list[Button]]] = {}

    def restart(self) -> None:
        """Lets the answer be drawn from its beginning, in the same messages."""
        for part in self._parts:
            part.end, part.opening = None, ""

    async def draw(self, text: str, buttons: list[Button]) -> None:
        """Brings the messages up to `text`. Parts that are whole are not drawn again.

        Raises MessengerError.
        """
        whole = [part for part in self._parts if part.end is not None]
        index, start, opening = len(whole), 0, ""
        if whole:
            start, opening = whole[-1].end or 0, whole[-1].opening
        while True:
            part = next_part(text, start, opening, self._fits)
            is_last = part.end >= len(text)
            await self._put(index, part.markdown, buttons if is_last else [])
            if is_last:
                return
            self._parts[index].end, self._parts[index].opening = part.end, part.opening
            await self._save()
            index, start, opening = index + 1, part.end, part.opening

    def _fits(self, markdown: str) -> bool:
        return self._messenger.length(markdown) <= self._messenger.limits.max_chars - RESERVE

    async def _put(self, index: int, markdown: str, buttons: list[Button]) -> None:
        """Sends or edits the message number `index`, unless it is so already."""
        if self._drawn.get(index) == (markdown, buttons):
            return
        markdown = markdown.strip() or "…"
        try:
            await self._send_or_edit(index, markdown, buttons, formatted=True)
        except FormattingRefused:
            log.warning("messenger.formatting_refused", messenger=self._messenger.name)
            await self._send_or_edit(index, markdown, buttons, formatted=False)
        self._drawn[index] = (markdown, buttons)

    async def _send_or_edit(
        self, index: int, markdown: str, buttons: list[Button], *, formatted: bool
    ) -> None:
        options: dict[str, Any] = {"formatted": formatted}
        if index < len(self._parts):
            key = self._parts[index].id
            # its user deleted it, or it is too old: the answer comes anew
            with suppress(MessageGone):
                async with self._pace.turn(self._chat_id):
                    await self._messenger.edit(self._chat_id, key, markdown, buttons, **options)
                return
        async with self._pace.turn(self._chat_id):
            sending = asyncio.create_task(self._send(index, markdown, buttons, options))
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                # the next process is to find the message, not to send another one
                done, _ = await asyncio.wait([sending], timeout=SENDING_S)
                for task in done:
                    task.exception()  # nobody else looks at it
                raise

    async def _send(
        self, index: int, markdown: str, buttons: list[Button], options: dict[str, Any]
    ) -> None:
        """Sends the message number `index`, and keeps its id."""
        sent = await self._messenger.send(self._chat_id, markdown, buttons, **options)
        if index < len(self._parts):
            self._parts[index].id = sent
        else:
            self._parts.append(ShownPart(sent))
        await self._save()

    async def _save(self) -> None:
        parts = json.dumps([asdict(each) for each in self._parts])
        with suppress(StorageUnavailable):  # matters only to the next process
            async with self._db.write() as session:
                await session.execute(
                    sa.update(MessengerAnswer)
                    .where(col(MessengerAnswer.message_id) == self._answer_id)
                    .values(parts=parts)
                )
