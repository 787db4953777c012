"""Reads DOCX: paragraphs, headings, lists, tables, notes, headers, comments; tracked changes as if
they were accepted."""

import re
import zipfile
from collections.abc import Iterator

from genai_app.adapters.documents.child.archives import (
    Element,
    open_archive,
    relations_of,
    tree_of,
)
from genai_app.adapters.documents.child.draft import (
    Draft,
    DraftPage,
    Refusal,
    markdown_table,
    tidy,
)
from genai_app.adapters.documents.child.hidden import is_pale, is_tiny

_MAIN = "word/document.xml"
_REMOVED = frozenset({"del", "moveFrom"})
_ADDED = frozenset({"ins", "moveTo"})
_CHANGES = _REMOVED | _ADDED | {"rPrChange", "pPrChange"}
# what is drawn twice, or no text
_LEFT_OUT = frozenset(
    {"Fallback", "instrText", "delText", "pPr", "rPr", "sectPr", "tblPr", "fldData"}
)
_LATER = ("header", "footer")
_PAGE = "\x0c"
_MAX_COLUMNS = 63  # as in Word


class _Styles:
    """Names of styles to what matters of them: the level of a heading, and whether it is hidden."""

    def __init__(self, root: Element | None) -> None:
        self.levels: dict[str, int] = {}
        self.hidden: set[str] = set()
        self.lists: set[str] = set()
        for style in root.iter("style") if root is not None else ():
            name = style.get("styleId", "")
            level = style.find("pPr/outlineLvl")
            title = style.find("name")
            words = (title.get("val", "") if title is not None else "").lower()
            if level is not None and level.get("val", "").isdigit():
                self.levels[name] = min(int(level.get("val", "")) + 1, 6)
            elif match := re.fullmatch(r"(?:heading|заголовок) ([1-6])", words):
                self.levels[name] = int(match.group(1))
            elif words in ("title", "название"):
                self.levels[name] = 1
            if style.find("pPr/numPr") is not None:
                self.lists.add(name)
            if _is_hidden(style.find("rPr"), shaded=False):
                self.hidden.add(name)


def read(draft: Draft) -> None:
    """Reads a document. It has pages only where its program has written where they end."""
    with open_archive(draft.job.source) as archive:
        main = _main_part(archive)
        root = tree_of(archive, main)
        body = root.find("body") if root is not None else None
        if body is None:
            raise Refusal("damaged", "no body")
        folder = main.rpartition("/")[0]
        story = _WordStory(draft, _Styles(tree_of(archive, f"{folder}/styles.xml")))
        for kind in ("footnotes", "endnotes"):
            story.learn_notes(tree_of(archive, f"{folder}/{kind}.xml"), kind[:-5])
        story.paged = next(body.iter("lastRenderedPageBreak"), None) is not None
        text = story.text_of(body)
        if changes := sum(1 for each in body.iter() if each.tag in _CHANGES):
            draft.warn("tracked_changes", count=changes)
        edges = list(_edges(archive, main, story))
        comments = _comments(tree_of(archive, f"{folder}/comments.xml"), story)
    _add_pages(draft, text, story, edges, comments)


def _main_part(archive: zipfile.ZipFile) -> str:
    for kind, name in relations_of(archive, "").values():
        if kind == "officeDocument":
            return name
    return _MAIN


def _add_pages(
    draft: Draft, text: str, story: "_WordStory", edges: list[str], comments: list[str]
) -> None:
    draft.unit = "page" if story.paged else "part"
    parts = text.split(_PAGE)
    for number, part in enumerate(parts):
        notes = [f"[^{n}]: {story.notes[n]}" for n in _cited(part) if n in story.notes]
        last = number == len(parts) - 1
        around = [*(edges if number == 0 else []), tidy(part), *notes, *(comments if last else [])]
        draft.add(DraftPage(text="\n\n".join(each for each in around if each)))


def _cited(text: str) -> list[str]:
    return re.findall(r"\[\^(\w+)\]", text)


def _edges(archive: zipfile.ZipFile, main: str, story: "_WordStory") -> Iterator[str]:
    """Yields the headers and footers, each text once."""
    seen: set[str] = set()
    for kind, name in relations_of(archive, main).values():
        if kind in _LATER and (root := tree_of(archive, name)) is not None:
            text = tidy(story.text_of(root)).replace("\n\n", "\n")
            if text and text not in seen:
                seen.add(text)
                yield f"[{kind}] {text}"


def _comments(root: Element | None, story: "_WordStory") -> list[str]:
    lines: list[str] = []
    for comment in root.iter("comment") if root is not None else ():
        text = " ".join(story.text_of(comment).split())
        if text:
            lines.append(f"[comment] {comment.get('author', '')}: {text}")
    return lines


def _on(element: Element | None) -> bool:
    """Returns whether a switch is there and not set to off."""
    return element is not None and element.get("val", "1") not in ("0", "false", "off")


def _is_hidden(style: Element | None, *, shaded: bool) -> bool:
    if style is None:
        return False
    if _on(style.find("vanish")) and not _on(style.find("specVanish")):
        return True
    color, size = style.find("color"), style.find("sz")
    if color is not None and not shaded and is_pale(color.get("val", "")):
        return not any(style.find(name) is not None for name in ("shd", "highlight"))
    return size is not None and is_tiny(size.get("val", ""), per_point=2)


def _number(element: Element | None, otherwise: int) -> int:
    """Returns a count of columns."""
    text = element.get("val", "") if element is not None else ""
    return min(int(text), _MAX_COLUMNS) if text.isdigit() else otherwise


class _WordStory:
    """Turns elements into text."""

    def __init__(self, draft: Draft, styles: _Styles) -> None:
        self.notes: dict[str, str] = {}
        self.paged = False
        self._draft = draft
        self._styles = styles
        self._shaded = 0

    def learn_notes(self, root: Element | None, kind: str) -> None:
        """Reads the texts of footnotes or endnotes."""
        for note in root if root is not None else ():
            if note.get("type", "normal") in ("separator", "continuationSeparator"):
                continue
            text = " ".join(self.text_of(note).split())
            if text:
                self.notes[self._note_id(note, kind)] = text

    def _note_id(self, note: Element, kind: str) -> str:
        return ("e" if kind == "end" else "") + note.get("id", "")

    def text_of(self, container: Element) -> str:
        """Returns paragraphs and tables of a body, cell, note or text box."""
        blocks: list[str] = []
        for each in container:
            if each.tag == "p":
                blocks.append(self._paragraph(each))
            elif each.tag == "tbl":
                blocks.append(self._table(each))
            elif each.tag not in _LEFT_OUT and each.tag not in _REMOVED:
                blocks.append(self.text_of(each))
        return "\n\n".join(block for block in blocks if block)

    def _table(self, table: Element) -> str:
        self._shaded += 1  # white letters on a coloured ground are no secret
        rows: list[list[str]] = []
        for row in self._within(table, "tr"):
            if row.find("trPr/del") is None:
                cells = [""] * _number(row.find("trPr/gridBefore"), 0)
                for cell in self._within(row, "tc"):
                    cells.append(self.text_of(cell).replace(_PAGE, " "))
                    cells += [""] * (_number(cell.find("tcPr/gridSpan"), 1) - 1)
                rows.append(cells)
        self._shaded -= 1
        return markdown_table(rows)

    def _within(self, parent: Element, tag: str) -> Iterator[Element]:
        for each in parent:
            if each.tag == tag:
                yield each
            elif each.tag in ("sdt", "sdtContent", "ins", "customXml"):
                yield from self._within(each, tag)

    def _paragraph(self, paragraph: Element) -> str:
        properties = paragraph.find("pPr")
        style = properties.find("pStyle") if properties is not None else None
        name = style.get("val", "") if style is not None else ""
        pieces: list[str] = []
        self._run(paragraph, pieces, hidden=name in self._styles.hidden)
        text = "".join(pieces).strip(" \n")
        if not text.strip():
            return text
        level = self._styles.levels.get(name)
        if level and _PAGE not in text:
            return f"{'#' * level} {' '.join(text.split())}"
        numbered = properties is not None and properties.find("numPr") is not None
        if numbered or name in self._styles.lists:
            return f"- {text}"
        return text

    def _run(self, parent: Element, pieces: list[str], *, hidden: bool) -> None:
        for each in parent:
            tag = each.tag
            if tag == "t":
                pieces.append(each.text or "")
                if hidden and (each.text or "").strip():
                    self._draft.warn("hidden_text", quote=each.text or "")
            elif tag in _REMOVED or tag in _LEFT_OUT:
                continue
            elif tag == "r":
                style = each.find("rPr")
                named = style.find("rStyle") if style is not None else None
                named_hidden = named is not None and named.get("val", "") in self._styles.hidden
                own = _is_hidden(style, shaded=self._shaded > 0)
                self._run(each, pieces, hidden=hidden or own or named_hidden)
            elif tag == "txbxContent":
                pieces.append(f"\n{self.text_of(each)}\n")
            else:
                pieces.append(self._sign(each))
                self._run(each, pieces, hidden=hidden)

    def _sign(self, element: Element) -> str:
        """Returns what stands for an element that is one sign."""
        match element.tag:
            case "tab" | "ptab":
                return "\t"
            case "cr":
                return "\n"
            case "br":
                page = element.get("type") == "page"
                return "\n" if not page or self.paged else "\n\n"
            case "lastRenderedPageBreak":
                return _PAGE
            case "noBreakHyphen":
                return "-"
            case "footnoteReference":
                return f"[^{element.get('id', '')}]"
            case "endnoteReference":
                return f"[^e{element.get('id', '')}]"
            case _:
                return ""
