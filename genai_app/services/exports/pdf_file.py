"""The PDF of an export, drawn by a child process, one at a time. The process is killed at the
deadline or when the export is cancelled, so that no text can stop the product (docs/adr/0018)."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from genai_app.errors import AppError, TooLarge, Unavailable
from genai_app.i18n import catalogue, translate
from genai_app.markdown.guard import displayed
from genai_app.services.exports.rows import ExportedMessage, Head
from genai_app.services.exports.text_files import (
    Facts,
    end_note,
    moment_text,
    open_private,
    speaker,
    zone_note,
)

log = structlog.stdlib.get_logger(__name__)

MAX_MESSAGES = 2000
DEADLINE_S = 180.0
DRAWN_BY = "genai_app.services.exports.pdf"
PROJECT = Path(__file__).parents[3]


class PdfFile:
    """A PDF file to which rows are added; it is complete when `close` returns.

    Raises:
        TooLarge: export_too_slow: not drawn within DEADLINE_S.
        Unavailable: export_failed: the process failed.
    """

    def __init__(self, path: Path, facts: Facts) -> None:
        self._path = path
        self._facts = facts
        self._process: asyncio.subprocess.Process | None = None
        self._head: Head | None = None
        self._until = 0.0

    async def open(self) -> None:
        """Starts the process."""
        open_private(self._path).close()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", DRAWN_BY, str(self._path.absolute())),
            cwd=PROJECT,
            env={"PYTHONPATH": str(PROJECT), "LC_ALL": "C.UTF-8"},  # none of our secrets
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._until = asyncio.get_running_loop().time() + DEADLINE_S
        foot = self._facts.title if self._facts.one_dialog else self._facts.username
        await self._send("document", self._facts.title, foot, self._facts.locale)

    async def add(self, rows: Sequence[ExportedMessage]) -> None:
        for row in rows:
            if row.head is not self._head:
                self._head = row.head
                await self._send("title", row.head.title, self._about(row.head))
            who, about = speaker(row, self._facts.locale, self._facts.zone)
            asks = row.author == "user"
            if asks and row.head.username:
                who = row.head.full_name or row.head.username
            await self._send("speaker", who, about, asks)
            if row.reasoning:
                await self._send("note", translate(self._facts.locale, "reasoning.review"))
                await self._send("quotation", row.reasoning.strip())
            if asks:
                await self._send("plain", row.text.strip())
            else:
                await self._answer(row.text.strip())
            if row.files:
                names = ", ".join(row.files)
                await self._send("note", translate(self._facts.locale, "export.files", names=names))
            if note := end_note(row, self._facts.locale):
                await self._send("note", note)

    async def close(self) -> None:
        if self._head is None:
            await self._send("title", self._facts.title, "")
        await self._send("end")
        process = self._process
        assert process is not None  # opened
        try:
            async with asyncio.timeout_at(self._until):
                _, stderr = await process.communicate()
        except TimeoutError:
            raise TooLarge(code="export_too_slow") from None
        if process.returncode:
            raise self._broken(stderr)

    async def abort(self) -> None:
        """Kills the process if it still runs."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())

    async def _answer(self, text: str) -> None:
        safe = displayed(text)
        await self._send("markdown", safe.text)
        if safe.left_plain:
            await self._send("note", catalogue(self._facts.locale)["chat.left_plain"])

    def _about(self, head: Head) -> str:
        facts = self._facts
        created = moment_text(head.created_at, facts.locale, facts.zone)
        parts = (head.full_name or head.username, head.department, created, zone_note(facts))
        return " · ".join(filter(None, parts))

    async def _send(self, *command: object) -> None:
        """Writes one command of `pdf/__main__.py` to the process."""
        process = self._process
        assert process is not None  # opened
        assert process.stdin is not None  # a pipe
        try:
            process.stdin.write(json.dumps(command).encode() + b"\n")
            async with asyncio.timeout_at(self._until):
                await process.stdin.drain()
        except TimeoutError:
            raise TooLarge(code="export_too_slow") from None
        except (BrokenPipeError, ConnectionResetError):
            _, stderr = await process.communicate()
            raise self._broken(stderr) from None

    def _broken(self, stderr: bytes) -> AppError:
        # the last line names the error; the lines before it may hold text of the dialog
        last = stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        log.error("export.pdf_broken", error=last.partition(":")[0][:100])
        return Unavailable(code="export_failed")
