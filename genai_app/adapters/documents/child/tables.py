"""Sums up a large table: its head, the types of its columns, counts, least and greatest."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from genai_app.adapters.documents.child.draft import Row

_NUMBER = re.compile(r"[-+−]?\d{1,3}(?:[\s\u202f']\d{3})+(?:[.,]\d+)?%?|[-+−]?\d+(?:[.,]\d+)?%?")
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ]\d\d:\d\d.*)?|(\d\d?)[./](\d\d?)[./](\d{4})(?: \d\d?:\d\d.*)?"
)
_HEAD_ROWS = 10  # the head is among the first
_MAX_VALUES = 12  # of a column, to be listed
_MAX_COLUMNS = 200
_SAMPLE_ROWS = 5


def cell_text(value: Any) -> str:
    """Returns the text of a cell: numbers as short as they can be, dates as in ISO 8601."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if not abs(value) < 1e15:
            return repr(value)
        return str(int(value)) if value.is_integer() else f"{value:.12g}"
    if isinstance(value, dt.datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return "" if value is None else str(value)


def trimmed(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows and columns that hold something, the head first."""
    filled: list[Row] = [row for row in rows if any(cell and cell.strip() for cell in row)]
    if not filled:
        return []
    width = max(map(len, filled))
    used = sorted({n for row in filled for n, cell in enumerate(row) if cell.strip()})
    if len(used) < width or any(len(row) < width for row in filled):
        filled = [[row[n] if n < len(row) else "" for n in used] for row in filled]
    return filled


def head_of(rows: Sequence[Row]) -> int:
    """Returns which row names the columns: the first of those that are filled most with words."""
    first = rows[:_HEAD_ROWS]
    if not first:
        return 0
    words = [sum(1 for cell in row if cell.strip() and number_of(cell) is None) for row in first]
    most = max(words)
    if most < 2:
        return 0
    # a title above the head has one cell; rows below it have at least as many words as it
    return next(n for n, count in enumerate(words) if count >= 0.7 * most)


def number_of(text: str) -> float | None:
    """Returns the number that a cell shows, with a decimal point or comma; None if it is none."""
    if not text or len(text) > 40 or text[-1:].isalpha() or not _NUMBER.fullmatch(text.strip()):
        return None
    if text[0] == "0" and text.isdigit() and len(text) > 1:  # a code
        return None
    digits = re.sub(r"[\s\u202f']", "", text).rstrip("%").replace("−", "-").replace(",", ".")
    try:
        return float(digits)
    except ValueError:
        return None


def date_of(text: str) -> str | None:
    """Returns a date as in ISO 8601; None if a cell shows none."""
    match = _DATE.fullmatch(text.strip()) if 8 <= len(text) <= 30 else None
    if match is None:
        return None
    year, month, day, short_day, short_month, late_year = match.groups()
    if year:
        return f"{year}-{month}-{day}"
    return f"{late_year}-{int(short_month):02}-{int(short_day):02}"


def overview_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Returns rows, columns and the first rows of a table."""
    head = head_of(rows)
    names, body = rows[head], rows[head + 1 :]
    columns = [
        _column(name or f"({number + 1})", [row[number] for row in body if number < len(row)])
        for number, name in enumerate(names[:_MAX_COLUMNS])
    ]
    sample = [list(row[:_MAX_COLUMNS]) for row in body[:_SAMPLE_ROWS]]
    return {"rows": len(body), "columns": columns, "sample": sample}


def _column(name: str, cells: Sequence[str]) -> dict[str, Any]:
    filled = [cell for cell in cells if cell.strip()]
    column: dict[str, Any] = {"name": name[:200], "filled": len(filled), "type": "text"}
    if not filled:
        return {**column, "type": "empty"}
    counts = Counter(filled)
    if len(counts) <= _MAX_VALUES:
        column["values"] = [[text[:80], count] for text, count in counts.most_common()]
    column["distinct"] = len(counts)
    numbers = {cell: number_of(cell) for cell in counts}
    right = {cell: number for cell, number in numbers.items() if number is not None}
    if sum(counts[cell] for cell in right) >= 0.9 * len(filled):
        total = sum(number * counts[cell] for cell, number in right.items())
        least, greatest = min(right.values()), max(right.values())
        figures = {"least": least, "greatest": greatest, "total": total}
        shown = {key: cell_text(float(figure)) for key, figure in figures.items()}
        return {**column, "type": "number", **shown}
    dates = [date for cell in counts if (date := date_of(cell)) is not None]
    if len(dates) >= 0.9 * len(counts):
        return {**column, "type": "date", "least": min(dates), "greatest": max(dates)}
    return column
