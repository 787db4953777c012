"""Export files of ChatGPT and Open WebUI, as these write them, and the service that reads them."""

import io
import json
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import BackgroundJob, Dialog, Message
from genai_app.services.imports.counts import ImportCounts
from genai_app.services.imports.imports import Imports
from genai_app.services.jobs.lease import ENDED
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually

AT = 1_700_000_000.25  # 2023-11-14 22:13:20 UTC
Json = dict[str, Any]


def said(role: str, text: str, at: float | None = AT, **more: Any) -> Json:
    """A message of ChatGPT."""
    return {
        "id": str(uuid.uuid4()),
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": at,
        "update_time": None,
        "content": {"content_type": "text", "parts": [text]},
        "status": "finished_successfully",
        "end_turn": True,
        "weight": 1,
        "metadata": {"model_slug": "gpt-4o"} if role == "assistant" else {},
        "recipient": "all",
        "channel": None,
        **more,
    }


def node(key: str, parent: str | None, message: Json | None, *children: str) -> Json:
    return {"id": key, "message": message, "parent": parent, "children": list(children)}


def chatgpt(
    *nodes: Json, current: str = "", title: str = "Отпуск", key: str = "", **more: Any
) -> Json:
    """A dialog of `conversations.json`."""
    return {
        "title": title,
        "create_time": AT,
        "update_time": AT + 500,
        "mapping": {each["id"]: each for each in nodes},
        "moderation_results": [],
        "current_node": current or nodes[-1]["id"],
        "plugin_ids": None,
        "conversation_id": key or str(uuid.uuid4()),
        "gizmo_id": None,
        "is_archived": False,
        "default_model_slug": "gpt-4o",
        "id": key,
        **more,
    }


def plain(number: int, *texts: str) -> Json:
    """A dialog of ChatGPT without branches: question, answer, question ..."""
    texts = texts or (f"Вопрос {number}?", f"Ответ {number}")
    nodes = [node("root", None, None, "n0")]
    for index, text in enumerate(texts):
        role = "assistant" if index % 2 else "user"
        parent = f"n{index - 1}" if index else "root"
        at = AT + number * 1000 + index
        nodes.append(node(f"n{index}", parent, said(role, text, at)))
    return chatgpt(*nodes, title=f"Диалог {number}", key=f"c{number}")


def open_webui(*messages: Json, current: str = "", key: str = "w1", **more: Any) -> Json:
    """A dialog of Open WebUI's "Export chats"."""
    return {
        "id": key,
        "user_id": "u1",
        "title": "Договор",
        "chat": {
            "id": "",
            "title": "Договор",
            "models": ["qwen3:32b"],
            "params": {},
            "history": {
                "messages": {each["id"]: each for each in messages},
                "currentId": current or messages[-1]["id"],
            },
            "messages": [],
            "tags": [],
            "timestamp": int(AT * 1000),
        },
        "updated_at": int(AT) + 900,
        "created_at": int(AT),
        "share_id": None,
        "archived": False,
        "pinned": False,
        "meta": {},
        **more,
    }


def wrote(key: str, parent: str | None, role: str, content: object, **more: Any) -> Json:
    """A message of Open WebUI."""
    return {
        "id": key,
        "parentId": parent,
        "childrenIds": [],
        "role": role,
        "content": content,
        "timestamp": int(AT) + len(key),
        **({"model": "qwen3:32b", "done": True} if role == "assistant" else {}),
        **more,
    }


def as_json(*dialogs: Json) -> bytes:
    return json.dumps(list(dialogs)).encode()


def as_zip(**members: bytes) -> bytes:
    """An archive; `conversations_json=` is the member `conversations.json`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chat.html", "<html>[{]</html>")
        archive.writestr("user.json", '{"email": "x"}')
        archive.writestr("../../escaped.json", as_json(plain(666)))
        for name, content in members.items():
            archive.writestr(name.replace("_json", ".json").replace("__", "-"), content)
    return buffer.getvalue()


@dataclass
class ImportDesk:
    """Imports over one database and one directory."""

    db: Database
    imports: Imports

    @property
    def directory(self) -> Path:
        return self.imports.jobs.files.directory

    async def start(self, actor: Actor, content: bytes, name: str = "x.json") -> BackgroundJob:
        async with self.imports.upload(actor) as part:
            part.write_bytes(content)
            return await self.imports.start(actor, part, name)

    async def bring(self, actor: Actor, content: bytes) -> tuple[BackgroundJob, ImportCounts]:
        """Upload a file, and wait for the end of its import."""
        return await self.ends(actor, await self.start(actor, content))

    async def ends(
        self, actor: Actor, started: BackgroundJob
    ) -> tuple[BackgroundJob, ImportCounts]:
        async def ended() -> bool:
            return (await self.imports.get(actor, started.id)).state in ENDED

        await eventually(ended, within_s=60)
        row = await self.imports.get(actor, started.id)
        return row, ImportCounts.of_json(row.result)

    async def dialogs(self, actor: Actor) -> Sequence[Dialog]:
        query = sa.select(Dialog).where(col(Dialog.user_id) == actor.user_id)
        async with self.db.read() as session:
            return (await session.scalars(query.order_by(col(Dialog.created_at)))).all()

    async def messages(self, dialog: Dialog) -> Sequence[Message]:
        query = sa.select(Message).where(col(Message.dialog_id) == dialog.id)
        async with self.db.read() as session:
            return (await session.scalars(query.order_by(col(Message.id)))).all()


def import_desk(db: Database, settings: Settings) -> ImportDesk:
    return ImportDesk(db, Imports(db, settings))
