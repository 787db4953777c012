"""What the tests of exports share: people, dialogs, and a worker that is told when to look."""

import io
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pypdf
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import (
    AuditEvent,
    Author,
    Channel,
    Dialog,
    Export,
    JobState,
    Message,
    Role,
    Source,
    User,
    new_id,
)
from genai_app.services.audit.events import Audit
from genai_app.services.exports.exports import Exports
from genai_app.services.jobs.lease import ENDED
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually

BEGAN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@dataclass
class Desk:
    """Exports over one database and one directory."""

    db: Database
    settings: Settings
    exports: Exports

    @property
    def directory(self) -> Path:
        return self.exports.jobs.files.directory

    async def made(self, actor: Actor, kind: str, format_: str, **chosen: object) -> Export:
        """Order an export and wait for its end."""
        row = await self.exports.start(actor, kind, format_, dict(chosen))
        return await self.ends(actor, row.id)

    async def ends(self, actor: Actor, export_id: uuid.UUID) -> Export:
        async def ended() -> bool:
            return (await self.exports.get(actor, export_id)).state in ENDED

        await eventually(ended, within_s=60)
        return await self.exports.get(actor, export_id)

    async def text_of(self, actor: Actor, row: Export) -> str:
        file = await self.exports.open_file(actor, row.id)
        return file.path.read_bytes().decode("utf-8")

    async def content(self, actor: Actor, kind: str, format_: str, **chosen: object) -> str:
        """All words of an export."""
        row = await self.made(actor, kind, format_, **chosen)
        assert row.state == JobState.DONE, row.error_code
        path = (await self.exports.open_file(actor, row.id)).path
        if format_ == "pdf":
            return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
        if format_ == "xlsx":
            workbook = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))
            return str(list(workbook.worksheets[0].values))
        return path.read_text("utf-8-sig")


def desk(db: Database, settings: Settings) -> Desk:
    return Desk(db, settings, Exports(db, settings, Audit(db)))


MakeSettings = Callable[..., Settings]


async def person(
    db: Database, username: str, role: Role = Role.USER, department: str = ""
) -> Actor:
    """A new user; without a password, whose hash would cost its time."""
    user = User(username=username, full_name=username.title(), role=role, department=department)
    async with db.write() as session:
        session.add(user)
    return Actor(user.id, username, user.full_name, role, Channel.WEB, new_id())


def demoted(actor: Actor) -> Actor:
    return replace(actor, role=Role.USER)


async def put_talk(
    db: Database,
    actor: Actor,
    *texts: str,
    title: str = "Отпуск",
    days: int = 0,
    model: str = "m-1",
    source: Source = Source.MODEL,
) -> uuid.UUID:
    """A dialog of questions and answers in turn, begun `days` after BEGAN. Returns its id."""
    at = BEGAN + timedelta(days=days)
    dialog = Dialog(user_id=actor.user_id, title=title, created_at=at, updated_at=at)
    messages: list[Message] = []
    for depth, text in enumerate(texts):
        answers = depth % 2 == 1
        messages.append(
            Message(
                id=new_id(),
                dialog_id=dialog.id,
                user_id=actor.user_id,
                parent_id=messages[-1].id if messages else None,
                depth=depth,
                author=Author.ASSISTANT if answers else Author.USER,
                text=text,
                model=model if answers else None,
                source=source if answers else None,
                created_at=at,
            )
        )
    dialog.leaf_id = messages[-1].id if messages else None
    async with db.write() as session:
        session.add(dialog)
        await session.flush()
        await session.execute(sa.insert(Message), [each.model_dump() for each in messages])
    return dialog.id


async def events(db: Database, *actions: str) -> list[AuditEvent]:
    """Audit rows of these actions, in their order."""
    query = sa.select(AuditEvent).where(col(AuditEvent.action).in_(actions))
    async with db.read() as session:
        return list(await session.scalars(query.order_by(col(AuditEvent.id))))


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]
