"""Reads ODT and ODP: the content without deleted changes; pages where LibreOffice wrote them."""

from collections.abc import Iterator

from genai_app.adapters.documents.child.archives import Element, open_archive, tree_of
from genai_app.adapters.documents.child.draft import (
    Draft,
    DraftPage,
    Refusal,
    markdown_table,
    tidy,
)
from genai_app.adapters.documents.child.hidden import is_pale, is_tiny

_PAGE = "\x0c"
_LEFT_OUT = frozenset({"tracked-changes", "sequence-decls", "forms", "annotation-end", "title"})
_MAX_REPEATED = 200


def read(draft: Draft) -> None:
    """Reads a text or a presentation."""
    with open_archive(draft.job.source) as archive:
        root = tree_of(archive, "content.xml")
        styles = tree_of(archive, "styles.xml")
    if root is None:
        raise Refusal("damaged", "no content")
    body = root.find("body")
    if body is None or len(body) == 0:
        raise Refusal("damaged", "no body")
    story = _OdfStory(draft, _hidden_styles(root, styles))
    if draft.kind == "slides":
        _read_slides(draft, body[0], story)
    else:
        _read_text(draft, body[0], story, styles)


def _read_slides(draft: Draft, body: Element, story: "_OdfStory") -> None:
    draft.unit = "slide"
    for slide in body.findall("page"):
        story.number += 1
        notes = slide.find("notes")
        if notes is not None:
            slide.remove(notes)
        text = tidy(story.blocks(slide))
        speech = tidy(story.blocks(notes)) if notes is not None else ""
        shown = f"{text}\n\n[notes] {speech}" if speech else text
        draft.add(DraftPage(text=shown, heading=text.split("\n", 1)[0].lstrip("# ")[:200]))


def _read_text(draft: Draft, body: Element, story: "_OdfStory", styles: Element | None) -> None:
    changes = body.find("tracked-changes")
    if changes is not None and len(changes):
        draft.warn("tracked_changes", count=len(changes))
    text = story.blocks(body)
    parts = text.split(_PAGE)
    draft.unit = "page" if len(parts) > 1 else "part"
    edges = _edges(styles, story)
    for number, part in enumerate(parts):
        blocks = [*(edges if number == 0 else []), tidy(part)]
        draft.add(DraftPage(text="\n\n".join(block for block in blocks if block)))


def _edges(styles: Element | None, story: "_OdfStory") -> list[str]:
    lines: list[str] = []
    for kind in ("header", "footer"):
        for each in styles.iter(kind) if styles is not None else ():
            text = tidy(story.blocks(each)).replace("\n\n", "\n")
            if text and (line := f"[{kind}] {text}") not in lines:
                lines.append(line)
    return lines


def _hidden_styles(*roots: Element | None) -> set[str]:
    names: set[str] = set()
    for root in roots:
        for style in root.iter("style") if root is not None else ():
            letters = style.find("text-properties")
            if letters is None:
                continue
            ground = letters.get("background-color", "transparent")
            pale = is_pale(letters.get("color", "")) and ground in ("transparent", "#ffffff")
            size = letters.get("font-size", "")
            tiny = size.endswith("pt") and is_tiny(size.removesuffix("pt"))
            if letters.get("display") == "none" or pale or tiny:
                names.add(style.get("name", ""))
    return names


class _OdfStory:
    """Turns elements into text."""

    def __init__(self, draft: Draft, hidden: set[str]) -> None:
        self.number = 0
        self._draft = draft
        self._hidden = hidden
        self._notes: list[str] = []

    def blocks(self, parent: Element) -> str:
        """Returns paragraphs, headings, lists, tables and boxes; notes after the block that has
        them."""
        lines: list[str] = []
        for each in parent:
            block = self._block(each)
            if block:
                lines.append(block)
            lines += self._notes
            self._notes = []
        return "\n\n".join(lines)

    def _block(self, element: Element) -> str:
        match element.tag:
            case "h":
                level = element.get("outline-level", "1")
                text = " ".join(self._line(element).split(" ")).strip()
                marks = "#" * (int(level) if level.isdigit() and 0 < int(level) < 7 else 1)
                return f"{marks} {text}" if text.strip(_PAGE) else text
            case "p":
                return self._line(element).strip(" \n")
            case "list-item" | "list-header":
                text = self.blocks(element).replace("\n\n", "\n")
                return f"- {text}" if text else ""
            case "table":
                return self._table(element)
            case "soft-page-break":
                return _PAGE
            case tag if tag in _LEFT_OUT:
                return ""
            case _:
                return self.blocks(element)

    def _table(self, table: Element) -> str:
        rows = [[self._cell(cell) for cell in _cells(row)] for row in _rows(table)]
        return markdown_table(rows)

    def _cell(self, cell: Element) -> str:
        return self.blocks(cell).replace("\n\n", "\n").replace(_PAGE, " ")

    def _line(self, element: Element, *, hidden: bool = False) -> str:
        hidden = hidden or element.get("style-name", "") in self._hidden
        pieces = [element.text or ""]
        if hidden and (element.text or "").strip():
            self._draft.warn("hidden_text", self.number, element.text or "")
        for each in element:
            pieces += [self._sign(each, hidden=hidden), each.tail or ""]
        # line ends of the file are spaces
        return "".join(pieces)

    def _sign(self, element: Element, *, hidden: bool) -> str:
        match element.tag:
            case "s":
                count = element.get("c", "1")
                return " " * min(int(count) if count.isdigit() else 1, 100)
            case "tab":
                return "\t"
            case "line-break":
                return "\n"
            case "soft-page-break":
                return _PAGE
            case "note":
                return self._note(element)
            case "annotation":
                self._notes.append(f"[comment] {' '.join(self.blocks(element).split())}")
                return ""
            case "hidden-text" | "hidden-paragraph":
                self._draft.warn("hidden_text", self.number, element.get("string-value", ""))
                return element.text or ""
            case "frame" | "custom-shape" | "text-box":
                text = self.blocks(element)
                return f"\n{text}\n" if text else ""
            case _:
                return self._line(element, hidden=hidden)

    def _note(self, note: Element) -> str:
        mark, body = note.find("note-citation"), note.find("note-body")
        sign = f"[^{(mark.text or '').strip() if mark is not None else ''}]"
        if body is not None:
            inner = _OdfStory(self._draft, self._hidden)
            self._notes.append(f"{sign}: {' '.join(inner.blocks(body).split())}")
        return sign


def _rows(parent: Element) -> Iterator[Element]:
    for each in parent:
        if each.tag == "table-row":
            yield each
        elif each.tag in ("table-rows", "table-header-rows", "table-row-group"):
            yield from _rows(each)


def _cells(row: Element) -> Iterator[Element]:
    for cell in row:
        if cell.tag not in ("table-cell", "covered-table-cell"):
            continue
        count = cell.get("number-columns-repeated", "1")
        for _ in range(min(int(count) if count.isdigit() else 1, _MAX_REPEATED)):
            yield cell
