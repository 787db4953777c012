"""Writes the file of one export, for the worker and for the command line."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genai_app.db.database import Database
from genai_app.errors import TooLarge
from genai_app.i18n import translate
from genai_app.services.exports.choice import ExportChoice, ExportKind, Format
from genai_app.services.exports.pdf_file import MAX_MESSAGES, PdfFile
from genai_app.services.exports.rows import ExportedAnswer, ExportedMessage, Rows
from genai_app.services.exports.text_files import (
    CsvFile,
    Facts,
    JsonFile,
    JsonLinesFile,
    MarkdownFile,
    XlsxFile,
)
from genai_app.services.exports.xlsx import MAX_ROWS
from genai_app.services.review.pseudonyms import pseudonym
from genai_app.settings.settings import Settings

MOST = {Format.PDF: MAX_MESSAGES, Format.XLSX: MAX_ROWS}


@dataclass(frozen=True, slots=True)
class Job:
    """An export to be written, and the user who gets it."""

    kind: ExportKind
    format: Format
    choice: ExportChoice
    owner_id: uuid.UUID
    username: str
    locale: str


Progress = Callable[[int, int], None]  # rows written, all rows


class ExportRun:
    """Writes the files of exports. Only one PDF is drawn at a time, as that takes a whole core."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._drawing = asyncio.Semaphore(1)

    async def write(self, job: Job, path: Path, progress: Progress) -> int:
        """Writes a new file at `path` and returns the number of its rows. The file is removed when
        the export fails or is cancelled.

        Raises:
            TooLarge: export_too_long, export_too_slow.
            Unavailable: export_failed, storage_unavailable.
        """
        hidden = job.kind is ExportKind.DIALOGS and self._settings.review_mode == "pseudonymous"
        pseudonym_of = self._pseudonym_of if hidden else None
        rows = Rows(self._db, job.kind, job.format, job.choice, job.owner_id, pseudonym_of)
        total = await rows.count()
        if total > MOST.get(job.format, total):
            raise TooLarge(code="export_too_long")
        progress(0, total)
        done = 0
        try:
            if job.format is Format.PDF:
                async with self._drawing:
                    done = await self._draw(job, path, rows, lambda n: progress(n, total))
            else:
                done = await self._write(job, path, rows, lambda n: progress(n, total))
        except BaseException:
            await asyncio.shield(asyncio.to_thread(path.unlink, missing_ok=True))
            raise
        return done

    async def _draw(self, job: Job, path: Path, rows: Rows, on_rows: Callable[[int], None]) -> int:
        file, done = PdfFile(path, _facts(job)), 0
        try:
            await file.open()
            async for batch in rows.messages():
                await file.add(batch)
                done += len(batch)
                on_rows(done)
            await file.close()
        finally:
            await file.abort()
        return done

    async def _write(self, job: Job, path: Path, rows: Rows, on_rows: Callable[[int], None]) -> int:
        file, done = await asyncio.to_thread(_open, job, path), 0
        try:
            verified = job.kind is ExportKind.VERIFIED
            async for batch in rows.answers() if verified else rows.messages():
                await asyncio.to_thread(file.add, batch)
                done += len(batch)
                on_rows(done)
            await asyncio.to_thread(file.close)
        except BaseException:
            with suppress(OSError):
                file.drop()
            raise
        return done

    def _pseudonym_of(self, user_id: uuid.UUID) -> str:
        return pseudonym(self._settings.secret, user_id)


def _open(job: Job, path: Path) -> Any:
    kind = ExportedAnswer if job.kind is ExportKind.VERIFIED else ExportedMessage
    if job.format is Format.CSV:
        return CsvFile(path, kind, reasoning=job.choice.reasoning)
    if job.format is Format.XLSX:
        return XlsxFile(path, kind, job.locale, reasoning=job.choice.reasoning)
    if job.format is Format.JSONL:
        return JsonLinesFile(path)
    if job.format is Format.JSON:
        return JsonFile(path, _facts(job))
    return MarkdownFile(path, _facts(job))


def _facts(job: Job) -> Facts:
    titles = {
        ExportKind.DIALOGS: translate(job.locale, "export.kind_dialogs"),
        ExportKind.VERIFIED: translate(job.locale, "export.kind_verified"),
        ExportKind.MINE: translate(job.locale, "export.kind_mine"),
        ExportKind.DIALOG: job.choice.title or translate(job.locale, "nav.untitled"),
    }
    return Facts(
        job.locale,
        titles[job.kind],
        job.username,
        one_dialog=job.kind is ExportKind.DIALOG,
        zone=job.choice.zone,
    )
