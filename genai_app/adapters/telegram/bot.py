"""Telegram, by its Bot API with long polling. The bot's token is part of every address: no error or
log line may hold one."""

import asyncio
import warnings
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import telegram
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, Update
from telegram.constants import ChatType, ParseMode
from telegram.error import (
    BadRequest,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.request import HTTPXRequest
from telegram.warnings import PTBDeprecationWarning

from genai_app.adapters.messenger import (
    Button,
    ChatClosed,
    ChatFile,
    ChatUpdate,
    FileTooLong,
    FormattingRefused,
    MessageGone,
    MessengerAway,
    MessengerError,
    MessengerLimits,
    OtherPoller,
    TokenRefused,
    TooManyCalls,
    UpdateBatch,
    UpdateKind,
)
from genai_app.adapters.telegram.html import to_html
from genai_app.settings.settings import Settings

# it says that retry_after will be of another type: both are read here
warnings.filterwarnings("ignore", ".*future major version.*retry_after", PTBDeprecationWarning)

POLL_S = 25
CALL_S = 15.0
CONNECTIONS = 64
BATCH = 100
KINDS = ["message", "edited_message", "callback_query", "my_chat_member"]
CHAT_GONE = ("chat not found", "user is deactivated", "peer_id_invalid", "bot can't initiate")
MESSAGE_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
UNCHANGED = "message is not modified"
FORMATTING = ("can't parse entities", "can't find end of", "unsupported start tag")
MOST_DOWNLOAD = 20 * 1024 * 1024  # bytes that Telegram hands out of a file
PRESS_TOO_OLD = ("query is too old", "query id is invalid")

Answer = TypeVar("Answer")


class TelegramMessenger:
    """The bot of the settings. One per process."""

    name = "telegram"
    mark = "/"
    # Telegram allows about one message a second in a chat and thirty over all chats; less leaves
    # room for calls that the network brings together
    limits = MessengerLimits(
        max_chars=4096, edit_interval_s=1.5, per_second=20.0, pause_s=1.0, most_in_second=28
    )

    def __init__(self, settings: Settings) -> None:
        assert settings.telegram_token is not None  # else there is no bot
        proxy = settings.telegram_proxy.get_secret_value() if settings.telegram_proxy else None
        base = settings.telegram_api_url.rstrip("/")
        # one is busy with waiting for updates
        self._requests = (_request(proxy, CONNECTIONS), _request(proxy, 2))
        self._bot = telegram.Bot(
            settings.telegram_token.get_secret_value(),
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            request=self._requests[0],
            get_updates_request=self._requests[1],
        )
        self._account = ""

    async def close(self) -> None:
        for request in self._requests:
            await request.shutdown()

    async def account(self) -> str:
        if not self._account:
            me = await _call(self._bot.get_me())
            self._account = me.username or ""
        return self._account

    def link_url(self, account: str, code: str) -> str:
        return f"https://t.me/{account}?start={code}"

    async def introduce(self, commands: dict[str, dict[str, str]]) -> None:
        for number, (locale, meanings) in enumerate(commands.items()):
            pairs = list(meanings.items())
            if not number:
                await _call(self._bot.set_my_commands(pairs))
            await _call(self._bot.set_my_commands(pairs, language_code=locale))

    async def receive(self, position: str) -> UpdateBatch:
        updates = await _call(
            self._bot.get_updates(
                offset=int(position) if position else None,
                limit=BATCH,
                timeout=POLL_S,
                read_timeout=POLL_S + CALL_S,
                allowed_updates=KINDS,
            )
        )
        understood = [each for each in map(chat_update, updates) if each is not None]
        # the position is after the others too, so that they do not come again
        after = str(updates[-1].update_id + 1) if updates else position
        return UpdateBatch(understood, after)

    def length(self, markdown: str) -> int:
        return len(to_html(markdown).encode("utf-16-le")) // 2

    async def send(
        self, chat_id: str, markdown: str, buttons: Sequence[Button] = (), *, formatted: bool = True
    ) -> str:
        sent = await _call(
            self._bot.send_message(
                int(chat_id),
                reply_markup=_keyboard(buttons),
                link_preview_options=LinkPreviewOptions(is_disabled=True),
                **_text(markdown, formatted=formatted),
            )
        )
        return str(sent.message_id)

    async def edit(
        self,
        chat_id: str,
        message_id: str,
        markdown: str,
        buttons: Sequence[Button] = (),
        *,
        formatted: bool = True,
    ) -> None:
        with suppress(_Unchanged):
            await _call(
                self._bot.edit_message_text(
                    chat_id=int(chat_id),
                    message_id=int(message_id),
                    reply_markup=_keyboard(buttons),
                    link_preview_options=LinkPreviewOptions(is_disabled=True),
                    **_text(markdown, formatted=formatted),
                )
            )

    async def acknowledge(self, button_id: str, text: str = "") -> None:
        with suppress(_PressTooOld):
            await _call(self._bot.answer_callback_query(button_id, text=text or None))

    async def download(self, file: ChatFile, most_bytes: int) -> bytes:
        most_bytes = min(most_bytes, MOST_DOWNLOAD)
        if file.size > most_bytes:
            raise FileTooLong(most_bytes)
        info = await _call(self._bot.get_file(file.id))
        if (info.file_size or 0) > most_bytes:
            raise FileTooLong(most_bytes)
        data = bytes(await _call(info.download_as_bytearray()))
        if len(data) > most_bytes:
            raise FileTooLong(most_bytes)
        return data

    async def leave(self, chat_id: str) -> None:
        with suppress(ChatClosed):
            await _call(self._bot.leave_chat(int(chat_id)))


class _FileRefused(FileTooLong):
    """Telegram hands a file out no more: it is too large."""

    def __init__(self, detail: str) -> None:
        super().__init__(MOST_DOWNLOAD)
        self.detail = detail


class _Unchanged(MessengerError):
    """The message has this text and these buttons already."""


class _PressTooOld(MessengerError):
    """The press of a button can be acknowledged no more."""


def _request(proxy: str | None, connections: int) -> HTTPXRequest:
    return HTTPXRequest(
        connection_pool_size=connections,
        read_timeout=CALL_S,
        write_timeout=CALL_S,
        connect_timeout=5.0,
        pool_timeout=CALL_S,
        proxy=proxy,
        httpx_kwargs={"trust_env": False},
    )


async def _call(call: Awaitable[Answer]) -> Answer:
    """Awaits a call of the Bot API, within a deadline. Raises MessengerError."""
    try:
        async with asyncio.timeout(POLL_S + 2 * CALL_S):
            return await call
    except TimeoutError:
        raise MessengerAway("no answer in time") from None
    except TelegramError as error:
        raise _translated(error) from None


def _translated(error: TelegramError) -> MessengerError:
    text = error.message.lower()
    if isinstance(error, RetryAfter):
        wait = error.retry_after
        return TooManyCalls(wait if isinstance(wait, int) else wait.total_seconds())
    if isinstance(error, Conflict):
        return OtherPoller("another program reads the updates of this bot")
    if isinstance(error, InvalidToken):
        return TokenRefused("Telegram refuses the token")
    if isinstance(error, Forbidden):
        return ChatClosed("the chat is closed to the bot")
    if isinstance(error, BadRequest):
        for words, kind in (
            ((UNCHANGED,), _Unchanged),
            (MESSAGE_GONE, MessageGone),
            (CHAT_GONE, ChatClosed),
            (FORMATTING, FormattingRefused),
            (PRESS_TOO_OLD, _PressTooOld),
            (("file is too big",), _FileRefused),
        ):
            if any(each in text for each in words):
                return kind(type(error).__name__)
        return MessengerError("Telegram refuses the request")
    return MessengerAway(type(error).__name__)


def _text(markdown: str, *, formatted: bool) -> dict[str, Any]:
    if formatted:
        return {"text": to_html(markdown), "parse_mode": ParseMode.HTML}
    return {"text": markdown}


def _keyboard(buttons: Sequence[Button]) -> InlineKeyboardMarkup | None:
    if not buttons:
        return None
    keys = [InlineKeyboardButton(each.label, callback_data=each.action) for each in buttons]
    return InlineKeyboardMarkup([keys])


def chat_update(update: Update) -> ChatUpdate | None:
    """Returns what the product makes of an update; None for one that says nothing."""
    chat, sender = update.effective_chat, update.effective_user
    if chat is None:
        return None
    query, message = update.callback_query, update.message
    text = query.data if query is not None else None
    if query is None and message is not None:
        text = message.text or message.caption
    return ChatUpdate(
        id=str(update.update_id),
        kind=_kind(update, private=chat.type == ChatType.PRIVATE),
        chat_id=str(chat.id),
        sender_id=str(sender.id) if sender is not None else "",
        sender_name=_name(sender) if sender is not None else "",
        text=text or "",
        language=((sender.language_code if sender is not None else "") or "")[:2],
        forwarded=message is not None and (message.forward_origin or message.via_bot) is not None,
        button_id=query.id if query is not None else "",
        files=_files(message),
        album=(message.media_group_id or "") if message is not None else "",
    )


def _files(message: telegram.Message | None) -> tuple[ChatFile, ...]:
    """Returns the file of a message, or the largest size of its picture."""
    if message is None:
        return ()
    if message.document is not None:
        document = message.document
        name = document.file_name or "file"
        return (ChatFile(document.file_id, name, document.file_size or 0),)
    if message.photo:
        largest = max(message.photo, key=lambda each: each.width * each.height)
        return (ChatFile(largest.file_id, "photo.jpg", largest.file_size or 0),)
    return ()


def _kind(update: Update, *, private: bool) -> UpdateKind:
    if not private:
        return UpdateKind.GROUP
    member = update.my_chat_member
    if member is not None:
        gone = member.new_chat_member.status in ("kicked", "left")
        return UpdateKind.BLOCKED if gone else UpdateKind.EDITED
    if update.callback_query is not None:
        return UpdateKind.BUTTON
    if update.edited_message is not None:
        return UpdateKind.EDITED
    return UpdateKind.TEXT if update.message and update.message.text else UpdateKind.FILE


def _name(sender: telegram.User) -> str:
    return f"@{sender.username}" if sender.username else sender.full_name
