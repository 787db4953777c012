"""The service of files with a reader that tests steer, instead of a child process."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.documents.errors import UnreadableFile
from genai_app.adapters.documents.summary import DocumentSummary
from genai_app.adapters.redis.client import limit_storage
from genai_app.db.database import Database
from genai_app.models import Attachment, MessageAttachment
from genai_app.services.cursors import Cursors
from genai_app.services.files import contents as file_contents
from genai_app.services.files import jobs as file_jobs
from genai_app.services.files.files import Files
from genai_app.services.jobs.lease import ENDED
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually

SECRET = "0123456789abcdef0123456789ABCDEF"


class Reader:
    """Reads texts at once, `refuse...` not at all, and while `holds` is set nothing."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.holds = asyncio.Event()
        self.holds.set()

    async def read(self, source: Path, name: str, target: Path) -> DocumentSummary:
        self.names.append(name)
        data = await asyncio.to_thread(source.read_bytes)
        await asyncio.to_thread((target / "text.txt").write_bytes, data)
        await self.holds.wait()
        if data.startswith(b"refuse"):
            raise UnreadableFile(code="file_encrypted")
        return DocumentSummary(
            media_type="text/plain",
            kind="text",
            unit="lines",
            pages=1,
            chars=len(data),
            tokens=len(data) // 3,
        )


class PlainText:
    """The text of a file that `Reader` read."""

    def __init__(self, target: Path) -> None:
        self._text = (target / "text.txt").read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, first: int = 1, last: int | None = None, *, max_chars: int = 1000) -> str:
        return self._text[:max_chars]


class FileDesk:
    """The service, and what tests do with it."""

    def __init__(self, db: Database, files: Files, reader: Reader) -> None:
        self.db = db
        self.files = files
        self.reader = reader

    async def upload(self, actor: Actor, *contents: bytes, name: str = "a.txt") -> list[Attachment]:
        async with self.files.uploads.receive(actor) as receiving:
            for content in contents:
                await receiving.begin(name)
                await receiving.add(content)
            rows = await receiving.commit()
        self.files.jobs.wake()
        return rows

    async def bring(self, actor: Actor, content: bytes, name: str = "a.txt") -> Attachment:
        """Uploads a file and waits until it is read."""
        (row,) = await self.upload(actor, content, name=name)
        return await self.ends(row)

    async def ends(self, row: Attachment) -> Attachment:
        async def has_ended() -> bool:
            return (await self.row(row)).state in ENDED

        await eventually(has_ended, within_s=20)
        return await self.row(row)

    async def row(self, row: Attachment) -> Attachment:
        async with self.db.read() as session:
            return await session.get_one(Attachment, row.id)

    async def rows(self) -> list[Attachment]:
        async with self.db.read() as session:
            return list(await session.scalars(sa.select(Attachment).order_by(col(Attachment.id))))

    async def attached(self) -> list[MessageAttachment]:
        async with self.db.read() as session:
            return list(await session.scalars(sa.select(MessageAttachment)))

    def on_disk(self) -> list[Path]:
        """All files below the directory, as relative paths."""
        top = self.files.store.directory
        return sorted(each.relative_to(top) for each in top.rglob("*") if each.is_file())


@asynccontextmanager
async def file_desk(
    db: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, opened: bool = True
) -> AsyncGenerator[FileDesk]:
    reader = Reader()
    monkeypatch.setattr(file_jobs, "read_document", reader.read)
    monkeypatch.setattr(file_contents, "DocumentText", PlainText)
    files = Files(db, settings, Cursors(settings.secret), limit_storage(None))
    if opened:
        await files.jobs.open()
    else:
        files.store.create_directory()
    try:
        yield FileDesk(db, files, reader)
    finally:
        await files.jobs.close()


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
