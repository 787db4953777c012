"""Writes the files of exports row by row: CSV, XLSX, JSON Lines, JSON and Markdown."""

import csv
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from genai_app import clock
from genai_app.i18n import catalogue, translate
from genai_app.services.exports.rows import ExportedAnswer, ExportedMessage, Head
from genai_app.services.exports.xlsx import Sheet
from genai_app.zones import DEFAULT_ZONE, is_whole_day, local_time

Record = dict[str, Any]

# cells that a spreadsheet takes for a formula: after blanks too, and with full-width signs. A cell
# that begins with an apostrophe gets another one: removing one always restores the text
FORMULA = re.compile("'*[ \u00a0\ufeff]*[=+\\-@\t\r\n＝＋－＠]")


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts that a file shows about itself. `title`: of the only dialog, or of the export."""

    locale: str
    title: str
    username: str
    one_dialog: bool = False
    zone: str = DEFAULT_ZONE


def record_of(row: ExportedMessage | ExportedAnswer) -> Record:
    """Returns a row of a table as {column: value}."""
    if isinstance(row, ExportedAnswer):
        return {
            "question": row.question,
            "answer": row.answer,
            "owner": row.owner,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "review_by": row.review_by,
            "hits": row.hits,
        }
    head = row.head
    return {
        "dialog_id": str(head.id),
        "title": head.title,
        "user": head.username,
        "full_name": head.full_name,
        "department": head.department,
        "review_state": head.state,
        "deleted_at": head.deleted_at,
        **message_of(row),
        "verdict": row.verdict,
        "files": list(row.files),
        **_reasoning_of(row),
    }


def message_of(row: ExportedMessage) -> Record:
    """Returns a message without its dialog."""
    return {
        "message_id": str(row.id),
        "parent_id": str(row.parent_id) if row.parent_id else None,
        "created_at": row.created_at,
        "role": row.author,
        "channel": row.channel,
        "status": row.status,
        "source": row.source,
        "model": row.model,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "text": row.text,
        "rating": row.rating,
        "error_code": row.error_code,
    }


def _files_of(row: ExportedMessage) -> Record:
    """Returns the names of the files of a question, nothing for a message without files."""
    return {"files": list(row.files)} if row.files else {}


def _reasoning_of(row: ExportedMessage) -> Record:
    """Returns what the model thought before the answer, where the export has it."""
    return {} if row.reasoning is None else {"reasoning": row.reasoning}


COLUMNS: dict[type, tuple[str, ...]] = {
    ExportedMessage: (
        *("dialog_id", "title", "user", "full_name", "department", "review_state", "deleted_at"),
        *("message_id", "parent_id", "created_at", "role", "channel", "status", "source", "model"),
        *("prompt_tokens", "completion_tokens", "text", "rating", "error_code"),
        *("verdict", "files"),
    ),
    ExportedAnswer: (
        "question",
        "answer",
        "owner",
        "created_at",
        "updated_at",
        "review_by",
        "hits",
    ),
}
LONG = ("text", "question", "answer", "reasoning")


def columns_of(kind: type, *, reasoning: bool) -> tuple[str, ...]:
    """Returns the columns of a table of such rows."""
    return (*COLUMNS[kind], "reasoning") if reasoning else COLUMNS[kind]


def new_private(path: Path) -> int:
    """Creates a file that only its owner may read, and returns the descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def open_private(path: Path) -> TextIO:
    """Creates such a file for UTF-8 text."""
    return os.fdopen(new_private(path), "w", encoding="utf-8", newline="")


class TextFile:
    """A file of text. Subclasses add rows."""

    def __init__(self, path: Path) -> None:
        self._file = open_private(path)

    def close(self) -> None:
        """Ends the file after the last row."""
        self._file.close()

    def drop(self) -> None:
        """Closes the incomplete file of an export that failed or was cancelled."""
        self._file.close()


class CsvFile(TextFile):
    """CSV for Excel with Russian settings: byte order mark, semicolons, all cells quoted."""

    def __init__(self, path: Path, kind: type, *, reasoning: bool = False) -> None:
        super().__init__(path)
        self._file.write("\ufeff")
        self._out = csv.writer(
            self._file, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n"
        )
        self._out.writerow(columns_of(kind, reasoning=reasoning))

    def add(self, rows: Sequence[ExportedMessage | ExportedAnswer]) -> None:
        for row in rows:
            self._out.writerow([safe_cell(value) for value in cells_of(row)])


class XlsxFile:
    """A workbook of one sheet without formulas."""

    def __init__(self, path: Path, kind: type, locale: str, *, reasoning: bool = False) -> None:
        columns = columns_of(kind, reasoning=reasoning)
        widths = [80 if name in LONG else 20 for name in columns]
        cut = catalogue(locale)["export.cell_cut"]
        self._sheet = Sheet(os.fdopen(new_private(path), "wb"), columns, widths, cut)
        self.close, self.drop = self._sheet.close, self._sheet.drop

    def add(self, rows: Sequence[ExportedMessage | ExportedAnswer]) -> None:
        self._sheet.add(cells_of(row) for row in rows)


class JsonLinesFile(TextFile):
    """JSON Lines: one object in each line."""

    def add(self, rows: Sequence[ExportedMessage | ExportedAnswer]) -> None:
        for row in rows:
            self._file.write(to_json(record_of(row)) + "\n")


class JsonFile(TextFile):
    """A user's own dialogs, each with all its messages; `parent_id` shows the branches."""

    def __init__(self, path: Path, facts: Facts) -> None:
        super().__init__(path)
        self._one = facts.one_dialog
        self._head: Head | None = None  # of the dialog that is being written
        if not self._one:
            about = {"user": facts.username, "exported_at": clock.now()}
            self._file.write(to_json(about)[:-1] + ', "dialogs": [')

    def add(self, rows: Sequence[ExportedMessage]) -> None:
        for row in rows:
            if row.head is not self._head:
                if self._head is not None:
                    self._file.write("\n]},")
                head = row.head
                about = {
                    "id": str(head.id),
                    "title": head.title,
                    "created_at": head.created_at,
                    "updated_at": head.updated_at,
                    "folder": head.folder,
                    "pinned_at": head.pinned_at,
                    "archived_at": head.archived_at,
                }
                self._file.write(("" if self._one else "\n") + to_json(about)[:-1])
                self._file.write(', "messages": [\n')
                self._head = head
            else:
                self._file.write(",\n")
            self._file.write(to_json(message_of(row) | _reasoning_of(row) | _files_of(row)))

    def close(self) -> None:
        if self._head is not None:
            self._file.write("\n]}")
        elif self._one:
            self._file.write("{}")
        self._file.write("\n" if self._one else "\n]}\n")
        super().close()


class MarkdownFile(TextFile):
    """Markdown of one dialog."""

    def __init__(self, path: Path, facts: Facts) -> None:
        super().__init__(path)
        self._locale, self._zone = facts.locale, facts.zone
        self._file.write(f"# {facts.title}\n\n*{zone_note(facts)}*\n")

    def add(self, rows: Sequence[ExportedMessage]) -> None:
        for row in rows:
            who, about = speaker(row, self._locale, self._zone)
            self._file.write(f"\n## {who}\n\n*{about}*\n\n")
            if row.reasoning:
                self._file.write(_quoted(row.reasoning, self._locale))
            self._file.write(f"{row.text.strip()}\n")
            if row.files:
                names = translate(self._locale, "export.files", names=", ".join(row.files))
                self._file.write(f"\n*{names}*\n")
            if note := end_note(row, self._locale):
                self._file.write(f"\n> {note}\n")


def _quoted(reasoning: str, locale: str) -> str:
    """Returns the model's thoughts as a quotation, which cannot be taken for the answer."""
    head = translate(locale, "reasoning.review")
    lines = [f"**{head}**", "", *reasoning.strip().splitlines()]
    return "".join(f"> {line}".rstrip() + "\n" for line in lines) + "\n"


def cells_of(row: ExportedMessage | ExportedAnswer) -> list[Any]:
    """Returns a row as the cells of a table; that of files has a line for each."""
    record = record_of(row)
    if "files" in record:
        record["files"] = "\n".join(record["files"])
    return list(record.values())


def safe_cell(value: Any) -> Any:
    """Returns a cell that no spreadsheet takes for a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def to_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, default=_moment)


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def speaker(row: ExportedMessage, locale: str, zone: str) -> tuple[str, str]:
    """Returns the author of a message and a line about it: the time, for answers also model and
    source."""
    moment = moment_text(row.created_at, locale, zone)
    if row.author == "user":
        return translate(locale, "export.you"), moment
    sources = {
        "cache": translate(locale, "export.from_cache"),
        "verified": translate(locale, "export.verified"),
    }
    about = (row.model or "", sources.get(row.source or "", ""), moment)
    return translate(locale, "export.assistant"), " · ".join(filter(None, about))


def end_note(row: ExportedMessage, locale: str) -> str:
    """Returns the note about an answer that is not complete, "" for a complete one."""
    notes = {
        "truncated": translate(locale, "export.truncated"),
        "stopped": translate(locale, "export.stopped"),
        "interrupted": translate(locale, "export.interrupted"),
        "failed": translate(locale, "export.failed"),
        "filtered": translate(locale, "export.filtered"),
        "running": translate(locale, "export.running"),
        # by error code, where that is more precise than the status
        "events_lost": translate(locale, "export.events_lost"),
        "empty_answer": translate(locale, "export.empty_answer"),
    }
    note = notes.get(row.error_code or "", notes.get(row.status, ""))
    return f"{note} {row.error_reason}".strip()


def zone_note(facts: Facts) -> str:
    """Returns the sentence that names the zone of all times in a document."""
    return translate(facts.locale, "export.zone", zone=facts.zone)


def moment_text(moment: datetime, locale: str, zone: str) -> str:
    """Returns `25 ноября 2026, 12:30`, in that time zone; of a whole day its date alone."""
    local = moment if is_whole_day(moment) else local_time(moment, zone)
    month = translate(locale, "date.months").split()[local.month - 1]
    date = f"{local.day} {month} {local.year}"
    return date if is_whole_day(moment) else f"{date}, {local:%H:%M}"
