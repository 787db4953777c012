"""Messages that hold given words, over everybody's dialogs, the newest first."""

import json
import uuid
from dataclasses import replace
from typing import cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from genai_app import stemming as words
from genai_app.db.statements import table_of
from genai_app.models import Message, MessageSearch, Review
from genai_app.services.review.listing import (
    Excerpt,
    ReviewPage,
    ReviewQuery,
    conditions,
    dialogs_of,
)

HITS = 4  # of one query, for each dialog of a page; a dialog may have many
MAX_QUERIES = 6
RARE_ROWS = 20_000  # as PostgreSQL guesses them
RARE_BEGUN = 2_000  # as a sample of the index has them
READ_CHARS = 24_000  # of a message, in which its excerpt is looked for
WINDOW = 4_000
BEFORE, LONG = 60, 240

_SEARCH, _MESSAGES, _REVIEWS = table_of(MessageSearch), table_of(Message), table_of(Review)
_WORDS = sa.table("message_words", sa.column("rowid"), sa.column("message_words"))  # FTS5

_GUESS = sa.text(
    "EXPLAIN (FORMAT JSON) SELECT 1 FROM message_search"
    " WHERE words @@ plainto_tsquery('russian', :asked)"
)
# by the index of the words, which gives a sample of a frequent one
_COUNTING = sa.text(
    "SELECT set_config('gin_fuzzy_search_limit', '5000', true),"
    " set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)"
)
_COUNT = sa.text(
    "SELECT count(*) FROM (SELECT 1 FROM message_search"
    " WHERE words @@ to_tsquery('russian', :asked) LIMIT :most) AS sampled"
)
_WITHOUT_BITMAPS = sa.text("SELECT set_config('enable_bitmapscan', 'off', true)")
_COUNTED = sa.text(
    "SELECT set_config('gin_fuzzy_search_limit', '0', true),"
    " set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'on', true)"
)


async def search_page(session: AsyncSession, asked: ReviewQuery, *, sqlite: bool) -> ReviewPage:
    """Dialogs by their newest hit. One with older hits may come again on a later page."""
    filters, names, limit = asked.filters, asked.names, asked.limit
    before: int | None = asked.after[0] if asked.after else None
    if not words.query_words(filters.query):
        return ReviewPage([], None)  # what is no word stands in no message
    of_dialogs, batch = conditions(filters, asked.actor_id), HITS * limit
    of_hits: list[sa.ColumnElement[bool]] = []
    if filters.user:  # the hits of one user are few: they have an index of their own
        of_hits.append(_SEARCH.c.user_id.in_(await names.find(session, filters.user)))
    newest: dict[uuid.UUID, uuid.UUID] = {}
    more = True
    rare = not sqlite and await _is_rare(session, filters.query)
    if not sqlite and not rare:  # to read the index for a word of everybody takes longest
        await session.execute(_WITHOUT_BITMAPS)
    for _ in range(MAX_QUERIES):
        query = _hits(filters.query, of_dialogs, sqlite=sqlite, rare=rare).where(*of_hits)
        if before is not None:
            query = query.where(_number(sqlite) < before)
        hits = (await session.execute(query.limit(batch))).all()
        for number, dialog_id, message_id in hits:
            if len(newest) == limit and dialog_id not in newest:
                return await _page(session, asked, newest, before)
            newest.setdefault(dialog_id, message_id)
            before = number
        more = len(hits) == batch
        if not more:
            break
    return await _page(session, asked, newest, before if more else None)


def _number(sqlite: bool) -> sa.ColumnElement[int]:
    return _WORDS.c.rowid if sqlite else _SEARCH.c.id


async def _is_rare(session: AsyncSession, query: str) -> bool:
    """Whether one of the words stands in few messages. PostgreSQL would look for it through all of
    them, the newest first, for it takes every word that is only begun for a frequent one."""
    *whole, begun = words.query_words(query)
    for word in whole:
        if await _guessed_rows(session, word) < RARE_ROWS:
            return True
    if await _guessed_rows(session, begun) >= RARE_ROWS:
        return False
    await session.execute(_COUNTING)
    asked = {"asked": words.postgresql_query(begun), "most": RARE_BEGUN}
    rows = await session.scalar(_COUNT, asked)
    await session.execute(_COUNTED)
    return (rows or 0) < RARE_BEGUN


async def _guessed_rows(session: AsyncSession, word: str) -> int:
    """How many messages have a whole word, by PostgreSQL's statistics."""
    # inlined: an EXPLAIN sees no value of a parameter
    asked = sa.bindparam("asked", word, sa.Text, literal_execute=True)
    told: object = await session.scalar(_GUESS.bindparams(asked))
    if isinstance(told, str):
        told = json.loads(told)
    return cast("list[dict[str, dict[str, int]]]", told)[0]["Plan"]["Plan Rows"]


def _hits(
    query: str, which: list[sa.ColumnElement[bool]], *, sqlite: bool, rare: bool
) -> sa.Select[int, uuid.UUID, uuid.UUID]:
    number = _number(sqlite)
    found = sa.select(number, _SEARCH.c.dialog_id, _SEARCH.c.message_id)
    if sqlite:
        found = found.select_from(_WORDS).join(_SEARCH, _SEARCH.c.id == _WORDS.c.rowid)
        found = found.where(_WORDS.c.message_words.op("MATCH")(words.sqlite_query(query)))
    else:
        asked = sa.func.to_tsquery(sa.text("'russian'"), words.postgresql_query(query))
        holds = _SEARCH.c.words.op("@@")(asked)
        if rare:  # all of them by the index of the words, whatever else is asked for
            of_words = (
                sa.select(_SEARCH.c.id).where(holds).cte("of_words").prefix_with("MATERIALIZED")
            )
            found = found.where(_SEARCH.c.id.in_(sa.select(of_words.c.id)))
        else:
            found = found.where(holds)
    if which:
        found = found.join(_REVIEWS, _REVIEWS.c.dialog_id == _SEARCH.c.dialog_id).where(*which)
    return found.order_by(number.desc())


async def _page(
    session: AsyncSession,
    asked: ReviewQuery,
    newest: dict[uuid.UUID, uuid.UUID],
    next_before: int | None,
) -> ReviewPage:
    if not newest:
        return ReviewPage([], None)
    query = asked.filters.query
    known = await dialogs_of(session, list(newest), asked.names)
    texts = sa.select(
        _MESSAGES.c.id, _MESSAGES.c.author, sa.func.substr(_MESSAGES.c.text, 1, READ_CHARS)
    ).where(_MESSAGES.c.id.in_(newest.values()))
    excerpts = {
        key: excerpt(key, author, text, query) for key, author, text in await session.execute(texts)
    }
    items = [
        replace(known[dialog_id], excerpt=excerpts.get(message_id))
        for dialog_id, message_id in newest.items()
        if dialog_id in known  # one whose first answer is still being written has no review
    ]
    return ReviewPage(items, None if next_before is None else asked.cursors.make(next_before))


def excerpt(message_id: uuid.UUID, author: str, text: str, query: str) -> Excerpt:
    """What stands around the first hit; the beginning, where the hit is not found by us."""
    first = 0
    for start in range(0, len(text), WINDOW):
        found = words.matches(text[start : start + WINDOW], query)
        if found:
            first = start + found[0][0]
            break
    begin = _word_begin(text, max(0, first - BEFORE), first)
    piece = " ".join(text[begin : begin + LONG].split())
    shown = ("…" if begin else "") + piece + ("…" if begin + LONG < len(text) else "")
    return Excerpt(message_id, author, shown, words.matches(shown, query))


def _word_begin(text: str, begin: int, first: int) -> int:
    """`begin`, or the word after it: an excerpt does not begin within one."""
    if begin == 0:
        return 0
    space = text.find(" ", begin, first)
    return begin if space < 0 else space + 1
