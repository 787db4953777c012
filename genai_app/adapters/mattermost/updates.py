"""Updates of the bot's chats, in order and without a gap.

New ones come by the websocket. What came while nobody listened is read from the chats themselves,
from a little before the position on, as moments of several servers may cross: an update that comes
twice is known by its id.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator

import msgspec

from genai_app.adapters.mattermost.events import ChatEvents, Event
from genai_app.adapters.mattermost.posts import (
    DIRECT,
    MattermostChannel,
    MattermostPerson,
    Post,
    PostList,
    Reaction,
    is_personal,
    of_post,
    of_reaction,
)
from genai_app.adapters.mattermost.rest import MattermostApi
from genai_app.adapters.messenger import ChatUpdate, MessengerError, UpdateBatch

WAIT_S = 25.0
BATCH = 100
OVERLAP_MS = 60_000
MAX_KNOWN = 10_000


class MattermostUpdates:
    """Reads the updates of one bot."""

    def __init__(self, api: MattermostApi, events: ChatEvents) -> None:
        self._api = api
        self._events = events
        self._people: OrderedDict[str, MattermostPerson] = OrderedDict()
        self._channel_types: OrderedDict[str, str] = OrderedDict()

    async def receive(self, bot: MattermostPerson, position: str) -> UpdateBatch:
        """Returns the updates after a position, as `Messenger.receive` does. A position is the
        moment of the last update, in milliseconds of the server."""
        try:
            if not self._events.is_open:
                await self._events.open()  # first, so that nothing falls between both
                return await self._missed(bot, position)
            return await self._new(bot, position)
        except (MessengerError, asyncio.CancelledError):
            await (
                self._events.close()
            )  # an event that could not be read is read again from its chat
            raise

    async def _new(self, bot: MattermostPerson, position: str) -> UpdateBatch:
        updates: list[ChatUpdate] = []
        last, wait_s = int(position or 0), WAIT_S
        while len(updates) < BATCH and (event := await self._events.next(wait_s)) is not None:
            read = await self._read(bot, event)
            if read is not None:
                updates.append(read[1])
                last = max(last, read[0])
            wait_s = 0 if updates else WAIT_S
        return UpdateBatch(updates, str(last) if last else position)

    async def _missed(self, bot: MattermostPerson, position: str) -> UpdateBatch:
        """Reads the chats in which something was written since the position."""
        channels = await self._api.read(list[MattermostChannel], f"/users/{bot.id}/channels")
        if not position:  # the bot is new: nobody waits for an answer to what is old
            return UpdateBatch([], str(self._api.server_now_ms))
        since = max(int(position) - OVERLAP_MS, 0)
        missed: list[tuple[int, ChatUpdate]] = []
        for channel in channels:
            if channel.type == DIRECT and channel.last_post_at > since:
                missed += [each async for each in self._of_channel(bot, channel, since)]
        missed.sort(key=lambda each: each[0])
        last = max([int(position), *(moment for moment, _ in missed)])
        return UpdateBatch([update for _, update in missed], str(last))

    async def _of_channel(
        self, bot: MattermostPerson, channel: MattermostChannel, since: int
    ) -> AsyncGenerator[tuple[int, ChatUpdate]]:
        path = f"/channels/{channel.id}/posts"
        listed = await self._api.read(PostList, path, since=since)
        posts = listed.posts or {}
        for post in [posts[key] for key in reversed(listed.order or []) if key in posts]:
            if post.user_id != bot.id and post.create_at >= since and is_personal(post):
                sender = await self._person(post.user_id)
                yield post.create_at, of_post(post, sender, channel.type, edited=False)
            for reaction in post.metadata.reactions or []:
                update = await self._press(bot, reaction, post)
                if update is not None and reaction.create_at >= since:
                    yield reaction.create_at, update

    async def _read(self, bot: MattermostPerson, event: Event) -> tuple[int, ChatUpdate] | None:
        """Returns the moment and the update of an event; None for one that is not for the bot."""
        if event.event == "reaction_added":
            reaction = msgspec.json.decode(event.data.reaction, type=Reaction)
            if reaction.user_id == bot.id:
                return None
            post = await self._post(reaction.post_id)
            update = await self._press(bot, reaction, post)
            return None if update is None else (reaction.create_at, update)
        if event.event not in ("posted", "post_edited"):
            return None
        post = msgspec.json.decode(event.data.post, type=Post)
        if post.user_id == bot.id or not is_personal(post):
            return None
        kind = event.data.channel_type or await self._channel_type(post.channel_id)
        edited = event.event == "post_edited"
        sender = await self._person(post.user_id)
        moment = max(post.create_at, post.edit_at)
        return moment, of_post(post, sender, kind, edited=edited)

    async def _press(
        self, bot: MattermostPerson, reaction: Reaction, post: Post | None
    ) -> ChatUpdate | None:
        if post is None or post.user_id != bot.id or reaction.user_id == bot.id:
            return None
        return of_reaction(reaction, post, await self._person(reaction.user_id))

    async def _post(self, post_id: str) -> Post | None:
        try:
            return await self._api.call(Post, "GET", f"/posts/{post_id}", refusal=_Gone)
        except _Gone:
            return None

    async def _person(self, user_id: str) -> MattermostPerson:
        if user_id not in self._people:
            self._people[user_id] = await self._api.read(MattermostPerson, f"/users/{user_id}")
            if len(self._people) > MAX_KNOWN:
                self._people.popitem(last=False)
        return self._people[user_id]

    async def _channel_type(self, channel_id: str) -> str:
        if channel_id not in self._channel_types:
            channel = await self._api.read(MattermostChannel, f"/channels/{channel_id}")
            self._channel_types[channel_id] = channel.type
            if len(self._channel_types) > MAX_KNOWN:
                self._channel_types.popitem(last=False)
        return self._channel_types[channel_id]


class _Gone(MessengerError):
    """The post was deleted."""
