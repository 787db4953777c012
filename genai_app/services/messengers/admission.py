"""Admits to the bot accounts that are linked to a user who may use it. Everybody else
gets one sentence that tells nothing, and the audit an event."""

import uuid

import structlog

from genai_app.access import Actor
from genai_app.adapters.messenger import ChatUpdate, Messenger, MessengerError, UpdateKind
from genai_app.db.database import Database
from genai_app.i18n import translate
from genai_app.models import Action, Outcome
from genai_app.services.audit.events import Audit, event
from genai_app.services.messengers.chats import BotChat, Chats, locale_of
from genai_app.services.messengers.commands import FORWARDED
from genai_app.services.messengers.links import Links, linked_by
from genai_app.services.messengers.replies import Replies

log = structlog.stdlib.get_logger(__name__)

START = "start"
MAX_CODE = 64


class Entrance:
    """Finds the user of an update, links accounts by their code, and refuses others."""

    def __init__(
        self,
        db: Database,
        messenger: Messenger,
        links: Links,
        chats: Chats,
        replies: Replies,
        audit: Audit,
    ) -> None:
        self._db = db
        self._messenger = messenger
        self._links = links
        self._chats = chats
        self._replies = replies
        self._audit = audit

    async def admit(self, key: uuid.UUID, update: ChatUpdate) -> Actor | None:
        """Returns the user that an update is of; None where there is nothing left to do. `key`: of
        the update."""
        if update.kind is UpdateKind.GROUP:
            await self._leave(update)
            return None
        if update.kind is UpdateKind.BLOCKED:
            await self._links.unlink_account(self._messenger.name, update.sender_id, "blocked")
            return None
        if update.kind is UpdateKind.EDITED:
            return None
        if (code := code_of(update)) is not None:
            await self._link(key, update, code)
            return None
        holder = await self._links.find(self._messenger.name, update.sender_id)
        if holder is None:
            await self._refuse(update, "stranger")
            return None
        if holder.actor is None:
            if not holder.closing_noted:
                await self._refuse(update, "closed")
                await self._links.note_closing(holder, noted=True)
            return None
        if holder.closing_noted:
            await self._links.note_closing(holder, noted=False)
        return holder.actor

    async def note_forwarded(self, update: ChatUpdate) -> None:
        """Audits that a command of somebody else was passed on by a linked account."""
        await self._note_refusal(Action.MESSENGER_ACCESS, update.sender_id, FORWARDED)

    async def _link(self, key: uuid.UUID, update: ChatUpdate, code: str) -> None:
        name = self._messenger.name
        locale = locale_of(BotChat(), update.language)
        async with self._db.write() as session:
            # a process that is gone may have made the link, and not said so
            actor, may_try = await linked_by(session, key), True
            if actor is None:
                may_try = await self._chats.begin_try(session, update.chat_id)
                if may_try and len(code) <= MAX_CODE:
                    account = (update.sender_id, update.sender_name)
                    actor = await self._links.redeem(session, name, *account, code, key=key)
                if actor is not None:
                    await self._chats.enter(session, update.chat_id, actor, locale)
        if actor is not None:
            greeting = translate(
                locale,
                "bot.linked",
                name=actor.full_name or actor.username,
                mark=self._messenger.mark,
            )
            await self._replies.say(update.chat_id, greeting)
            return
        reason = "wrong_code" if may_try else "too_many_tries"
        await self._note_refusal(Action.MESSENGER_LINK, update.sender_id, reason)
        sentence = "bot.wrong_code" if may_try else "bot.too_many_codes"
        await self._replies.say(update.chat_id, translate(locale, sentence))

    async def _refuse(self, update: ChatUpdate, reason: str) -> None:
        await self._note_refusal(Action.MESSENGER_ACCESS, update.sender_id, reason)
        locale = locale_of(BotChat(), update.language)
        if update.button_id:
            await self._replies.acknowledge(update.button_id)
        await self._replies.say(update.chat_id, translate(locale, f"bot.{reason}"))

    async def _leave(self, update: ChatUpdate) -> None:
        """Leaves a group without a word: others read along there."""
        await self._note_refusal(Action.MESSENGER_ACCESS, update.chat_id, "in_group")
        try:
            await self._messenger.leave(update.chat_id)
        except MessengerError as error:
            name = self._messenger.name
            log.info("messenger.not_left", messenger=name, detail=str(error))

    async def _note_refusal(self, action: Action, whose: str, reason: str) -> None:
        """Audits a refusal, the repeated ones of one account or chat once."""
        name = self._messenger.name
        refusal = event(action, Outcome.REFUSED, target=name, channel=name, reason=reason)
        await self._audit.record_news(refusal, *(action, name, whose, reason))


def code_of(update: ChatUpdate) -> str | None:
    """Returns the code of `/start CODE`; None for other updates. A forwarded one is none: who was
    sent somebody's link must not be linked by passing it on."""
    if update.kind is not UpdateKind.TEXT or update.forwarded:
        return None
    words = update.text.split()
    is_start = len(words) == 2 and words[0].lstrip("/").partition("@")[0].lower() == START
    return words[1] if is_start else None
