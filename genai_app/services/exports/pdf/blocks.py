"""Markdown as blocks to be laid out. HTML stays text, an image is its words, nothing is fetched."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from genai_app.services.exports.pdf.fonts import Face

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_DEPTH = 6  # deeper quotes and lists are not moved in further
MAX_NESTING = 150  # with room below Python's own limit
BULLET = "•"


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one look. `link`: where a click leads, with a scheme that is harmless."""

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
    """What somebody typed: its lines as they are."""
    return [
        Block("text", [Span(line)], tight=index > 0)
        for index, line in enumerate(text.splitlines() or [""])
    ]


def markdown(text: str) -> list[Block]:
    """What the model wrote, read as the page reads it."""
    # the page draws tables and ~~struck~~ text too; bare addresses stay text
    options = {"html": False, "maxNesting": MAX_NESTING}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: url.startswith(("https://", "http://", "mailto:"))
    tokens = parser.parse(text)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return plain(text)  # what stands deeper was left out by the parser
    return list(_blocks(tokens))


@dataclass(slots=True)
class _List:
    number: int | None
    fresh: bool = False  # the item has not shown its marker yet


def _blocks(tokens: "list[Token]") -> Iterator[Block]:
    lists: list[_List] = []
    quotes = level = 0
    heads = False
    row: list[list[Span]] = []
    kind = "text"
    for token in tokens:
        depth = min(len(lists) + quotes, MAX_DEPTH)
        if token.type in ("bullet_list_open", "ordered_list_open"):
            start = int(token.attrGet("start") or 1) if token.type[0] == "o" else None
            lists.append(_List(start))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            lists.pop()
        elif token.type == "list_item_open":
            lists[-1].fresh = True
        elif token.type == "list_item_close":
            if lists[-1].fresh:  # of an item that is empty
                yield Block("text", marker=_marker(lists), depth=depth, quoted=quotes > 0)
            if (number := lists[-1].number) is not None:
                lists[-1].number = number + 1
        elif token.type == "blockquote_open":
            quotes += 1
        elif token.type == "blockquote_close":
            quotes -= 1
        elif token.type == "heading_open":
            kind, level = "heading", int(token.tag[1:])
        elif token.type == "paragraph_open":
            kind, level = "text", 0
        elif token.type in ("fence", "code_block"):
            marker = _marker(lists)
            yield Block(
                "code",
                [Span(token.content.rstrip("\n"), Face.CODE, code=True)],
                depth=depth,
                marker=marker,
            )
        elif token.type == "hr":
            yield Block("rule", depth=depth)
        elif token.type in ("thead_open", "thead_close"):
            heads = token.type == "thead_open"
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            yield Block("row", cells=row, columns=len(row), level=int(heads), depth=depth)
        elif token.type == "inline":
            spans = list(_spans(token.children or [], Face.BOLD if heads or level else Face.TEXT))
            if _in_table(tokens, token):
                row.append(spans)
            else:
                yield Block(
                    kind,
                    spans,
                    level,
                    depth,
                    _marker(lists),
                    quotes > 0,
                    tight=bool(lists) and token.level > 0 and _is_tight(tokens, token),
                )


def _in_table(tokens: "list[Token]", inline: "Token") -> bool:
    before = tokens[_place(tokens, inline) - 1]
    return before.type in ("th_open", "td_open")


def _is_tight(tokens: "list[Token]", inline: "Token") -> bool:
    return tokens[_place(tokens, inline) - 1].hidden


def _place(tokens: "list[Token]", token: "Token") -> int:
    return token.meta["place"] if "place" in token.meta else _numbered(tokens, token)


def _numbered(tokens: "list[Token]", token: "Token") -> int:
    for index, each in enumerate(tokens):
        each.meta["place"] = index
    return token.meta["place"]


def _marker(lists: list[_List]) -> str:
    if not lists or not lists[-1].fresh:
        return ""
    lists[-1].fresh = False
    number = lists[-1].number
    return BULLET if number is None else f"{number}."


def _spans(tokens: "list[Token]", face: Face) -> Iterator[Span]:
    look = Span("", face)
    strong = 0
    for token in tokens:
        if token.type == "text":
            yield replace(look, text=token.content)
        elif token.type == "code_inline":
            yield replace(look, text=token.content, face=Face.CODE, code=True)
        elif token.type == "softbreak":
            yield replace(look, text=" ")
        elif token.type == "hardbreak":
            yield replace(look, text="\n")
        elif token.type == "image":  # its words; the picture itself is somebody else's server
            yield from _spans(token.children or [], look.face)
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
