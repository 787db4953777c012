"""The search for words in the messages of all users, newest hits first."""

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

HITS = 4  # hits that one query reads for each dialog of a page; a dialog may have more
MAX_QUERIES = 6  # for one page
RARE_ROWS = 20_000  # messages with a word, by PostgreSQL's estimate
RARE_PREFIX_ROWS = 2_000  # messages with a prefix, in a sample of the index
READ_CHARS = 24_000  # the part of a message that is searched for its excerpt
WINDOW = 4_000  # characters that are searched at once
BEFORE, LONG = 60, 240  # characters of an excerpt before the hit, and in all

_SEARCH, _MESSAGES, _REVIEWS = table_of(MessageSearch), table_of(Message), table_of(Review)
_WORDS = sa.table("message_words", sa.column("rowid"), sa.column("message_words"))  # FTS5

_ESTIMATE = sa.text(
    "EXPLAIN (FORMAT JSON) SELECT 1 FROM message_search"
    " WHERE words @@ plainto_tsquery('russian', :asked)"
)
# lets the GIN index return a sample of a frequent word's rows
_SAMPLE_ON = sa.text(
    "SELECT set_config('gin_fuzzy_search_limit', '5000', true),"
    " set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true)"
)
_COUNT = sa.text(
    "SELECT count(*) FROM (SELECT 1 FROM message_search"
    " WHERE words @@ to_tsquery('russian', :asked) LIMIT :most) AS sampled"
)
_WITHOUT_BITMAPS = sa.text("SELECT set_config('enable_bitmapscan', 'off', true)")
_SAMPLE_OFF = sa.text(
    "SELECT set_config('gin_fuzzy_search_limit', '0', true),"
    " set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'on', true)"
)


async def search_page(session: AsyncSession, query: ReviewQuery, *, sqlite: bool) -> ReviewPage:
    """Returns a page of dialogs by their newest hit. A dialog with older hits may appear again on a
    later page."""
    filters, names, limit = query.filters, query.names, query.limit
    before: int | None = query.after[0] if query.after else None
    if not words.query_words(filters.query):
        return ReviewPage([], None)  # the query has no word to search for
    of_dialogs, batch = conditions(filters, query.actor_id), HITS * limit
    of_hits: list[sa.ColumnElement[bool]] = []
    if filters.user:  # an index covers the messages of one user
        of_hits.append(_SEARCH.c.user_id.in_(await names.find(session, filters.user)))
    newest: dict[uuid.UUID, uuid.UUID] = {}
    more = True
    rare = not sqlite and await _is_rare(session, filters.query)
    if not sqlite and not rare:  # reading the whole index entry of a frequent word is slow
        await session.execute(_WITHOUT_BITMAPS)
    for _ in range(MAX_QUERIES):
        select = _hits(filters.query, of_dialogs, sqlite=sqlite, rare=rare).where(*of_hits)
        if before is not None:
            select = select.where(_number(sqlite) < before)
        hits = (await session.execute(select.limit(batch))).all()
        for number, dialog_id, message_id in hits:
            if len(newest) == limit and dialog_id not in newest:
                return await _page(session, query, newest, before)
            newest.setdefault(dialog_id, message_id)
            before = number
        more = len(hits) == batch
        if not more:
            break
    return await _page(session, query, newest, before if more else None)


def _number(sqlite: bool) -> sa.ColumnElement[int]:
    """Returns the column that numbers messages in the order in which they were written."""
    return _WORDS.c.rowid if sqlite else _SEARCH.c.id


async def _is_rare(session: AsyncSession, query: str) -> bool:
    """Returns whether one of the words is in few messages. For a rare word PostgreSQL would scan
    all messages, newest first, because it estimates every prefix to be frequent. The last word is
    a prefix."""
    *whole, prefix = words.query_words(query)
    for word in whole:
        if await _estimated_rows(session, word) < RARE_ROWS:
            return True
    if await _estimated_rows(session, prefix) >= RARE_ROWS:
        return False
    await session.execute(_SAMPLE_ON)
    parameters = {"asked": words.postgresql_query(prefix), "most": RARE_PREFIX_ROWS}
    rows = await session.scalar(_COUNT, parameters)
    await session.execute(_SAMPLE_OFF)
    return (rows or 0) < RARE_PREFIX_ROWS


async def _estimated_rows(session: AsyncSession, word: str) -> int:
    """Returns PostgreSQL's estimate of the number of messages that contain a whole word."""
    # a literal: EXPLAIN does not see the value of a parameter
    literal = sa.bindparam("asked", word, sa.Text, literal_execute=True)
    plan: object = await session.scalar(_ESTIMATE.bindparams(literal))
    if isinstance(plan, str):
        plan = json.loads(plan)
    return cast("list[dict[str, dict[str, int]]]", plan)[0]["Plan"]["Plan Rows"]


def _hits(
    query: str, which: list[sa.ColumnElement[bool]], *, sqlite: bool, rare: bool
) -> sa.Select[int, uuid.UUID, uuid.UUID]:
    """Returns the query for (number, dialog id, message id) of hits, newest first."""
    number = _number(sqlite)
    select = sa.select(number, _SEARCH.c.dialog_id, _SEARCH.c.message_id)
    if sqlite:
        select = select.select_from(_WORDS).join(_SEARCH, _SEARCH.c.id == _WORDS.c.rowid)
        select = select.where(_WORDS.c.message_words.op("MATCH")(words.sqlite_query(query)))
    else:
        tsquery = sa.func.to_tsquery(sa.text("'russian'"), words.postgresql_query(query))
        matches = _SEARCH.c.words.op("@@")(tsquery)
        if rare:  # reads all hits by the index of words, before any other condition
            of_words = (
                sa.select(_SEARCH.c.id).where(matches).cte("of_words").prefix_with("MATERIALIZED")
            )
            select = select.where(_SEARCH.c.id.in_(sa.select(of_words.c.id)))
        else:
            select = select.where(matches)
    if which:
        select = select.join(_REVIEWS, _REVIEWS.c.dialog_id == _SEARCH.c.dialog_id).where(*which)
    return select.order_by(number.desc())


async def _page(
    session: AsyncSession,
    query: ReviewQuery,
    newest: dict[uuid.UUID, uuid.UUID],
    next_before: int | None,
) -> ReviewPage:
    """Returns the page of these hits. `newest`: a message id by dialog id. `next_before`: the
    number of the last hit, for the next page; None on the last page."""
    if not newest:
        return ReviewPage([], None)
    dialogs = await dialogs_of(session, list(newest), query.names)
    texts = sa.select(
        _MESSAGES.c.id, _MESSAGES.c.author, sa.func.substr(_MESSAGES.c.text, 1, READ_CHARS)
    ).where(_MESSAGES.c.id.in_(newest.values()))
    excerpts = {
        key: excerpt(key, author, text, query.filters.query)
        for key, author, text in await session.execute(texts)
    }
    items = [
        replace(dialogs[dialog_id], excerpt=excerpts.get(message_id))
        for dialog_id, message_id in newest.items()
        if dialog_id in dialogs  # a dialog has no review before its first answer has ended
    ]
    return ReviewPage(items, None if next_before is None else query.cursors.make(next_before))


def excerpt(message_id: uuid.UUID, author: str, text: str, query: str) -> Excerpt:
    """Returns the text around the first hit; the beginning of the message where only the database
    sees a hit."""
    first = 0
    for start in range(0, len(text), WINDOW):
        matches = words.matches(text[start : start + WINDOW], query)
        if matches:
            first = start + matches[0][0]
            break
    begin = _word_begin(text, max(0, first - BEFORE), first)
    piece = " ".join(text[begin : begin + LONG].split())
    shown = ("…" if begin else "") + piece + ("…" if begin + LONG < len(text) else "")
    return Excerpt(message_id, author, shown, words.matches(shown, query))


def _word_begin(text: str, begin: int, first: int) -> int:
    """Returns the start of the first whole word from `begin` on, so that an excerpt does not begin
    inside a word."""
    if begin == 0:
        return 0
    space = text.find(" ", begin, first)
    return begin if space < 0 else space + 1
