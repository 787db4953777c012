"""What the product's database holds, read and written beside it."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlmodel import Session, col, select

from genai_app import clock
from genai_app.models import Author, Dialog, Feedback, Message, Role, Source, User
from genai_app.models import Session as Login
from genai_app.stemming import stemmed


class Stored:
    """A context manager; `url` as `AppProcess.database_url` gives it."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _know_words)

    def messages(self, dialog_id: uuid.UUID) -> list[Message]:
        """All of a dialog, oldest first."""
        with Session(self._engine) as session:
            query = select(Message).where(Message.dialog_id == dialog_id)
            return sorted(session.exec(query), key=lambda message: message.id)

    def answer(self, dialog_id: uuid.UUID) -> Message:
        """The newest answer."""
        found = [m for m in self.messages(dialog_id) if m.author == Author.ASSISTANT]
        return found[-1]

    def questions(self, text: str) -> list[Message]:
        """Every question with exactly this text."""
        with Session(self._engine) as session:
            query = select(Message).where(Message.text == text, Message.author == Author.USER)
            return list(session.exec(query))

    def feedback(self, message_id: uuid.UUID) -> Feedback | None:
        """What its user said of an answer."""
        with Session(self._engine) as session:
            return session.get(Feedback, message_id)

    def set_role(self, who: str, role: Role) -> None:
        """Straight in the table, as nobody may do it from outside."""
        with Session(self._engine) as session:
            session.exec(select(User).where(User.username == who)).one().role = role
            session.commit()

    def end_sessions(self, who: str) -> None:
        """As when they run out: every login of `who`."""
        with Session(self._engine) as session:
            user_id = session.exec(select(User.id).where(User.username == who)).one()
            session.execute(
                sa.update(Login).where(col(Login.user_id) == user_id).values(expires_at=clock.now())
            )
            session.commit()

    def add_dialog(
        self,
        who: str,
        title: str,
        turns: Sequence[tuple[str, str]] = (("Q", "A"),),
        *,
        days_ago: int = 0,
        cached_at: datetime | None = None,
    ) -> uuid.UUID:
        """Put a finished dialog of pairs (question, answer) there. Returns its id.

        `cached_at`: the answers came from the cache, and were new then.
        """
        source = Source.MODEL if cached_at is None else Source.CACHE
        with Session(self._engine) as session:
            user = session.exec(select(User).where(User.username == who)).one()
            moment = clock.now() - timedelta(days=days_ago)
            dialog = Dialog(user_id=user.id, title=title, created_at=moment, updated_at=moment)
            rows: list[Message] = []
            for turn in turns:
                for author, text in zip((Author.USER, Author.ASSISTANT), turn, strict=True):
                    row = Message(
                        dialog_id=dialog.id,
                        user_id=user.id,
                        parent_id=rows[-1].id if rows else None,
                        depth=len(rows),
                        author=author,
                        text=text,
                        source=source if author == Author.ASSISTANT else None,
                        made_at=cached_at if author == Author.ASSISTANT else None,
                    )
                    rows.append(row)
            session.add(dialog)
            session.flush()
            session.execute(sa.insert(Message), [row.model_dump() for row in rows])
            dialog.leaf_id = rows[-1].id
            session.commit()
            return dialog.id

    def add_dialogs(self, who: str, titles: Sequence[str]) -> None:
        """Put dialogs without messages there, the newest first, a minute apart."""
        with Session(self._engine) as session:
            user = session.exec(select(User).where(User.username == who)).one()
            for number, title in enumerate(titles):
                moment = clock.now() - timedelta(minutes=number)
                session.add(
                    Dialog(user_id=user.id, title=title, created_at=moment, updated_at=moment)
                )
            session.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()


def _know_words(connection: Any, _: object) -> None:
    """What the triggers of an SQLite database call."""
    connection.create_function("stemmed", 1, stemmed, deterministic=True)
