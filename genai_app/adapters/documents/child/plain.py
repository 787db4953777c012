"""Reads text: prose, logs, code, data, and tables whose cells stand between separators."""

import csv
import json
import re
from pathlib import Path

from genai_app.adapters.documents.child.draft import Draft, DraftPage, Refusal, clean
from genai_app.adapters.documents.child.encodings import decode

_PART_CHARS = 40_000
_MAX_LINE = 4_000  # longer ones are broken, so that they can be searched
_MAX_BYTES = 200 << 20
_MAX_DEPTH = 1000
_SEPARATORS = ";\t,|"
_DECLARED = re.compile(rb"<\?xml[^>]*\bencoding=[\"']([\w-]+)")
_OPENING, _CLOSING = "[{", "]}"


def read(draft: Draft) -> None:
    """Reads a text file."""
    if draft.job.source.stat().st_size > _MAX_BYTES:
        raise Refusal("too_large")
    content = Path(draft.job.source).read_bytes()
    declared = _DECLARED.match(content)
    text, draft.encoding = decode(content, declared.group(1).decode() if declared else "")
    if not text.strip():
        raise Refusal("empty")
    if draft.kind == "table" and read_separated(draft, text):
        return
    if draft.kind == "table":
        draft.kind = "text"
    if draft.media_type == "application/json":
        text = _pretty(text)
    _check_depth(text)
    read_lines(draft, text)


def read_lines(draft: Draft, text: str) -> None:
    """Adds a text as parts of whole lines; a part's label says which lines it has."""
    draft.unit = "lines"
    text = clean(text)
    start, line = 0, 1
    while start < len(text):
        end = start + _PART_CHARS
        if end < len(text):
            border = text.rfind("\n", start, end)
            end = border + 1 if border > start else end
        part = text[start:end]
        breaks = part.count("\n")
        last = line + breaks - part.endswith("\n")
        draft.add(DraftPage(text=part, label=f"{line}–{max(last, line)}", lines=line))
        start, line = end, line + breaks


def _pretty(text: str) -> str:
    """Returns JSON that stands in one line with a line for each value."""
    if max(map(len, text.split("\n", 50)[:50]), default=0) < _MAX_LINE:
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except ValueError:
        return text
    except RecursionError as error:
        raise Refusal("bomb", "depth") from error


def _check_depth(text: str) -> None:
    """Refuses text in which brackets open more often than any program or document needs."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return
    depth = 0
    for letter in text[:_PART_CHARS]:
        if letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth = max(depth - 1, 0)
        if depth > _MAX_DEPTH:
            raise Refusal("bomb", "depth")


def read_separated(draft: Draft, text: str) -> bool:
    """Adds a table whose cells stand between separators. Returns False if it is none."""
    from genai_app.adapters.documents.child.tables import trimmed

    separator = separator_of(text)
    if separator is None:
        return False
    csv.field_size_limit(1 << 20)
    try:
        rows = list(csv.reader(clean(text).split("\n"), delimiter=separator))
    except csv.Error:
        return False
    draft.unit = "sheet"
    draft.add(DraftPage(rows=trimmed(rows)))
    return True


def separator_of(text: str) -> str | None:
    """Returns the character that stands in most lines equally often; None if none does."""
    lines = [line for line in text[:_PART_CHARS].splitlines()[:50] if line.strip()]
    if text[:4].lower() == "sep=":
        return text[4]
    best, most = None, 0.0
    for separator in _SEPARATORS:
        counts = [line.count(separator) for line in lines]
        usual = max(set(counts), key=counts.count) if counts else 0
        if usual:
            steady = counts.count(usual) / len(counts)
            # a decimal comma stands beside the separator, never in its stead
            if (worth := steady + min(usual, 20) / 100) > most:
                best, most = separator, worth
    return best if most > 0.5 else None
