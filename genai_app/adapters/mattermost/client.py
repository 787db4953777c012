"""Mattermost, by its REST API and its websocket, as the bot of the settings."""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec

from genai_app.adapters.mattermost.buttons import PROP, ReactionButtons, actions
from genai_app.adapters.mattermost.events import ChatEvents
from genai_app.adapters.mattermost.formatting import formatted_text, literal_text, with_legend
from genai_app.adapters.mattermost.posts import MattermostPerson, Post
from genai_app.adapters.mattermost.rest import MattermostApi
from genai_app.adapters.mattermost.updates import MattermostUpdates
from genai_app.adapters.messenger import (
    Button,
    ChatClosed,
    ChatFile,
    FileTooLong,
    MessageGone,
    MessengerError,
    MessengerLimits,
    UpdateBatch,
)
from genai_app.settings.settings import Settings

LEAST_POST_CHARS = 4_000  # what the oldest servers take
MOST_POST_CHARS = 16_383
LEGEND_CHARS = 200


class _ClientConfig(msgspec.Struct):
    max_post_size: str = msgspec.field(default="", name="MaxPostSize")


class MattermostMessenger:
    """The bot of the settings. One per process."""

    name = "mattermost"
    mark = ""  # its server keeps slashes for its own commands

    def __init__(self, settings: Settings) -> None:
        assert settings.mattermost_token is not None  # else there is no bot
        token = settings.mattermost_token.get_secret_value()
        self._url = (settings.mattermost_url or "").rstrip("/")
        tls = ssl.create_default_context(cafile=settings.mattermost_ca_file)
        # a server that limits calls allows ten a second, and a hundred at once
        self.limits = MessengerLimits(LEAST_POST_CHARS, edit_interval_s=1.0, per_second=8.0)
        self._api = MattermostApi(self._url, token, tls)
        self._events = ChatEvents(self._url, token, tls)
        self._updates = MattermostUpdates(self._api, self._events)
        self._buttons = ReactionButtons(self._api)
        self._bot = MattermostPerson()

    async def close(self) -> None:
        await self._events.close()
        await self._api.close()

    async def account(self) -> str:
        if not self._bot.id:
            config = await self._api.read(_ClientConfig, "/config/client", format="old")
            size = int(config.max_post_size) if config.max_post_size.isdigit() else 0
            size = min(max(size, LEAST_POST_CHARS), MOST_POST_CHARS) - LEGEND_CHARS
            self.limits = replace(self.limits, max_chars=size)
            self._bot = await self._api.read(MattermostPerson, "/users/me")
        return self._bot.username

    def link_url(self, account: str, code: str) -> str:
        return f"{self._url}/_redirect/messages/@{account}"  # Mattermost has no place for the code

    async def introduce(self, commands: dict[str, dict[str, str]]) -> None:
        """Does nothing: the menu of Mattermost is its administrator's."""

    async def receive(self, position: str) -> UpdateBatch:
        await self.account()
        return await self._updates.receive(self._bot, position)

    def length(self, markdown: str) -> int:
        return len(formatted_text(markdown))

    async def send(
        self, chat_id: str, markdown: str, buttons: Sequence[Button] = (), *, formatted: bool = True
    ) -> str:
        await self.account()
        body = _body(markdown, buttons, formatted=formatted) | {"channel_id": chat_id}
        post = await self._api.call(Post, "POST", "/posts", body, refusal=ChatClosed)
        await self._buttons.show(self._bot.id, post.id, buttons, is_new=True)
        return post.id

    async def edit(
        self,
        chat_id: str,
        message_id: str,
        markdown: str,
        buttons: Sequence[Button] = (),
        *,
        formatted: bool = True,
    ) -> None:
        await self.account()
        body = _body(markdown, buttons, formatted=formatted)
        path = f"/posts/{message_id}/patch"
        await self._api.call(Post, "PUT", path, body, refusal=MessageGone)
        await self._buttons.show(self._bot.id, message_id, buttons, is_new=False)

    async def acknowledge(self, button_id: str, text: str = "") -> None:
        """Does nothing: an emoji has no waiting state."""

    async def download(self, file: ChatFile, most_bytes: int) -> bytes:
        if file.size > most_bytes:
            raise FileTooLong(most_bytes)
        return await self._api.download(f"/files/{file.id}", most_bytes)

    async def leave(self, chat_id: str) -> None:
        path = f"/channels/{chat_id}/members/{self._bot.id}"
        with suppress(_NoMember):
            await self._api.call(dict[str, Any], "DELETE", path, refusal=_NoMember)


class _NoMember(MessengerError):
    """The bot is in the chat no more, or cannot leave it."""


def _body(markdown: str, buttons: Sequence[Button], *, formatted: bool) -> dict[str, object]:
    text = formatted_text(markdown) if formatted else literal_text(markdown)
    return {"message": with_legend(text, buttons), "props": {PROP: actions(buttons)}}
