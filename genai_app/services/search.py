"""Finding a user's own dialogs, by their titles and by the words that were said in them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db import Database
from genai_app.models import Author, Dialog, Message, MessageSearch
from genai_app.services.cursors import make_cursor, parse_cursor
from genai_app.text import clean_text
from genai_app.words import MAX_QUERY_CHARS, matches, postgresql_query, sqlite_query

PAGE = 30
ENOUGH = 2_000  # messages that hold the words; with more the dialogs are looked through instead
EXCERPT_CHARS = 160
BEFORE_CHARS = 50
READ_CHARS = 20_000  # of a message, to find where in it the words are
ESCAPE = "\\"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `found`: it is one of the words."""

    text: str
    found: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A dialog, and the latest words in it that were looked for; none where only the title has
    them."""

    dialog: Dialog
    title: Sequence[Piece]
    excerpt: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class HitPage:
    """Dialogs, newest first; `next_cursor` asks for the page after this one."""

    items: Sequence[Hit]
    next_cursor: str | None


class Search:
    """Looks through the dialogs of one user. Deleted ones, and anybody else's, are not there."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(
        self, actor: Actor, query: str, *, limit: int = PAGE, cursor: str | None = None
    ) -> HitPage:
        """Dialogs whose title holds `query` to the letter, whatever its case, or that have a
        message with all of its words in any form, the last one perhaps only begun.

        Raises InvalidInput for a cursor that was not given out.
        """
        query = clean_text(query).strip()[:MAX_QUERY_CHARS]
        words = self._words(query)
        rows = (
            sa.select(Dialog)
            .where(col(Dialog.user_id) == actor.user_id, col(Dialog.deleted_at).is_(None))
            .order_by(col(Dialog.updated_at).desc(), col(Dialog.id).desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            rows = rows.where(
                sa.tuple_(col(Dialog.updated_at), col(Dialog.id)) < sa.tuple_(*parse_cursor(cursor))
            )
        titled = col(Dialog.title).ilike(f"%{_literal(query)}%", escape=ESCAPE)
        async with self._db.read(planned_anew=True) as session:
            said = sa.false() if words is None else await self._said(session, actor, words)
            found = list(await session.scalars(rows.where(sa.or_(titled, said))))
            items = found[:limit]
            texts = {} if words is None else await _texts(session, items, words)
        hits = [
            Hit(each, marked(each.title, query), excerpt(texts.get(each.id, ""), query))
            for each in items
        ]
        more = make_cursor(items[-1].updated_at, items[-1].id) if len(found) > limit else None
        return HitPage(hits, more)

    def _words(self, query: str) -> sa.ColumnElement[bool] | None:
        """Of MessageSearch: it holds the words. None where `query` has none."""
        if not self._db.is_sqlite:
            text = postgresql_query(query)
            looked_for = sa.func.to_tsquery(sa.literal_column("'russian'::regconfig"), text)
            return col(MessageSearch.words).bool_op("@@")(looked_for) if text else None
        if not (text := sqlite_query(query)):
            return None
        index: Any = sa.table("message_words", sa.column("rowid"), sa.column("message_words"))
        matching = sa.select(index.c.rowid).where(index.c.message_words.op("MATCH")(text))
        return col(MessageSearch.id).in_(matching)

    async def _said(
        self, session: AsyncSession, actor: Actor, words: sa.ColumnElement[bool]
    ) -> sa.ColumnElement[bool]:
        """Of a dialog: the words were said in it. Rare words name their dialogs; of frequent ones
        each dialog is asked in turn, newest first, which soon fills a page."""
        holders = await session.scalars(
            sa.select(col(MessageSearch.dialog_id))
            .where(col(MessageSearch.user_id) == actor.user_id, words)
            .limit(ENOUGH)
        )
        dialogs = list(holders)
        if len(dialogs) < ENOUGH:
            return col(Dialog.id).in_(set(dialogs))
        return sa.exists().where(col(MessageSearch.dialog_id) == col(Dialog.id), words)


async def _texts(
    session: AsyncSession, dialogs: Sequence[Dialog], words: sa.ColumnElement[bool]
) -> dict[uuid.UUID, str]:
    """The latest message of each dialog that holds the words."""
    latest = (
        sa.select(sa.func.max(col(MessageSearch.id)))
        .where(col(MessageSearch.dialog_id).in_([each.id for each in dialogs]), words)
        .group_by(col(MessageSearch.dialog_id))
    )
    rows = await session.execute(
        sa.select(col(Message.dialog_id), sa.func.substr(Message.text, 1, READ_CHARS))
        .join(MessageSearch, col(MessageSearch.message_id) == col(Message.id))
        .where(col(MessageSearch.id).in_(latest), col(Message.author) != Author.SYSTEM)
    )
    return {dialog_id: text for dialog_id, text in rows}


def marked(text: str, query: str) -> list[Piece]:
    """`text` in pieces: what stands between the words that were looked for, and they."""
    pieces: list[Piece] = []
    done = 0
    for start, end in matches(text, query):
        if start > done:
            pieces.append(Piece(text[done:start]))
        pieces.append(Piece(text[start:end], found=True))
        done = end
    return [*pieces, Piece(text[done:])] if done < len(text) else pieces


def excerpt(text: str, query: str) -> list[Piece]:
    """A line of `text` around the first of the words."""
    line = " ".join(text.split())
    found = matches(line, query)
    start = max(found[0][0] - BEFORE_CHARS, 0) if found else 0
    if start:  # from the beginning of a word on
        start = line.find(" ", start, found[0][0]) + 1 or start
    cut = line[start : start + EXCERPT_CHARS]
    if start:
        cut = "…" + cut
    if start + EXCERPT_CHARS < len(line):
        cut += "…"
    return marked(cut, query)


def _literal(text: str) -> str:
    """`text` for a LIKE pattern, in which it stands for itself alone."""
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return text
