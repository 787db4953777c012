"""The PDF of an export. It is drawn by a process of its own, one at a time, which is killed when it
takes too long or nobody wants it any more: no text can stop the product. See docs/adr/0018."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from genai_app.errors import AppError, TooLarge, Unavailable
from genai_app.i18n import catalogue
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
    """Rows go in as they come; `close` returns when the file is there.

    Raises:
        TooLarge: export_too_slow: not drawn within the deadline.
        Unavailable: export_failed: the process ended otherwise.
    """

    def __init__(self, path: Path, facts: Facts) -> None:
        self._path = path
        self._facts = facts
        self._process: asyncio.subprocess.Process | None = None
        self._head: Head | None = None
        self._until = 0.0

    async def open(self) -> None:
        """Start the process."""
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
        await self._tell("document", self._facts.title, foot, self._facts.locale)

    async def add(self, rows: Sequence[ExportedMessage]) -> None:
        for row in rows:
            if row.head is not self._head:
                self._head = row.head
                await self._tell("title", row.head.title, self._about(row.head))
            who, about = speaker(row, self._facts.locale, self._facts.zone)
            asks = row.author == "user"
            if asks and row.head.username:
                who = row.head.full_name or row.head.username
            await self._tell("speaker", who, about, asks)
            if asks:
                await self._tell("plain", row.text.strip())
            else:
                await self._answer(row.text.strip())
            if note := end_note(row, self._facts.locale):
                await self._tell("note", note)

    async def close(self) -> None:
        if self._head is None:
            await self._tell("title", self._facts.title, "")
        await self._tell("end")
        process = self._process
        assert process is not None  # opened
        try:
            async with asyncio.timeout_at(self._until):
                _, said = await process.communicate()
        except TimeoutError:
            raise TooLarge(code="export_too_slow") from None
        if process.returncode:
            raise self._broken(said)

    async def abort(self) -> None:
        """Kill the process, if it runs."""
        process = self._process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())

    async def _answer(self, text: str) -> None:
        safe = displayed(text)
        await self._tell("markdown", safe.text)
        if safe.left_plain:
            await self._tell("note", catalogue(self._facts.locale)["chat.left_plain"])

    def _about(self, head: Head) -> str:
        facts = self._facts
        made = moment_text(head.created_at, facts.locale, facts.zone)
        parts = (head.full_name or head.username, head.department, made, zone_note(facts))
        return " · ".join(filter(None, parts))

    async def _tell(self, *what: object) -> None:
        process = self._process
        assert process is not None  # opened
        assert process.stdin is not None  # a pipe
        try:
            process.stdin.write(json.dumps(what).encode() + b"\n")
            async with asyncio.timeout_at(self._until):
                await process.stdin.drain()
        except TimeoutError:
            raise TooLarge(code="export_too_slow") from None
        except (BrokenPipeError, ConnectionResetError):
            _, said = await process.communicate()
            raise self._broken(said) from None

    def _broken(self, said: bytes) -> AppError:
        # the last line names the fault; those before it may hold text of the dialog
        last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
        log.error("export.pdf_broken", error=last.partition(":")[0][:100])
        return Unavailable(code="export_failed")
