"""Posts and reactions of Mattermost, and what the product makes of them."""

from typing import Any

import msgspec

from genai_app.adapters.mattermost.buttons import action_of
from genai_app.adapters.messenger import ChatFile, ChatUpdate, UpdateKind

DIRECT = "D"  # the type of a chat of two
FOREIGN = ("from_webhook", "from_bot", "from_plugin", "override_username")  # props of such posts


class MattermostPerson(msgspec.Struct):
    """An account of the server."""

    id: str = ""
    username: str = ""
    locale: str = ""
    is_bot: bool = False


class Reaction(msgspec.Struct):
    """An emoji of somebody below a post."""

    user_id: str = ""
    post_id: str = ""
    emoji_name: str = ""
    create_at: int = 0


class PostFile(msgspec.Struct):
    """A file of a post."""

    id: str = ""
    name: str = ""
    size: int = 0


class PostMetadata(msgspec.Struct):
    """The reactions below a post, and its files."""

    reactions: list[Reaction] | None = None
    files: list[PostFile] | None = None


class Post(msgspec.Struct):
    """A message of a chat. Times are milliseconds since 1970; `type`: "" for people's own."""

    id: str = ""
    create_at: int = 0
    edit_at: int = 0
    delete_at: int = 0
    user_id: str = ""
    channel_id: str = ""
    message: str = ""
    type: str = ""
    props: dict[str, Any] | None = None
    file_ids: list[str] | None = None
    metadata: PostMetadata = msgspec.field(default_factory=PostMetadata)


class PostList(msgspec.Struct):
    """Posts of a channel. `order`: their ids, newest first."""

    order: list[str] | None = None
    posts: dict[str, Post] | None = None


class MattermostChannel(msgspec.Struct):
    """A chat of the bot."""

    id: str = ""
    type: str = ""
    last_post_at: int = 0


def is_personal(post: Post) -> bool:
    """Returns whether somebody wrote a post: it is no note of the server, and not deleted."""
    return not post.type and not post.delete_at


def of_post(post: Post, sender: MattermostPerson, channel_type: str, *, edited: bool) -> ChatUpdate:
    """Returns the update of a post. Edits of one post are updates of their own."""
    kind = UpdateKind.TEXT
    if channel_type != DIRECT:
        kind = UpdateKind.GROUP
    elif edited:
        kind = UpdateKind.EDITED
    elif post.file_ids or not post.message.strip():
        kind = UpdateKind.FILE
    props = post.props or {}
    return ChatUpdate(
        id=f"{post.id}:{post.edit_at}" if edited else post.id,
        kind=kind,
        chat_id=post.channel_id,
        sender_id=sender.id,
        sender_name=f"@{sender.username}" if sender.username else "",
        text=post.message,
        language=sender.locale[:2],
        forwarded=sender.is_bot or any(props.get(name) for name in FOREIGN),
        files=_files(post),
    )


def _files(post: Post) -> tuple[ChatFile, ...]:
    described = {each.id: each for each in post.metadata.files or []}
    files = [described.get(key, PostFile(key)) for key in post.file_ids or []]
    return tuple(ChatFile(each.id, each.name or "file", each.size) for each in files)


def of_reaction(reaction: Reaction, post: Post, sender: MattermostPerson) -> ChatUpdate | None:
    """Returns the update of a reaction below a post of the bot; None where it is no button."""
    action = action_of(post.props, reaction.emoji_name)
    if action is None:
        return None
    key = f"{post.id}:{sender.id}:{reaction.emoji_name}:{reaction.create_at}"
    return ChatUpdate(
        id=key,
        kind=UpdateKind.BUTTON,
        chat_id=post.channel_id,
        sender_id=sender.id,
        sender_name=f"@{sender.username}" if sender.username else "",
        text=action,
        language=sender.locale[:2],
        button_id=key,
    )
