"""Cuts the pages into passages, writes the index, and says what the file is."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

from genai_app.adapters.documents.child.draft import (
    MAX_WARNINGS,
    Draft,
    DraftPage,
    markdown_row,
)
from genai_app.adapters.documents.child.hidden import warn_of_orders
from genai_app.adapters.documents.child.tables import head_of, overview_of
from genai_app.adapters.documents.index import INDEX, SCHEMA
from genai_app.adapters.documents.tokens import tokens_of
from genai_app.stemming import stems_of

_PASSAGE_TOKENS = 400
_PASSAGE_CHARS = 1200  # looked at when a passage is cut
_MAX_LINE = 100  # characters of a heading


class _Cut(NamedTuple):
    kind: str
    line: int
    heading: str
    tokens: int
    text: str


def summary_of(draft: Draft) -> dict[str, Any]:
    """Writes the index of a draft into its target and returns the fields of its summary."""
    warn_of_orders(draft)
    tokens = _write(draft)
    warnings = [asdict(warning) for warning in draft.warnings.values()]
    pictures = [
        {**asdict(each), "bytes": (draft.job.target / each.name).stat().st_size}
        for each in draft.pictures
    ]
    return {
        "media_type": draft.media_type,
        "kind": draft.kind,
        "unit": draft.unit,
        "pages": 0 if draft.kind == "picture" else len(draft.pages),
        "chars": draft.chars,
        "tokens": tokens,
        "encoding": draft.encoding,
        "picture_pages": draft.picture_pages,
        "warnings": warnings[:MAX_WARNINGS],
        "pictures": pictures,
        "thumbnail": draft.thumbnail,
    }


def _write(draft: Draft) -> int:
    """Writes the index; returns the tokens of the text."""
    connection = sqlite3.connect(draft.job.target / INDEX, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -32000"):
        connection.execute(f"PRAGMA {pragma}")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("BEGIN")
    total, count = 0, 0
    stems: dict[str, str] = {}
    for number, page in enumerate(draft.pages, 1):
        cuts = list(_cuts(page))
        tokens = sum(cut.tokens for cut in cuts)
        first = cuts[0].heading if cuts else ""
        row = (number, page.label, page.heading or first, sum(len(c.text) for c in cuts), tokens)
        connection.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?)", row)
        connection.executemany(
            "INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (count + n, number, c.kind, c.line, c.heading, c.tokens, c.text)
                for n, c in enumerate(cuts, 1)
            ),
        )
        connection.executemany(
            "INSERT INTO words (rowid, stems) VALUES (?, ?)",
            (
                (count + n, " ".join(stems_of(f"{c.heading} {c.text}", stems)))
                for n, c in enumerate(cuts, 1)
            ),
        )
        if page.rows and len(page.rows) > 1:
            overview = json.dumps(overview_of(page.rows), ensure_ascii=False)
            connection.execute("INSERT INTO overviews VALUES (?, ?)", (number, overview))
        count += len(cuts)
        total += tokens
    connection.execute("COMMIT")
    connection.close()
    return total


def _cuts(page: DraftPage) -> Iterator[_Cut]:
    """Yields the passages of a page: together they are its text."""
    if page.rows is not None:
        yield from _rows(page)
    if page.text:
        yield from _paragraphs(page)


def _rows(page: DraftPage) -> Iterator[_Cut]:
    rows = page.rows or []
    head = head_of(rows)
    width = max(map(len, rows), default=0)
    for number, row in enumerate(rows):
        text = markdown_row([*row, *[""] * (width - len(row))]) + "\n"
        kind = "head" if number == head else "row"
        if kind == "head":
            text += f"|{' --- |' * width}\n"
        yield _Cut(kind, number + 1, page.label, tokens_of(text), text)


def _paragraphs(page: DraftPage) -> Iterator[_Cut]:
    heading, text, start = page.heading, page.text, 0
    line = page.lines
    while start < len(text):
        end = _end(text, start)
        passage = text[start:end]
        heading = _first_heading(passage) or heading
        yield _Cut("text", line or 0, heading, tokens_of(passage), passage)
        heading = _last_heading(passage) or heading
        line = line + passage.count("\n") if line is not None else None
        start = end


def _end(text: str, start: int) -> int:
    """Returns where a passage that begins at `start` ends: before a heading, at a paragraph, line
    or sentence, whichever is there, within the tokens of a passage."""
    limit = start + _PASSAGE_CHARS
    window = text[start:limit]
    tokens = tokens_of(window)
    if tokens > _PASSAGE_TOKENS:
        window = window[: max(len(window) * _PASSAGE_TOKENS // tokens, 200)]
    size = len(window)
    heading = window.find("\n# ", 1) if window.startswith("#") else window.find("\n#")
    heading = heading if heading > 0 and window[heading + 1 :].lstrip("#").startswith(" ") else -1
    if heading >= size // 3:
        return start + heading + 1
    if start + size >= len(text):
        return len(text)
    for border in ("\n\n", "\n", ". ", "; ", " "):
        at = window.rfind(border, size // 2)
        if at > 0:
            return start + at + len(border)
    return start + size


def _headings(passage: str) -> list[str]:
    return [
        line.lstrip("# ")[:_MAX_LINE]
        for line in passage.split("\n")
        if line.startswith("#") and line.lstrip("#").startswith(" ")
    ]


def _first_heading(passage: str) -> str:
    return next(iter(_headings(passage)), "") if passage.startswith("#") else ""


def _last_heading(passage: str) -> str:
    return next(iter(reversed(_headings(passage))), "")
