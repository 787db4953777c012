"""Markdown as blocks for the layout. HTML stays text, an image is its alternative text, nothing is
fetched."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from genai_app.markdown.formulas import DISPLAY, INLINE
from genai_app.markdown.normal import JOINER
from genai_app.services.exports.pdf.fonts import Face
from genai_app.services.exports.pdf.notes import notes_last, with_notes

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_DEPTH = 6  # deeper quotes and lists are not indented further
MAX_NESTING = 150  # well below Python's recursion limit
BULLET = "•"
TASKS = {"[ ] ": "☐", "[x] ": "☑", "[X] ": "☑"}


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one style. `link`: a URL with a harmless scheme, "" for none."""

    text: str
    face: Face = Face.TEXT
    code: bool = False
    slanted: bool = False
    struck: bool = False
    link: str = ""


@dataclass(slots=True)
class Block:
    """A paragraph, a heading (`level` 1 to 6), code, a rule, or a row of a table (`cells`)."""

    kind: str
    spans: list[Span] = field(default_factory=list[Span])
    level: int = 0
    depth: int = 0
    marker: str = ""
    quoted: bool = False
    tight: bool = False
    cells: list[list[Span]] = field(default_factory=list[list[Span]])
    columns: int = 0


def plain(text: str) -> list[Block]:
    """Returns the lines of a user's text as blocks, unchanged."""
    return [
        Block("text", [Span(line)], tight=index > 0)
        for index, line in enumerate(text.splitlines() or [""])
    ]


def markdown(text: str) -> list[Block]:
    """Returns the blocks of a model's answer, parsed as the page parses it.

    Args:
        text: as markdown/guard.py returns it.
    """
    # the page shows tables and ~~struck~~ text too; bare addresses stay text
    options = {"html": False, "maxNesting": MAX_NESTING}
    parser = with_notes(MarkdownIt("commonmark", options).enable(["table", "strikethrough"]))
    parser.validateLink = lambda url: url.startswith(("https://", "http://", "mailto:"))
    tokens = parser.parse(text)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return plain(text)  # the parser left out what is nested deeper
    return list(_TokenReader().read(notes_last(tokens)))


@dataclass(slots=True)
class _List:
    number: int | None
    fresh: bool = False  # the marker of the current item is not used yet


class _TokenReader:
    """Turns the parser's tokens into blocks. Holds what is open: lists, quotes, heading, table."""

    def __init__(self) -> None:
        self._lists: list[_List] = []
        self._quotes = 0
        self._level = 0  # of the heading, 0 for a paragraph
        self._in_head = False  # of a table
        self._cells: list[list[Span]] = []  # of the table's row

    def read(self, tokens: "list[Token]") -> Iterator[Block]:
        for index, token in enumerate(tokens):
            self._open_or_close(token)
            if block := self._block(token, before=tokens[index - 1]):
                yield block

    def _open_or_close(self, token: "Token") -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(_List(None))
            case "ordered_list_open":
                self._lists.append(_List(int(token.attrGet("start") or 1)))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._lists[-1].fresh = True
            case "blockquote_open":
                self._quotes += 1
            case "blockquote_close":
                self._quotes -= 1
            case "heading_open":
                self._level = int(token.tag[1:])
            case "paragraph_open":
                self._level = 0
            case "thead_open" | "thead_close":
                self._in_head = token.type == "thead_open"
            case "tr_open":
                self._cells = []
            case _:
                pass

    def _block(self, token: "Token", before: "Token") -> Block | None:
        """Returns the block that a token completes, if it does."""
        depth = min(len(self._lists) + self._quotes, MAX_DEPTH)
        match token.type:
            case "list_item_close":
                return self._end_item(depth)
            case "fence" | "code_block":
                code = Span(token.content.rstrip("\n"), Face.CODE, code=True)
                return Block("code", [code], depth=depth, marker=self._marker())
            case "hr":
                return Block("rule", depth=depth)
            case "tr_close":
                cells, level = self._cells, int(self._in_head)
                return Block("row", cells=cells, columns=len(cells), level=level, depth=depth)
            case "inline":
                return self._inline(token, before, depth)
            case _:
                return None

    def _end_item(self, depth: int) -> Block | None:
        item = self._lists[-1]
        block = None
        if item.fresh:  # the item is empty
            block = Block("text", marker=self._marker(), depth=depth, quoted=self._quotes > 0)
        if item.number is not None:
            item.number += 1
        return block

    def _inline(self, token: "Token", before: "Token", depth: int) -> Block | None:
        """Returns a heading or a paragraph. The text of a table's cell is kept for the row."""
        face = Face.BOLD if self._in_head or self._level else Face.TEXT
        spans = list(_spans(token.children or [], face))
        if before.type in ("th_open", "td_open"):
            self._cells.append(spans)
            return None
        marker = self._marker()
        if marker and spans and (task := TASKS.get(spans[0].text[:4])):
            marker, spans[0] = task, replace(spans[0], text=spans[0].text[4:])
        return Block(
            "heading" if self._level else "text",
            spans,
            self._level,
            depth,
            marker,
            self._quotes > 0,
            tight=bool(self._lists) and token.level > 0 and before.hidden,
        )

    def _marker(self) -> str:
        """Returns the marker of the current list item at its first block, then ""."""
        if not self._lists or not self._lists[-1].fresh:
            return ""
        self._lists[-1].fresh = False
        number = self._lists[-1].number
        return BULLET if number is None else f"{number}."


def _spans(tokens: "list[Token]", face: Face) -> Iterator[Span]:
    look = Span("", face)
    strong = 0
    for token in tokens:
        if token.type == "text":
            yield replace(look, text=token.content.replace(JOINER, ""))
        elif token.type == "code_inline":
            # of a formula the source is shown
            text = token.content.removeprefix(INLINE).removeprefix(DISPLAY)
            yield replace(look, text=text, face=Face.CODE, code=True)
        elif token.type in ("softbreak", "hardbreak"):
            yield replace(look, text="\n")
        elif token.type == "image":  # the picture would be fetched from a foreign server
            words = "".join(span.text for span in _spans(token.children or [], face))
            yield replace(look, text=words)
        elif token.type == "strong_open":
            strong += 1
            look = replace(look, face=Face.BOLD)
        elif token.type == "strong_close":
            strong -= 1
            look = replace(look, face=Face.BOLD if strong else face)
        elif token.type in ("em_open", "em_close"):
            look = replace(look, slanted=token.type == "em_open")
        elif token.type in ("s_open", "s_close"):
            look = replace(look, struck=token.type == "s_open")
        elif token.type == "link_open":
            look = replace(look, link=str(token.attrGet("href") or ""))
        elif token.type == "link_close":
            look = replace(look, link="")
        else:
            yield replace(look, text=token.content)
