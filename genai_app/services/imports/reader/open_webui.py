"""Dialogs of Open WebUI's export: `chat.history.messages` has the nodes of the tree by their ids,
`currentId` the end of the branch that was shown. Early versions have a list of messages instead."""

import html
import re
from typing import Any

from genai_app.services.imports.reader.tree import (
    ASSISTANT,
    USER,
    Node,
    list_at,
    mapping_at,
    moment_at,
    name_at,
    object_of,
    text_at,
)

_DETAILS, _DETAILS_END = "<details", "</details>"
_KIND = re.compile(r'\stype="(reasoning|tool_calls|code_interpreter)"')
_SUMMARY = re.compile(r"<summary>[^<]{0,1000}</summary>")
_QUOTED = re.compile(r"^> ?", re.MULTILINE)


def nodes_of(chat: dict[str, Any]) -> dict[str, Node]:
    """Returns the nodes of a dialog by their ids."""
    kept = mapping_at(mapping_at(chat, "history"), "messages")
    if kept:
        return {key: _node(value) for key, value in kept.items()}
    nodes: dict[str, Node] = {}
    last: str | None = None
    for number, value in enumerate(list_at(chat, "messages")):
        node, key = _node(value), object_of(value).get("id")
        key = key if isinstance(key, str) and key not in nodes else f"#{number}"
        node.parent = node.parent if node.parent in nodes else last
        nodes[key], last = node, key
    return nodes


def _node(value: object) -> Node:
    message = object_of(value)
    parent, author = message.get("parentId"), message.get("role")
    node = Node(parent if isinstance(parent, str) else None)
    node.at = moment_at(message.get("timestamp"))
    if author not in (USER, ASSISTANT):
        return node
    node.author = str(author)
    node.model = name_at(message.get("model") or message.get("modelName"))
    node.files = [_file(each) for each in list_at(message, "files")]
    content = message.get("content")
    if isinstance(content, list):  # a picture stands beside the text
        parts = [object_of(each) for each in content]  # pyright: ignore
        node.files += [""] * sum(each.get("type") == "image_url" for each in parts)
        content = "\n\n".join(filter(None, (text_at(each.get("text")) for each in parts)))
    node.text = text_at(content)
    if author == ASSISTANT:
        node.text, node.reasoning = _split(node.text)
    return node


def _file(value: object) -> str:
    file = object_of(value)
    if file.get("type") == "image":
        return ""
    return name_at(file.get("name") or mapping_at(file, "file").get("filename"))


def _split(text: str) -> tuple[str, str]:
    """Returns an answer's text and its reasoning, which stand in blocks of HTML in one text. Blocks
    of tool calls are left out."""
    shown: list[str] = []
    thoughts: list[str] = []
    position = 0
    while (begin := text.find(_DETAILS, position)) >= 0:
        head_end = text.find(">", begin)
        end = text.find(_DETAILS_END, begin)
        if head_end < 0 or end < head_end:
            break
        kind = _KIND.search(text[begin : min(head_end, begin + 1000)])
        after = end + len(_DETAILS_END)
        shown.append(text[position : begin if kind else after])
        if kind and kind[1] == "reasoning":
            inner = _SUMMARY.sub("", text[head_end + 1 : end], count=1)
            thoughts.append(html.unescape(_QUOTED.sub("", inner.strip())).strip())
        position = after
    shown.append(text[position:])
    return "".join(shown).strip(), "\n\n".join(filter(None, thoughts))
