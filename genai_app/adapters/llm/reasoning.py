"""The model's reasoning inside its text, as servers without a reasoning parser send it.

    <think>thoughts</think>answer     the thoughts are reasoning; never closed: all of it is
    thoughts</think>answer            the chat template has opened the tag: the text so far turns
                                      into reasoning when the tag comes

Only the beginning counts: a tag later in an answer is text. A closing tag alone is text too where
it stands in code, or where the text has named the opening one before it. The tags are not kept, nor
the white space around them.

Which models think, and which of them by a tag that their template opens, is learned from their
answers: thoughts of the latter are recognised from their first word on.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

OPEN, CLOSE = "<think>", "</think>"
MAX_BLANK_CHARS = 64  # before an opening tag
MAX_OPENED_CHARS = 50_000  # of thoughts that only the model's habit names so
SURE = 3  # answers in a row: a habit, which no single user can make by what is asked for
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.M)


@dataclass(slots=True)
class Parts:
    """Additions to the answer and to its reasoning. `swapped`: both change places
    before that."""

    text: str = ""
    reasoning: str = ""
    swapped: bool = False


class ReasoningSplitter:
    """Divides a text that grows into the answer and its reasoning.

    Args:
        is_opened: thoughts come first, without a tag before them, as far as is known.
        is_begun: the text goes on with an answer, so that it has no tags.
    """

    def __init__(self, *, is_opened: bool = False, is_begun: bool = False) -> None:
        self.closed_alone = False  # a closing tag came without an opening one
        self._opened = is_opened
        self._read: Callable[[str, Parts], str] = self._read_plain if is_begun else self._read_start
        self._held = ""  # what may be part of a tag, and white space that may be dropped
        self._seen: list[str] = []  # the text, while a closing tag may still come
        self._length = 0  # of the reasoning

    def feed(self, text: str) -> Parts:
        """Takes the next piece of the model's text."""
        parts = Parts()
        rest, self._held = self._held + text, ""
        while rest:
            rest = self._read(rest, parts)
        return parts

    def ignore_tags(self) -> None:
        """Takes text for text from now on, because the server marks reasoning itself."""
        if self._read == self._read_start:
            self._read = self._read_after
        elif self._read == self._read_text:
            self._read = self._read_plain

    def end(self, reason: str | None) -> Parts:
        """Returns what was held back. `reason`: of the answer's end; None if it broke off."""
        held, self._held = self._held, ""
        if self._read == self._read_after:
            return Parts()
        if self._read != self._read_reasoning:
            return Parts(held)
        thoughts = held.rstrip()
        if self._opened and reason == "stop":  # it has not thought this time
            return Parts(thoughts, swapped=True)
        return Parts(reasoning=thoughts)

    def _read_start(self, text: str, parts: Parts) -> str:
        begun = text.lstrip()
        if begun.startswith(OPEN):
            self._read, self._opened = self._read_reasoning, False
            return begun.removeprefix(OPEN)
        if OPEN.startswith(begun) and len(text) - len(begun) <= MAX_BLANK_CHARS:
            self._held = text
            return ""
        self._read = self._read_reasoning if self._opened else self._read_text
        return text

    def _read_reasoning(self, text: str, parts: Parts) -> str:
        thoughts, tag, rest = text.partition(CLOSE)
        if not tag:
            thoughts = _without_begun_tag(text)
        thoughts = thoughts.rstrip()
        if not tag:
            self._held = text[len(thoughts) :]
        if not self._length:
            thoughts = thoughts.lstrip()
        parts.reasoning += thoughts
        self._length += len(thoughts)
        if tag:
            self.closed_alone = self._opened
            self._read = self._read_after
        elif self._opened and self._length > MAX_OPENED_CHARS:
            parts.text, parts.reasoning, parts.swapped = parts.reasoning, "", True
            self._read = self._read_text
        return rest

    def _read_after(self, text: str, parts: Parts) -> str:
        answer = text.lstrip()
        if answer:
            self._read = self._read_plain
        return answer

    def _read_text(self, text: str, parts: Parts) -> str:
        before, tag, rest = text.partition(CLOSE)
        if not tag:
            before = _without_begun_tag(text)
            self._held = text[len(before) :]
        self._seen.append(before)
        parts.text += before
        if not tag:
            return ""
        if _is_quoting("".join(self._seen)):
            self._read = self._read_plain
            return tag + rest
        self._read, self.closed_alone = self._read_after, True
        parts.text, parts.reasoning, parts.swapped = "", parts.text, True
        return rest

    def _read_plain(self, text: str, parts: Parts) -> str:
        parts.text += text
        return ""


def _without_begun_tag(text: str) -> str:
    """Returns the text without an end that may be the beginning of a closing tag."""
    for length in range(min(len(CLOSE) - 1, len(text)), 0, -1):
        if text.endswith(CLOSE[:length]):
            return text[:-length]
    return text


def _is_quoting(text: str) -> bool:
    """Returns whether a closing tag after this text is one that the answer only speaks of."""
    line = text[text.rfind("\n") + 1 :]
    return OPEN in text or bool(line.count("`") % 2) or bool(len(_FENCE.findall(text)) % 2)


class ThinkingModels:
    """The models that think, as their answers show."""

    def __init__(self) -> None:
        self._thinking: set[str] = set()
        self._closed_alone: defaultdict[str, int] = defaultdict(int)  # answers in a row

    def learn(self, model: str, *, thought: bool, closed_alone: bool) -> None:
        """Takes what a complete answer shows. `closed_alone`: its thoughts had no opening tag."""
        if thought:
            self.note(model)
        self._closed_alone[model] = self._closed_alone[model] + 1 if closed_alone else 0

    def note(self, model: str) -> None:
        """Takes it as known that the model thinks."""
        self._thinking.add(model)

    def thinks(self, model: str) -> bool:
        return model in self._thinking

    def opens(self, model: str) -> bool:
        """Returns whether its answers begin with thoughts that have no opening tag."""
        return self._closed_alone[model] >= SURE
