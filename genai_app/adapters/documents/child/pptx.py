"""Reads PPTX: text, tables and notes of each slide, in the order of the slides."""

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

_MAIN = "ppt/presentation.xml"
_TITLES = frozenset({"title", "ctrTitle"})
_MAX_POINTS = 200  # of a chart
_NO_NOTES = frozenset({"sldNum", "dt", "hdr", "ftr", "sldImg"})


def read(draft: Draft) -> None:
    """Reads a presentation."""
    draft.unit = "slide"
    with open_archive(draft.job.source) as archive:
        root = tree_of(archive, _MAIN)
        if root is None:
            raise Refusal("damaged", "no presentation")
        width = _number(root.find("sldSz"), "cx") or 12192000
        parts = relations_of(archive, _MAIN)
        for number, slide in enumerate(root.iter("sldId"), 1):
            _, name = parts.get(slide.get("rid", ""), ("", ""))
            draft.add(_slide(archive, name, number, draft, width))


def _slide(archive: zipfile.ZipFile, name: str, number: int, draft: Draft, width: int) -> DraftPage:
    root = tree_of(archive, name) if name else None
    if root is None:
        return DraftPage()
    if root.get("show") == "0":
        draft.warn("hidden_cells", number)
    title, blocks = "", list[str]()
    for shape in _shapes(root):
        text = _shape_text(shape)
        if not text:
            continue
        if _is_title(shape) and not title:
            title = " ".join(text.split())
        else:
            blocks.append(text)
        if (left := _number(shape.find(".//off"), "x")) is not None and (
            left > width or left + (_number(shape.find(".//ext"), "cx") or 0) < 0
        ):
            draft.warn("hidden_text", number, text)
        _warn_of_hidden(shape, number, draft)
    for kind, part in relations_of(archive, name).values():
        if kind == "chart" and (chart := tree_of(archive, part)) is not None:
            blocks.append(_chart(chart))
        if kind == "notesSlide" and (notes := _notes(tree_of(archive, part))):
            blocks.append(f"[notes] {notes}")
    heading = [f"# {title}"] if title else []
    return DraftPage(text=tidy("\n\n".join([*heading, *blocks])), heading=title)


def _number(element: Element | None, name: str) -> int | None:
    text = element.get(name, "") if element is not None else ""
    return int(text) if text.lstrip("-").isdigit() else None


def _shapes(parent: Element) -> Iterator[Element]:
    """Yields text boxes and tables, also within groups; of alternatives the first."""
    for each in parent:
        if each.tag in ("sp", "graphicFrame", "cxnSp"):
            yield each
        elif each.tag != "Fallback":
            yield from _shapes(each)


def _is_title(shape: Element) -> bool:
    mark = shape.find("nvSpPr/nvPr/ph")
    return mark is not None and mark.get("type") in _TITLES


def _shape_text(shape: Element) -> str:
    table = shape.find(".//tbl")
    if table is not None:
        rows = [[_paragraphs(cell) for cell in row.findall("tc")] for row in table.findall("tr")]
        return markdown_table(rows)
    return _paragraphs(shape)


def _paragraphs(parent: Element) -> str:
    lines: list[str] = []
    for paragraph in parent.iter("p"):
        pieces = [
            each.text or "" if each.tag == "t" else "\n" if each.tag == "br" else ""
            for each in paragraph.iter()
        ]
        lines.append("".join(pieces))
    return "\n".join(lines).strip()


def _notes(root: Element | None) -> str:
    blocks: list[str] = []
    for shape in _shapes(root) if root is not None else ():
        mark = shape.find("nvSpPr/nvPr/ph")
        if mark is None or mark.get("type") not in _NO_NOTES:
            blocks.append(_paragraphs(shape))
    return "\n".join(block for block in blocks if block)


def _chart(root: Element) -> str:
    """Returns the figures behind a chart as a table: a row for each category."""
    series = list(root.iter("ser"))
    names = [_points(each.find("tx")).get(0, "") for each in series]
    columns = [_points(each.find("val")) for each in series]
    categories = _points(series[0].find("cat")) if series else {}
    rows = [
        [categories.get(n, ""), *(column.get(n, "") for column in columns)]
        for n in sorted({n for column in columns for n in column} | set(categories))
    ]
    return markdown_table([["", *names], *rows[:_MAX_POINTS]])


def _points(element: Element | None) -> dict[int, str]:
    """Returns the values that a chart keeps, by their index."""
    points: dict[int, str] = {}
    for point in element.iter("pt") if element is not None else ():
        value = point.find("v")
        if value is not None and (index := point.get("idx", "")).isdigit():
            points[int(index)] = value.text or ""
    return points


def _warn_of_hidden(shape: Element, number: int, draft: Draft) -> None:
    """Warns of white letters in a shape without a ground of its own, and of tiny ones."""
    for run in shape.iter("r"):
        style = run.find("rPr")
        if style is None:
            continue
        size = style.get("sz", "")
        color = style.find("solidFill/srgbClr")
        pale = color is not None and is_pale(color.get("val", ""))
        ground = shape.find("spPr/noFill") is not None
        if (pale and ground) or is_tiny(size or "x", per_point=100):
            text = run.find("t")
            draft.warn("hidden_text", number, (text.text or "") if text is not None else "")
