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
    """What is to be written, for whom."""

    kind: ExportKind
    format: Format
    choice: ExportChoice
    owner_id: uuid.UUID
    username: str
    locale: str


Told = Callable[[int, int], None]  # rows that are done, rows in all


class ExportRun:
    """Makes files. Drawing a PDF takes a core, so that is done one at a time."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._drawing = asyncio.Semaphore(1)

    async def write(self, job: Job, path: Path, told: Told) -> int:
        """Write the file at `path`, where none is yet. Returns how many rows it holds; nothing is
        left at `path` when it fails or is cancelled.

        Raises:
            TooLarge: export_too_long, export_too_slow.
            Unavailable: export_failed, storage_unavailable.
        """
        hidden = job.kind is ExportKind.DIALOGS and self._settings.review_mode == "pseudonymous"
        named = self._name if hidden else None
        rows = Rows(self._db, job.kind, job.format, job.choice, job.owner_id, named)
        total = await rows.count()
        if total > MOST.get(job.format, total):
            raise TooLarge(code="export_too_long")
        told(0, total)
        done = 0
        try:
            if job.format is Format.PDF:
                async with self._drawing:
                    done = await self._draw(job, path, rows, lambda n: told(n, total))
            else:
                done = await self._write(job, path, rows, lambda n: told(n, total))
        except BaseException:
            await asyncio.shield(asyncio.to_thread(path.unlink, missing_ok=True))
            raise
        return done

    async def _draw(self, job: Job, path: Path, rows: Rows, told: Callable[[int], None]) -> int:
        file, done = PdfFile(path, _facts(job)), 0
        try:
            await file.open()
            async for lines in rows.lines():
                await file.add(lines)
                done += len(lines)
                told(done)
            await file.close()
        finally:
            await file.abort()
        return done

    async def _write(self, job: Job, path: Path, rows: Rows, told: Callable[[int], None]) -> int:
        file, done = await asyncio.to_thread(_open, job, path), 0
        try:
            async for batch in rows.pairs() if job.kind is ExportKind.VERIFIED else rows.lines():
                await asyncio.to_thread(file.add, batch)
                done += len(batch)
                told(done)
            await asyncio.to_thread(file.close)
        except BaseException:
            with suppress(OSError):
                file.drop()
            raise
        return done

    def _name(self, user_id: uuid.UUID) -> str:
        return pseudonym(self._settings.secret, user_id)


def _open(job: Job, path: Path) -> Any:
    kind = ExportedAnswer if job.kind is ExportKind.VERIFIED else ExportedMessage
    if job.format is Format.CSV:
        return CsvFile(path, kind)
    if job.format is Format.XLSX:
        return XlsxFile(path, kind, job.locale)
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
