"""Looking into the tables beside the product, and filling them."""

import uuid

import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Author, Dialog, Message, User, new_id


async def message_row(db: Database, message_id: str) -> Message:
    """The message of that id, deleted or not."""
    async with db.read() as session:
        found = await session.get(Message, uuid.UUID(message_id))
    assert found is not None
    return found


async def list_questions(db: Database, text: str) -> list[Message]:
    """Everybody's questions of exactly that text."""
    query = sa.select(Message).where(col(Message.text) == text, col(Message.author) == Author.USER)
    async with db.read() as session:
        return list(await session.scalars(query))


async def count_messages(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(Message)) or 0


async def put_history(db: Database, username: str, turns: list[tuple[str, str]]) -> str:
    """A dialog of that user with these questions and answers. Returns its id."""
    async with db.write() as session:
        user_id = await session.scalar(
            sa.select(col(User.id)).where(col(User.username) == username)
        )
        dialog = Dialog(user_id=user_id, title="a long one")  # type: ignore[arg-type]
        session.add(dialog)
        await session.flush()
        parent: uuid.UUID | None = None
        found: list[dict[str, object]] = []
        for turn in turns:
            for author, text in zip((Author.USER, Author.ASSISTANT), turn, strict=True):
                message = Message(
                    id=new_id(),
                    dialog_id=dialog.id,
                    user_id=user_id,  # type: ignore[arg-type]
                    parent_id=parent,
                    depth=len(found),
                    author=author,
                    text=text,
                )
                found.append(message.model_dump())
                parent = message.id
        await session.execute(sa.insert(Message), found)
        dialog.leaf_id = parent
        session.add(dialog)
    return str(dialog.id)
