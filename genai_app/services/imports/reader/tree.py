"""The tree of a dialog, from nodes that name their parents, in whatever order and shape they came.

Nodes without text of their own (tool calls, hidden messages) are left out, and what stands below
them moves up. Nodes of a circle hang below no root, and are left out too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from genai_app.services.imports.reader.frames import (
    MAX_NAME_CHARS,
    MAX_TEXT_CHARS,
    ReadMessage,
)
from genai_app.text import clean_text

USER, ASSISTANT = "user", "assistant"
# the steps of a second in which chats give a moment, by the size of its number
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


@dataclass(slots=True)
class Node:
    """A node of the file. `author`: USER, ASSISTANT, or "" for one that is left out."""

    parent: str | None
    author: str = ""
    text: str = ""
    at: float | None = None
    model: str = ""
    reasoning: str = ""
    files: list[str] = field(default_factory=list[str])

    @property
    def is_shown(self) -> bool:
        return bool(self.author and (self.text or self.files))


@dataclass(slots=True)
class _Visit:
    """A node on the way down. `above`: the index of the message above it; `reasoning`: of nodes
    between; `alone`: no branch has begun since that message."""

    key: str
    above: int
    reasoning: str
    alone: bool


@dataclass(slots=True)
class Tree:
    """The messages of a dialog, each behind its parent, and the index of the message at, or next
    above, each node."""

    messages: list[ReadMessage] = field(default_factory=list[ReadMessage])
    indexes: dict[str, int] = field(default_factory=dict[str, int])

    def leaf(self, current: object) -> int:
        """Returns the index of the last message of the branch that ends at a node; for a node that
        is not there, of the newest message."""
        index = self.indexes.get(current, -1) if isinstance(current, str) else -1
        if index >= 0:
            return index
        moments = [(each.at or 0, index) for index, each in enumerate(self.messages)]
        return max(moments)[1]


def tree_of(nodes: Mapping[str, Node]) -> Tree:
    """Returns the tree of the nodes by their keys."""
    below: dict[str | None, list[str]] = {}
    for key, node in nodes.items():
        parent = node.parent if node.parent in nodes else None
        below.setdefault(parent, []).append(key)
    tree = Tree()
    roots = below.get(None, [])
    visits = [_Visit(key, -1, "", alone=False) for key in reversed(roots)]
    while visits:
        visit = visits.pop()
        _add(tree, nodes[visit.key], visit)
        tree.indexes[visit.key] = visit.above
        children = below.get(visit.key, [])
        alone = visit.alone and len(children) == 1
        visits += [_Visit(key, visit.above, visit.reasoning, alone) for key in reversed(children)]
    return tree


def _add(tree: Tree, node: Node, visit: _Visit) -> None:
    """Adds the message of a node, or its text to the answer above; changes `visit` to what its
    children hang below."""
    reasoning = "\n\n".join(filter(None, (visit.reasoning, node.reasoning)))
    visit.reasoning = reasoning
    above = tree.messages[visit.above] if visit.above >= 0 else None
    # what stands before the first question, such as a greeting, is an answer to nothing
    if not node.is_shown or (node.author == ASSISTANT and above is None):
        return
    if node.author == USER:
        reasoning = ""
    visit.reasoning = ""
    if above is not None and node.author == above.author == ASSISTANT and visit.alone:
        above.text = "\n\n".join(filter(None, (above.text, node.text)))
        above.reasoning = "\n\n".join(filter(None, (above.reasoning, reasoning)))
        above.files += node.files
        above.model = above.model or node.model
    else:
        message = ReadMessage(visit.above, node.author, node.text, node.at, node.model)
        message.reasoning, message.files = reasoning, node.files
        tree.messages.append(message)
        visit.above = len(tree.messages) - 1
    visit.alone = True


def shorten(message: ReadMessage) -> None:
    """Cuts texts that are longer than MAX_TEXT_CHARS."""
    message.cut = len(message.text) > MAX_TEXT_CHARS
    message.text = message.text[:MAX_TEXT_CHARS]
    message.reasoning = message.reasoning[:MAX_TEXT_CHARS]


def text_at(value: object) -> str:
    """Returns a text that any database stores; "" for a value that is no text."""
    return clean_text(value).strip() if isinstance(value, str) else ""


def name_at(value: object) -> str:
    """Returns a name on one line. For a path, the last part of it."""
    line = " ".join(text_at(value).replace("\\", "/").rpartition("/")[2].split())
    return line[:MAX_NAME_CHARS]


def moment_at(value: object) -> float | None:
    """Returns seconds since 1970 of a number in seconds, or in smaller steps; None for any other
    value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -1e19 < value < 1e19 or not math.isfinite(value):
        return None
    for least, step in _UNITS:
        if value >= least:
            return value / step
    return float(value)


def object_of(value: object) -> dict[str, Any]:
    """Returns an object of JSON; an empty one for any other value."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def mapping_at(value: object, key: str) -> dict[str, Any]:
    """Returns the object at a key; an empty one where there is none."""
    return object_of(object_of(value).get(key))


def list_at(value: object, key: str) -> list[Any]:
    """Returns the array at a key; an empty one where there is none."""
    array = object_of(value).get(key)
    return cast("list[Any]", array) if isinstance(array, list) else []
