"""Finding a user's own dialogs, by their titles, by the words in their messages and by the names of
their files."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import (
    Attachment,
    Author,
    Dialog,
    Message,
    MessageAttachment,
    MessageSearch,
)
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.sections import began_by, is_archived
from genai_app.stemming import (
    MAX_QUERY_CHARS,
    matches,
    other_layout,
    postgresql_query,
    sqlite_query,
)
from genai_app.text import clean_text

PAGE = 30
ENOUGH = 2_000  # messages that hold the words; with more the dialogs are looked through instead
MOST_FILES = 2_000  # of one name that are looked at, the newest
EXCERPT_CHARS = 160
BEFORE_CHARS = 50
MOST_FORMS = 50
READ_CHARS = 20_000  # of a message, to find where in it the words are
ESCAPE = "\\"
# marks of Markdown that an excerpt leaves out; each looks ahead no further than a line or so
_MARKS = (
    (re.compile(r"^ {0,3}(?:`{3,}|~{3,})[^\n]{0,100}$", re.MULTILINE), ""),
    (re.compile(r"^ {0,3}#{1,6} +", re.MULTILINE), ""),
    (re.compile(r"^[ |:-]{3,200}$", re.MULTILINE), ""),  # a rule, or the second row of a table
    (re.compile(r"(\*\*|__)(?=\S)([^*_\n]{1,300})(?<=\S)\1"), r"\2"),
    (re.compile(r"(`+)(?!`)([^`\n]{1,300})\1(?!`)"), r"\2"),
    (re.compile(r"!?\[([^\[\]\n]{1,200})\]\([^()\s]{1,500}\)"), r"\1"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text; `matched`: it is one of the words."""

    text: str
    matched: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A dialog, and the latest words of the query in it, or else the name of its latest file with
    them; none where only the title has them. `message_id`: where they are."""

    dialog: Dialog
    title: Sequence[Piece]
    excerpt: Sequence[Piece]
    message_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class HitPage:
    """Dialogs, newest first; `next_cursor` asks for the page after this one. `query`: the one that
    found them, perhaps on the other keyboard layout."""

    items: Sequence[Hit]
    next_cursor: str | None
    query: str


class Search:
    """Looks through the dialogs of one user. Deleted ones, and those of others, are left out."""

    def __init__(self, db: Database, cursors: Cursors) -> None:
        self._db = db
        self._cursors = cursors

    async def find(
        self,
        actor: Actor,
        query: str,
        *,
        limit: int = PAGE,
        cursor: str | None = None,
        key_id: uuid.UUID | None = None,
        own: bool = False,
        archived: bool | None = None,
    ) -> HitPage:
        """Returns dialogs whose title, or the name of a file in them, holds `query` to the letter,
        whatever its case, or that have a message with all of its words in any form, the last one
        perhaps only begun. Where there is none, those for the same keys on the other keyboard
        layout. `key_id`, `own`: see History.list_dialogs. `archived`: only archived dialogs, or
        only others; None: both.

        Raises BadCursor.
        """
        query = clean_text(query).strip()[:MAX_QUERY_CHARS]
        cursors = self._cursors.of(
            "dialogs found", actor, query=query, key=key_id, own=own, archived=archived
        )
        statement = (
            sa.select(Dialog)
            .where(col(Dialog.user_id) == actor.user_id, col(Dialog.deleted_at).is_(None))
            .where(*began_by(key_id, own=own), *is_archived(archived))
            .order_by(col(Dialog.updated_at).desc(), col(Dialog.id).desc())
            .limit(limit + 1)
        )
        is_other = 0
        if cursor is not None:
            updated_at, last_id, is_other = cursors.read(cursor, datetime, uuid.UUID, int)
            statement = statement.where(
                sa.tuple_(col(Dialog.updated_at), col(Dialog.id)) < sa.tuple_(updated_at, last_id)
            )
        hits = await self._hits(actor, other_layout(query) if is_other else query, statement)
        if not hits and cursor is None and (other := other_layout(query)):
            is_other = 1
            hits = await self._hits(actor, other, statement)
        typed = other_layout(query) if is_other else query
        if len(hits) <= limit:
            return HitPage(hits, None, typed)
        last = hits[limit - 1].dialog
        return HitPage(hits[:limit], cursors.make(last.updated_at, last.id, is_other), typed)

    async def _hits(self, actor: Actor, query: str, statement: sa.Select[Dialog]) -> list[Hit]:
        """Returns the dialogs of `statement` that have the words of `query`, with their texts."""
        words = self._words(query)
        titled = col(Dialog.title).ilike(_holding(query), escape=ESCAPE)
        async with self._db.read(planned_anew=True) as session:
            worded = sa.false() if words is None else await self._has_words(session, actor, words)
            named = await _names(session, actor, query)
            filed = col(Dialog.id).in_(named)
            dialogs = list(await session.scalars(statement.where(sa.or_(titled, worded, filed))))
            texts = named if words is None else named | await _texts(session, dialogs, words)
        return [
            Hit(each, marked(each.title, query), excerpt(text, query), message_id)
            for each in dialogs
            for message_id, text in (texts.get(each.id, (None, "")),)
        ]

    def _words(self, query: str) -> sa.ColumnElement[bool] | None:
        """Returns the condition that a MessageSearch holds the words. None where `query` has
        none."""
        if not self._db.is_sqlite:
            text = postgresql_query(query)
            looked_for = sa.func.to_tsquery(sa.literal_column("'russian'::regconfig"), text)
            return col(MessageSearch.words).bool_op("@@")(looked_for) if text else None
        if not (text := sqlite_query(query)):
            return None
        index: Any = sa.table("message_words", sa.column("rowid"), sa.column("message_words"))
        matching = sa.select(index.c.rowid).where(index.c.message_words.op("MATCH")(text))
        return col(MessageSearch.id).in_(matching)

    async def _has_words(
        self, session: AsyncSession, actor: Actor, words: sa.ColumnElement[bool]
    ) -> sa.ColumnElement[bool]:
        """Returns the condition that a dialog has the words in it. Rare words name their dialogs;
        of frequent ones each dialog is asked in turn, newest first, which soon fills a page."""
        holders = await session.scalars(
            sa.select(col(MessageSearch.dialog_id))
            .where(col(MessageSearch.user_id) == actor.user_id, words)
            .limit(ENOUGH)
        )
        dialogs = list(holders)
        if len(dialogs) < ENOUGH:
            return col(Dialog.id).in_(set(dialogs))
        return sa.exists().where(col(MessageSearch.dialog_id) == col(Dialog.id), words)


async def _names(
    session: AsyncSession, actor: Actor, query: str
) -> dict[uuid.UUID, tuple[uuid.UUID, str]]:
    """Returns, by dialog, a question with a file whose name holds `query`, and the name: of the
    newest such file."""
    rows = await session.execute(
        sa.select(col(Message.dialog_id), col(Message.id), col(Attachment.name))
        .join(MessageAttachment, col(MessageAttachment.message_id) == col(Message.id))
        .join(Attachment, col(Attachment.id) == col(MessageAttachment.attachment_id))
        .where(
            col(Attachment.user_id) == actor.user_id,
            col(Attachment.name).ilike(_holding(query), escape=ESCAPE),
        )
        .order_by(col(Attachment.id).desc())
        .limit(MOST_FILES)
    )
    named: dict[uuid.UUID, tuple[uuid.UUID, str]] = {}
    for dialog_id, message_id, name in rows:
        named.setdefault(dialog_id, (message_id, name))
    return named


async def _texts(
    session: AsyncSession, dialogs: Sequence[Dialog], words: sa.ColumnElement[bool]
) -> dict[uuid.UUID, tuple[uuid.UUID, str]]:
    """Returns the latest message of each dialog that holds the words: its id and text."""
    latest = (
        sa.select(sa.func.max(col(MessageSearch.id)))
        .where(col(MessageSearch.dialog_id).in_([each.id for each in dialogs]), words)
        .group_by(col(MessageSearch.dialog_id))
    )
    rows = await session.execute(
        sa.select(
            col(Message.dialog_id), col(Message.id), sa.func.substr(Message.text, 1, READ_CHARS)
        )
        .join(MessageSearch, col(MessageSearch.message_id) == col(Message.id))
        .where(col(MessageSearch.id).in_(latest), col(Message.author) != Author.SYSTEM)
    )
    return {dialog_id: (message_id, text) for dialog_id, message_id, text in rows}


def matched_words(text: str, query: str) -> list[str]:
    """Returns the words of `text` that `query` looks for, each in every form that occurs, at most
    MOST_FORMS."""
    forms = dict.fromkeys(text[start:end] for start, end in matches(text[:READ_CHARS], query))
    return list(forms)[:MOST_FORMS]


def marked(text: str, query: str) -> list[Piece]:
    """Returns `text` in pieces: the words of the query, and the text between them."""
    pieces: list[Piece] = []
    done = 0
    for start, end in matches(text, query):
        if start > done:
            pieces.append(Piece(text[done:start]))
        pieces.append(Piece(text[start:end], matched=True))
        done = end
    return [*pieces, Piece(text[done:])] if done < len(text) else pieces


def excerpt(text: str, query: str) -> list[Piece]:
    """Returns a line of `text` around the first of the words, without the marks of Markdown."""
    line = " ".join(_without_marks(text).split())
    spans = matches(line, query)
    start = max(spans[0][0] - BEFORE_CHARS, 0) if spans else 0
    if start:  # from the beginning of a word on
        start = line.find(" ", start, spans[0][0]) + 1 or start
    cut = line[start : start + EXCERPT_CHARS]
    if start:
        cut = "…" + cut
    if start + EXCERPT_CHARS < len(line):
        cut += "…"
    return marked(cut, query)


def _without_marks(text: str) -> str:
    """Returns Markdown as one reads it in a line: no headings, fences, emphasis or addresses."""
    for mark, kept in _MARKS:
        text = mark.sub(kept, text)
    return text


def _holding(text: str) -> str:
    """Returns the LIKE pattern of what holds `text`."""
    return f"%{_literal(text)}%"


def _literal(text: str) -> str:
    """Returns `text` escaped for a LIKE pattern, so that it matches itself alone."""
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return text
