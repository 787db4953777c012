"""A dialog of the file, whichever chat it comes from."""

import hashlib
import json
from typing import Any

from genai_app.services.imports.reader import chatgpt, open_webui
from genai_app.services.imports.reader.frames import (
    MAX_DIALOG_CHARS,
    MAX_MESSAGES,
    MAX_NAME_CHARS,
    ReadDialog,
    Unread,
)
from genai_app.services.imports.reader.tree import (
    Node,
    mapping_at,
    moment_at,
    object_of,
    shorten,
    text_at,
    tree_of,
)

MAX_KEY_CHARS = 200


def read_object(text: bytes) -> ReadDialog | Unread:
    """Returns the dialog in an object of the file."""
    try:
        raw = object_of(json.loads(text))
    except (ValueError, RecursionError):
        return Unread("damaged")
    except MemoryError:
        return Unread("too_large")
    if isinstance(raw.get("mapping"), dict):
        return _from_chatgpt(raw)
    chat = mapping_at(raw, "chat") or raw
    if "history" in chat or "messages" in chat:
        return _from_open_webui(raw, chat)
    return Unread("unknown")


def _from_chatgpt(raw: dict[str, Any]) -> ReadDialog | Unread:
    return _dialog(
        chatgpt.nodes_of(raw),
        source="chatgpt",
        key=text_at(raw.get("conversation_id")) or text_at(raw.get("id")),
        title=raw.get("title"),
        current=raw.get("current_node"),
        created=raw.get("create_time"),
        updated=raw.get("update_time"),
        archived=raw.get("is_archived") is True,
    )


def _from_open_webui(raw: dict[str, Any], chat: dict[str, Any]) -> ReadDialog | Unread:
    return _dialog(
        open_webui.nodes_of(chat),
        source="open_webui",
        key=text_at(raw.get("id")) or text_at(chat.get("id")),
        title=raw.get("title") or chat.get("title"),
        current=mapping_at(chat, "history").get("currentId"),
        created=raw.get("created_at") or chat.get("timestamp"),
        updated=raw.get("updated_at"),
        archived=raw.get("archived") is True,
    )


def _dialog(
    nodes: dict[str, Node],
    *,
    source: str,
    key: str,
    title: object,
    current: object,
    created: object,
    updated: object,
    archived: bool,
) -> ReadDialog | Unread:
    tree = tree_of(nodes)
    messages = tree.messages
    if not messages:  # nodes that are below no root are a circle
        return Unread("damaged" if nodes and not tree.indexes else "empty")
    if len(messages) > MAX_MESSAGES:
        return Unread("too_large")
    for message in messages:
        shorten(message)
    if sum(len(each.text) + len(each.reasoning) for each in messages) > MAX_DIALOG_CHARS:
        return Unread("too_large")
    line = " ".join(text_at(title)[: MAX_NAME_CHARS * 4].split())
    if not key or len(key) > MAX_KEY_CHARS:
        key = hashlib.sha256(repr((line, messages)).encode()).hexdigest()
    return ReadDialog(
        source=source,
        key=key,
        title=line[:MAX_NAME_CHARS],
        messages=messages,
        leaf=tree.leaf(current),
        created=moment_at(created),
        updated=moment_at(updated),
        archived=archived,
    )
