"""Reads HTML: text with headings, lists and tables; scripts and styles are left out."""

import re
from html.parser import HTMLParser
from pathlib import Path

from genai_app.adapters.documents.child.draft import (
    Draft,
    DraftPage,
    Refusal,
    markdown_table,
    tidy,
)
from genai_app.adapters.documents.child.encodings import decode
from genai_app.adapters.documents.child.hidden import is_pale

_MAX_DEPTH = 1500
_LEFT_OUT = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object"})
_BLOCKS = frozenset(
    {
        *("p", "div", "section", "article", "header", "footer", "main", "aside", "nav", "ul"),
        *("ol", "dl", "dt", "dd", "table", "blockquote", "pre", "form", "fieldset", "address"),
        *("figure", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "body", "center"),
    }
)
_EMPTY = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"),
        *("source", "track", "wbr"),
    }
)
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*[01](?:\.\d+)?(?:px|pt)?\s*(?:;|!|$)"
    r"|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$)|(?:left|top|text-indent)\s*:\s*-\d{3,}",
    re.I,
)
_COLOR = re.compile(r"(?<![-\w])color\s*:\s*(#[0-9a-f]{3,6}|white)\b", re.I)
_GROUND = re.compile(r"background", re.I)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w-]+)", re.I)


class HtmlText(HTMLParser):
    """Collects the text of a page."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._draft = draft
        self._open: list[tuple[str, bool]] = []  # tags, and whether each hides its text
        self._left_out = 0
        self._hidden = 0
        self._pieces: list[str] = []
        self._tables: list[tuple[list[list[str]], int]] = []

    def text(self) -> str:
        """Returns the text that was read so far."""
        while self._tables:
            self._end_table()
        return tidy("".join(self._pieces))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._pieces.append("\n")
        if tag in _EMPTY:
            self._picture(tag, dict(attrs))
            return
        if len(self._open) > _MAX_DEPTH:
            raise Refusal("bomb", "depth")
        hides = _hides(tag, dict(attrs))
        self._open.append((tag, hides))
        self._hidden += hides
        self._left_out += tag in _LEFT_OUT
        if tag == "table":
            self._pieces.append("\n\n")
            self._tables.append(([], len(self._pieces)))
        elif tag == "tr" and self._tables:
            self._tables[-1][0].append([])
        elif tag in ("td", "th") and self._tables:
            rows, _ = self._tables[-1]
            self._tables[-1] = (rows or [[]], len(self._pieces))
        elif tag == "li":
            self._pieces.append("\n- ")
        elif tag in _BLOCKS:
            level = f"{'#' * int(tag[1])} " if re.fullmatch("h[1-6]", tag) else ""
            self._pieces.append(f"\n\n{level}")

    def handle_endtag(self, tag: str) -> None:
        if not any(name == tag for name, _ in self._open[-50:]):
            return
        while self._open:
            name, hides = self._open.pop()
            self._hidden -= hides
            self._left_out -= name in _LEFT_OUT
            self._close(name)
            if name == tag:
                break

    def _close(self, tag: str) -> None:
        if tag in ("td", "th") and self._tables:
            rows, start = self._tables[-1]
            text = " ".join("".join(self._pieces[start:]).split())
            del self._pieces[start:]
            if not rows:
                rows.append([])
            rows[-1].append(text)
        elif tag == "table" and self._tables:
            self._end_table()
        elif tag in _BLOCKS:
            self._pieces.append("\n\n")

    def _end_table(self) -> None:
        rows, _ = self._tables.pop()
        # a table with one column, or one around others, is layout
        if max(map(len, rows), default=0) < 2:
            self._pieces.append("\n\n" + "\n\n".join(cell for row in rows for cell in row) + "\n\n")
        else:
            self._pieces.append(f"\n\n{markdown_table(rows)}\n\n")

    def _picture(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "img" and (text := attributes.get("alt")):
            self._pieces.append(f" [{text}] ")

    def handle_data(self, data: str) -> None:
        if self._left_out:
            return
        if self._open and self._open[-1][0] == "title":
            self.title += data
            return
        in_pre = any(name == "pre" for name, _ in self._open[-5:])
        text = data if in_pre else re.sub(r"\s+", " ", data)
        if self._hidden and text.strip():
            self._draft.warn("hidden_text", quote=text)
        self._pieces.append(text)


def _hides(tag: str, attributes: dict[str, str | None]) -> bool:
    if "hidden" in attributes and tag not in _LEFT_OUT:
        return True
    style = attributes.get("style") or ""
    if not style and "color" not in attributes:
        return False
    if _HIDING.search(style):
        return True
    if _GROUND.search(style) or "bgcolor" in attributes:
        return False
    color = _COLOR.search(style)
    return is_pale(color.group(1) if color else attributes.get("color") or "")


def read(draft: Draft) -> None:
    """Reads a page; its own word for its encoding is asked where its letters leave a doubt."""
    content = Path(draft.job.source).read_bytes()
    text, draft.encoding = decode_html(content)
    draft.add(DraftPage(text=text_of_html(text, draft)))


def decode_html(content: bytes) -> tuple[str, str]:
    """Returns the text of a page and its encoding."""
    declared = _CHARSET.search(content[:4096])
    return decode(content, declared.group(1).decode() if declared else "")


def text_of_html(text: str, draft: Draft) -> str:
    """Returns the text of a page, its title first."""
    parser = HtmlText(draft)
    parser.feed(text)
    parser.close()
    body, title = parser.text(), " ".join(parser.title.split())
    return f"# {title}\n\n{body}" if title and not body.startswith("# ") else body or title
