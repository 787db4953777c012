"""Markdown as the HTML of Telegram, which knows a few tags and no nesting of blocks. An image is
its alternative text, a table is set in columns, and HTML of a model stays text."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from genai_app.markdown.formulas import DISPLAY, INLINE
from genai_app.markdown.guard import displayed
from genai_app.markdown.normal import JOINER

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_NESTING = 60
MAX_LIST_DEPTH = 6
BULLET = "•"
RULE = "———"
TAGS = {"strong": "b", "em": "i", "s": "s"}


@lru_cache(maxsize=256)  # a text is measured before it is sent
def to_html(markdown: str) -> str:
    """Returns the text with Telegram's tags; every character of it that means something there is
    escaped."""
    options = {"html": False, "maxNesting": MAX_NESTING}
    parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: url.startswith(("https://", "http://", "mailto:"))
    tokens = parser.parse(displayed(markdown).text)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return escape(markdown, quote=False)  # the parser left out what is nested deeper
    return _Writer().write(tokens) or escape(markdown, quote=False)


class _Writer:
    """Writes the parser's tokens. Holds what is open: lists, quotes, heading, table."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._lists: list[int | None] = []  # the next number; None: a bullet
        self._marker = ""
        self._quotes = 0
        self._heading = False
        self._rows: list[list[str]] = []

    def write(self, tokens: "Sequence[Token]") -> str:
        for index, token in enumerate(tokens):
            self._token(token, tight=index > 0 and tokens[index - 1].hidden)
        return "".join(self._out).strip("\n")

    def _token(self, token: "Token", *, tight: bool) -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                self._lists.append(int(token.attrGet("start") or 1))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                self._marker = self._next_marker()
            case "blockquote_open":
                self._open_quote()
            case "blockquote_close":
                self._close_quote()
            case "heading_open" | "heading_close":
                self._heading = token.type == "heading_open"
            case "fence" | "code_block":
                self._block(_code(token))
            case "hr":
                self._block(RULE)
            case "tr_open":
                self._rows.append([])
            case "table_close":
                self._block(_table(self._rows))
                self._rows = []
            case "inline":
                self._inline(token, tight=tight)
            case _:
                pass

    def _next_marker(self) -> str:
        number = self._lists[-1]
        if number is None:
            return f"{BULLET} "
        self._lists[-1] = number + 1
        return f"{number}. "

    def _open_quote(self) -> None:
        self._quotes += 1
        if self._quotes == 1:  # Telegram has no quote within a quote
            self._separate("\n\n")
            self._out.append("<blockquote>")

    def _close_quote(self) -> None:
        self._quotes -= 1
        if self._quotes == 0:
            self._out.append("</blockquote>")

    def _inline(self, token: "Token", *, tight: bool) -> None:
        if self._rows:
            self._rows[-1].append(_words(token.children or []))
            return
        text = "".join(_spans(token.children or []))
        if self._heading:
            text = f"<b>{text}</b>"
        self._block(text, tight=tight)

    def _block(self, text: str, *, tight: bool = False) -> None:
        indent = "   " * min(max(len(self._lists) - 1, 0), MAX_LIST_DEPTH)
        self._separate("\n" if tight or (self._marker and self._lists) else "\n\n")
        self._out.append(f"{indent}{self._marker}{text}")
        self._marker = ""

    def _separate(self, blank: str) -> None:
        if self._out and self._out[-1] != "<blockquote>":
            self._out.append(blank)


def _code(token: "Token") -> str:
    code = escape(token.content.rstrip("\n"), quote=False)
    language = token.info.split()[0] if token.info.split() else ""
    if language and language.replace("-", "").replace("+", "").isalnum():
        return f'<pre><code class="language-{escape(language)}">{code}</code></pre>'
    return f"<pre>{code}</pre>"


def _table(rows: list[list[str]]) -> str:
    """Returns the rows in columns of equal width; a wide table as its cells, a row a line."""
    columns = max(map(len, rows), default=0)
    filled = [row + [""] * (columns - len(row)) for row in rows]
    widths = [max(len(row[number]) for row in filled) for number in range(columns)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if sum(widths) <= 60
        else " | ".join(row)
        for row in filled
    ]
    return f"<pre>{escape(chr(10).join(lines), quote=False)}</pre>"


def _words(tokens: "Sequence[Token]") -> str:
    """Returns inline tokens without formatting, on one line."""
    words: list[str] = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            text = token.content.removeprefix(INLINE).removeprefix(DISPLAY)
            words.append(text.replace(JOINER, ""))
        elif token.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif token.type == "image":
            words.append(_words(token.children or []))
    return "".join(words)


def _spans(tokens: "Sequence[Token]") -> Iterator[str]:
    open_tags: list[str] = []
    for token in tokens:
        name, _, end = token.type.rpartition("_")
        if token.type in ("text", "code_inline"):
            text = escape(token.content.replace(JOINER, ""), quote=False)
            if token.type == "code_inline":  # of a formula the source is shown
                text = f"<code>{text.removeprefix(INLINE).removeprefix(DISPLAY)}</code>"
            yield text
        elif token.type in ("softbreak", "hardbreak"):
            yield "\n"
        elif token.type == "image":
            yield escape(_words(token.children or []), quote=False)
        elif token.type == "link_open":
            yield f'<a href="{escape(str(token.attrGet("href") or ""))}">'
            open_tags.append("a")
        elif name in (*TAGS, "link") and end == "open":
            open_tags.append(TAGS[name])
            yield f"<{TAGS[name]}>"
        elif name in (*TAGS, "link") and end == "close":
            yield f"</{open_tags.pop()}>"
        else:
            yield escape(token.content, quote=False)
