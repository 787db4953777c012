"""Dialogs of ChatGPT's export: `mapping` has the nodes of the tree by their ids, `current_node` the
end of the branch that was shown."""

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

# marks of quoted sources, which only ChatGPT's own page could show
_MARKS = re.compile("\ue200[^\ue201\n]{0,500}\ue201|【[^】\n]{1,100}†[^】\n]{0,200}】")
_SHOWN = ("text", "multimodal_text")
_THOUGHTS = ("thoughts", "reasoning_recap")


def nodes_of(raw: dict[str, Any]) -> dict[str, Node]:
    """Returns the nodes of a dialog by their ids."""
    nodes: dict[str, Node] = {}
    for key, value in mapping_at(raw, "mapping").items():
        parent = object_of(value).get("parent")
        node = Node(parent if isinstance(parent, str) else None)
        _fill(node, mapping_at(value, "message"))
        nodes[key] = node
    return nodes


def _fill(node: Node, message: dict[str, Any]) -> None:
    """Fills a node with what a person saw of its message."""
    metadata, content = mapping_at(message, "metadata"), mapping_at(message, "content")
    author = mapping_at(message, "author").get("role")
    kind = content.get("content_type")
    node.at = moment_at(message.get("create_time"))
    node.model = name_at(metadata.get("model_slug"))
    if metadata.get("is_visually_hidden_from_conversation") is True:
        return
    if author == ASSISTANT and kind in _THOUGHTS:
        node.reasoning = _thoughts(content)
        return
    to_tool = message.get("recipient") not in (None, "all")
    if author not in (USER, ASSISTANT) or to_tool or kind not in _SHOWN:
        # of a tool only the pictures that it drew are worth a word
        if author == "tool" and kind == "multimodal_text" and (files := _pictures(content)):
            node.author, node.files = ASSISTANT, files
        return
    parts = [text_at(each) or text_at(_text_of(each)) for each in list_at(content, "parts")]
    node.author = str(author)
    node.text = _MARKS.sub("", "\n\n".join(filter(None, parts)))
    attached = [name_at(_name_of(each)) for each in list_at(metadata, "attachments")]
    node.files = [name for name in attached if name] or _pictures(content)


def _thoughts(content: dict[str, Any]) -> str:
    """Returns the text of thoughts; that of a recap, such as "Thought for 12 s", says nothing."""
    texts: list[str] = []
    for each in list_at(content, "thoughts"):
        summary, text = (text_at(object_of(each).get(name)) for name in ("summary", "content"))
        texts += [f"**{summary}**"] if summary else []
        texts += [text] if text else []
    return "\n\n".join(texts)


def _text_of(part: object) -> object:
    """Returns the transcript of a voice message."""
    return object_of(part).get("text")


def _name_of(attachment: object) -> object:
    return object_of(attachment).get("name")


def _pictures(content: dict[str, Any]) -> list[str]:
    """Returns an empty name for each picture."""
    kinds = [object_of(each).get("content_type") for each in list_at(content, "parts")]
    return [""] * kinds.count("image_asset_pointer")
