"""Commands and buttons of a chat."""

from collections.abc import Awaitable, Callable

from genai_app.access import get_dialog, parse_id
from genai_app.adapters.messenger import Button
from genai_app.db.database import Database
from genai_app.errors import AppError, StorageUnavailable
from genai_app.i18n import LOCALES, translate
from genai_app.services.chat.chat import Chat
from genai_app.services.dialogs.feedback import Feedbacks
from genai_app.services.dialogs.history import History
from genai_app.services.messengers.chats import Chats
from genai_app.services.messengers.commands import ATTACH, FILE, FORWARDED
from genai_app.services.messengers.files import BotFiles
from genai_app.services.messengers.links import Links
from genai_app.services.messengers.replies import Replies
from genai_app.services.messengers.requests import ChatRequest, last_answer
from genai_app.services.messengers.sentences import help_text, refusal_text

LISTED = 8  # dialogs of /history
TITLE_CHARS = 60
RATINGS = ("up", "down")


class Actions:
    """Does what users of one messenger ask for, but for answers.

    Args:
        url: the address of the product, for links to its pages.
    """

    def __init__(
        self,
        db: Database,
        chat: Chat,
        history: History,
        links: Links,
        chats: Chats,
        replies: Replies,
        files: BotFiles,
        *,
        messenger: str,
        url: str,
    ) -> None:
        self._db, self._chat, self._history = db, chat, history
        self._links, self._chats, self._replies, self._files = links, chats, replies, files
        self._feedback = Feedbacks(db)
        self._messenger, self._url = messenger, url
        self._does: dict[str, Callable[[ChatRequest], Awaitable[str]]] = {
            "new": self._begin_dialog,
            "stop": self._stop,
            "history": self._list_dialogs,
            "open": self._open_dialog,
            "lang": self._set_locale,
            "unlink": self._unlink,
            ATTACH: self._attach,
        }

    async def do(self, request: ChatRequest) -> None:
        """Does a command or what a button means. Raises StorageUnavailable."""
        what, thanks = request.wanted.what, ""
        try:
            if what in RATINGS:
                text, thanks = "", await self._rate(request)
            elif what in self._does:
                text = await self._does[what](request)
            elif what in (FILE, FORWARDED):
                text = translate(request.locale, f"bot.{what}")
            else:
                text = help_text(request.locale, self._url, request.mark)
        except StorageUnavailable:
            raise
        except AppError as error:
            text = refusal_text(error, request.locale, request.mark)
        if request.update.button_id:
            await self._replies.acknowledge(request.update.button_id, thanks)
        if text:
            await self._replies.say(request.update.chat_id, text)

    async def _begin_dialog(self, request: ChatRequest) -> str:
        await self._chats.set_dialog(request.update.chat_id, request.actor, None)
        return translate(request.locale, "bot.new_dialog")

    async def _attach(self, request: ChatRequest) -> str:
        """Keeps files for the next question of the chat."""
        new, waiting = request.update.files, request.state.attachments
        files = await self._files.take(request.actor, waiting, new)
        await self._chats.set_attachments(request.update.chat_id, request.actor, files)
        names = ", ".join(each.name for each in new)
        return translate(request.locale, "bot.files_taken", names=names)

    async def _stop(self, request: ChatRequest) -> str:
        await self._chat.stop(
            request.actor, request.wanted.argument or await last_answer(self._db, request)
        )
        return ""  # the answer itself says that it was stopped

    async def _rate(self, request: ChatRequest) -> str:
        await self._feedback.give(request.actor, request.wanted.argument, request.wanted.what)
        return translate(request.locale, "bot.thanks")

    async def _list_dialogs(self, request: ChatRequest) -> str:
        page = await self._history.list_dialogs(request.actor, limit=LISTED, own=True)
        if not page.items:
            return translate(request.locale, "bot.no_dialogs")
        titles = [each.title[:TITLE_CHARS] for each in page.items]
        lines = [f"{number}. {title}" for number, title in enumerate(titles, 1)]
        head = translate(request.locale, "bot.dialogs", url=self._url)
        buttons = [
            Button(f"open:{each.id.hex}", str(number)) for number, each in enumerate(page.items, 1)
        ]
        await self._replies.say(request.update.chat_id, "\n".join((head, "", *lines)), buttons)
        return ""

    async def _open_dialog(self, request: ChatRequest) -> str:
        async with self._db.read() as session:
            dialog = await get_dialog(session, request.actor, parse_id(request.wanted.argument))
        await self._chats.set_dialog(request.update.chat_id, request.actor, dialog.id)
        return translate(request.locale, "bot.opened", title=dialog.title[:TITLE_CHARS])

    async def _set_locale(self, request: ChatRequest) -> str:
        locale = request.wanted.argument.lower()
        if locale not in LOCALES:
            buttons = [Button("lang:ru", "Русский"), Button("lang:en", "English")]
            text = translate(request.locale, "bot.choose_language")
            await self._replies.say(request.update.chat_id, text, buttons)
            return ""
        await self._chats.set_locale(request.update.chat_id, request.actor, locale)
        return translate(locale, "bot.language_set")

    async def _unlink(self, request: ChatRequest) -> str:
        sender = request.update.sender_id
        await self._links.unlink_account(self._messenger, sender, "unlinked", by=request.actor)
        return translate(request.locale, "bot.unlinked")
