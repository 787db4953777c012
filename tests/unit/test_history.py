"""A user's own dialogs: pages of the list, branches of a dialog, deletion."""

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import event
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import BadCursor, NotFound
from genai_app.models import Author, Dialog, Message, new_id
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.history import PAGE, History
from tests.unit.review_rows import SECRET
from tests.unit.talk import everything, put_dialog

pytest_plugins = ("tests.unit.talk_fixtures",)

DEEP_STATEMENTS = 8  # not one for each of 2,000 messages
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def history(db: Database) -> History:
    return History(db, Cursors(SECRET))


async def _put(db: Database, actor: Actor, moments: list[datetime]) -> list[uuid.UUID]:
    dialogs = [
        Dialog(user_id=actor.user_id, title=str(n), updated_at=moment)
        for n, moment in enumerate(moments)
    ]
    ids = [dialog.id for dialog in dialogs]
    async with db.write() as session:
        session.add_all(dialogs)
    return ids


async def _add(
    db: Database, actor: Actor, dialog_id: uuid.UUID, parent_id: uuid.UUID | None, depth: int
) -> uuid.UUID:
    """One more message below `parent_id`."""
    message = Message(
        dialog_id=dialog_id,
        user_id=actor.user_id,
        parent_id=parent_id,
        depth=depth,
        author=Author.ASSISTANT if depth % 2 else Author.USER,
        text="more",
    )
    message_id = message.id
    async with db.write() as session:
        session.add(message)
    return message_id


async def _walk(history: History, actor: Actor, limit: int) -> list[uuid.UUID]:
    found: list[uuid.UUID] = []
    cursor = None
    while True:
        page = await history.list_dialogs(actor, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += [dialog.id for dialog in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_pages(db: Database, history: History, as_alice: Actor, as_bob: Actor) -> None:
    """N7: all of one's own, newest first, each once, whatever the page; equal moments by id."""
    random_ = random.Random(1)
    moments = [NOON + timedelta(microseconds=random_.randrange(20)) for _ in range(60)]
    ids = await _put(db, as_alice, moments)
    await _put(db, as_bob, [NOON] * 3)
    order = [key for _, key in sorted(zip(moments, ids, strict=True), reverse=True)]

    for limit in (1, 7, 59, 60, 61):
        assert await _walk(history, as_alice, limit) == order
    page = await history.list_dialogs(as_alice)
    assert [dialog.id for dialog in page.items] == order[:PAGE]
    assert page.next_cursor is not None
    assert (await history.list_dialogs(as_alice, limit=60)).next_cursor is None


async def test_an_empty_list(history: History, as_alice: Actor) -> None:
    page = await history.list_dialogs(as_alice)
    assert (list(page.items), page.next_cursor) == ([], None)


async def test_new_dialogs_while_paging(db: Database, history: History, as_alice: Actor) -> None:
    """No gap and no double: what comes on top shifts nothing below the cursor."""
    old = await _put(db, as_alice, [NOON + timedelta(seconds=n) for n in range(30)])
    found: list[uuid.UUID] = []
    cursor = None
    for _ in range(6):
        page = await history.list_dialogs(as_alice, limit=5, cursor=cursor)
        found += [dialog.id for dialog in page.items]
        cursor = page.next_cursor
        await _put(db, as_alice, [NOON + timedelta(days=1)] * 3)
    assert found == old[::-1]
    assert cursor is None


async def test_cursor_of_somebody_else(
    db: Database, history: History, as_alice: Actor, as_bob: Actor
) -> None:
    """N7: it goes on with one's own list alone."""
    await _put(db, as_alice, [NOON] * 3)
    await _put(db, as_bob, [NOON - timedelta(days=1)])
    cursor = (await history.list_dialogs(as_alice, limit=1)).next_cursor
    assert (await history.list_dialogs(as_alice, cursor=cursor)).items
    with pytest.raises(BadCursor):
        await history.list_dialogs(as_bob, cursor=cursor)


ID = "019d0000-0000-7000-8000-000000000000"
NOT_GIVEN_OUT = [
    *("", "/", "x", "x/y", "/" * 1000, "\0", "\ud800", "' OR 1=1 --"),
    *(NOON.isoformat(), f"{NOON.isoformat()}/", f"/{ID}", f"{NOON.isoformat()}/{ID}/more"),
    *(f"2026-03-01/{ID}", f"2026-03-01T12:00:00/{ID}"),  # moments of no time zone
    *(f"0001-01-01T00:00:00+14:00/{ID}", f"9999-12-31T23:59:59-14:00/{ID}"),  # none in UTC
]


async def test_cursor_that_was_not_given_out(
    db: Database, history: History, as_alice: Actor
) -> None:
    """Whatever comes in an address is an answer of ours, never a bug."""
    await _put(db, as_alice, [NOON])
    outcomes: dict[str, str] = {}
    for cursor in NOT_GIVEN_OUT:
        try:
            await history.list_dialogs(as_alice, cursor=cursor)
        except Exception as error:
            outcomes[cursor] = str(error)[:100]
    assert outcomes == dict.fromkeys(NOT_GIVEN_OUT, "bad_cursor")


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Yields the statements that any engine runs meanwhile."""
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)


@pytest_asyncio.fixture
async def deep(db: Database, as_alice: Actor) -> list[uuid.UUID]:
    """A dialog of 2,000 messages: its id, then theirs."""
    return await put_dialog(db, as_alice, [f"message {n}" for n in range(2000)])


async def test_branch_of_a_deep_dialog(
    history: History, as_alice: Actor, deep: list[uuid.UUID]
) -> None:
    """Only what is asked for is read, from the end and from the middle."""
    dialog_id, *ids = deep
    with counted_statements() as statements:
        branch = await history.get_branch(as_alice, str(dialog_id))
    assert len(statements) <= DEEP_STATEMENTS
    assert [message.id for message in branch.messages] == ids[-PAGE:]
    assert branch.has_older
    for end in (1950, 1000, 51):
        branch = await history.get_branch(as_alice, dialog_id, above=str(ids[end]))
        assert [message.id for message in branch.messages] == ids[end - PAGE : end]
        assert branch.has_older

    for above, count in ((50, 50), (7, 7), (1, 1)):
        branch = await history.get_branch(as_alice, dialog_id, above=ids[above])
        assert [message.id for message in branch.messages] == ids[:count]
        assert not branch.has_older
    top = await history.get_branch(as_alice, dialog_id, above=ids[0])
    assert (list(top.messages), top.has_older) == ([], False)
    whole = await history.get_branch(as_alice, dialog_id, limit=3000)
    assert [message.id for message in whole.messages] == ids


async def test_the_middle_of_a_deep_dialog(
    history: History, as_alice: Actor, as_bob: Actor, deep: list[uuid.UUID]
) -> None:
    """Around a message and below one; again from one on; nothing to a stranger."""
    dialog_id, *ids = deep
    for middle, begin in ((1000, 976), (1990, 1950), (3, 0)):
        part = await history.get_part(as_alice, dialog_id, around=str(ids[middle]))
        shown = [message.id for message in part.messages]
        assert shown == ids[begin : begin + len(shown)]
        assert ids[middle] in shown
        assert part.has_older == (begin > 0)
    for above, count in ((1000, PAGE), (1998, 1), (0, PAGE)):
        part = await history.get_part(as_alice, dialog_id, below=ids[above])
        assert [message.id for message in part.messages] == ids[above + 1 : above + 1 + count]
    with pytest.raises(NotFound):
        await history.get_part(as_alice, dialog_id, below=ids[-1])
    with pytest.raises(NotFound):
        await history.get_part(as_bob, dialog_id, around=ids[1000])

    for count in (3, 120, 400):
        branch = await history.get_branch(as_alice, dialog_id, since=ids[-count])
        assert [message.id for message in branch.messages] == ids[-count:]
    for since in (ids[-401], uuid.uuid4()):
        branch = await history.get_branch(as_alice, dialog_id, since=since)
        assert [message.id for message in branch.messages] == ids[-PAGE:]


async def test_choosing_in_a_deep_dialog(
    db: Database, history: History, as_alice: Actor, deep: list[uuid.UUID]
) -> None:
    """The leaf of 2,000 messages is found in a few statements."""
    dialog_id, *ids = deep
    sibling = await _add(db, as_alice, dialog_id, ids[0], 1)
    assert await history.choose_branch(as_alice, sibling) == dialog_id
    assert (await history.get_branch(as_alice, dialog_id)).dialog.leaf_id == sibling
    with counted_statements() as statements:
        await history.choose_branch(as_alice, ids[1])
    assert len(statements) <= DEEP_STATEMENTS
    assert (await history.get_branch(as_alice, dialog_id)).dialog.leaf_id == ids[-1]


async def test_a_dialog_without_messages(db: Database, history: History, as_alice: Actor) -> None:
    (dialog_id,) = await put_dialog(db, as_alice, [])
    branch = await history.get_branch(as_alice, dialog_id)
    assert (list(branch.messages), branch.siblings, branch.has_older) == ([], {}, False)


async def test_siblings_and_choosing(db: Database, history: History, as_alice: Actor) -> None:
    """Answers to one question know each other; choosing one shows what was shown below it last."""
    dialog_id, question, first, second_question, shown = await put_dialog(
        db, as_alice, ["q", "a", "q2", "a2"]
    )
    newer = await _add(db, as_alice, dialog_id, second_question, 3)  # below `first`, the newest
    other = await _add(db, as_alice, dialog_id, question, 1)

    assert await history.choose_branch(as_alice, str(other)) == dialog_id
    branch = await history.get_branch(as_alice, dialog_id)
    assert [message.id for message in branch.messages] == [question, other]
    assert branch.siblings == {other: (first, other)}

    await history.choose_branch(as_alice, first)
    branch = await history.get_branch(as_alice, dialog_id)
    assert [message.id for message in branch.messages] == [question, first, second_question, shown]
    assert branch.siblings[first] == (first, other)
    assert branch.siblings[shown] == (shown, newer)


async def test_siblings_at_the_edge_of_a_page(
    db: Database, history: History, as_alice: Actor
) -> None:
    """Also of an answer whose question stands on the page before."""
    dialog_id, question, first, below, answer = await put_dialog(
        db, as_alice, ["q", "a", "q2", "a2"]
    )
    other = await _add(db, as_alice, dialog_id, question, 1)
    newer = await _add(db, as_alice, dialog_id, below, 3)
    await history.choose_branch(as_alice, answer)
    families = {first: (first, other), answer: (answer, newer)}

    for limit, shown in ((1, [answer]), (2, [answer]), (3, [first, answer]), (4, [first, answer])):
        branch = await history.get_branch(as_alice, dialog_id, limit=limit)
        assert branch.siblings == {key: families[key] for key in shown}


async def test_above_a_message_of_another_dialog(
    db: Database, history: History, as_alice: Actor
) -> None:
    """N5: two dialogs of one user are never mixed."""
    dialog_id, *_ = await put_dialog(db, as_alice, ["q", "a"])
    *_, elsewhere = await put_dialog(db, as_alice, ["q", "a"])
    with pytest.raises(NotFound):
        await history.get_branch(as_alice, dialog_id, above=elsewhere)


async def test_delete(db: Database, history: History, as_alice: Actor) -> None:
    """Out of the user's sight everywhere; the rows stay, for those who may review."""
    dialog_id, _, answer = await put_dialog(db, as_alice, ["q", "a"])
    (kept,) = await put_dialog(db, as_alice, [])
    await history.delete(as_alice, str(dialog_id))

    assert [d.id for d in (await history.list_dialogs(as_alice)).items] == [kept]
    for refused in (
        history.get_branch(as_alice, dialog_id),
        history.choose_branch(as_alice, answer),
        history.delete(as_alice, dialog_id),
    ):
        with pytest.raises(NotFound):
            await refused
    async with db.read() as session:
        assert await session.scalar(sa.select(sa.func.count(col(Message.id)))) == 2


async def test_strangers_find_nothing(
    db: Database, history: History, as_alice: Actor, as_bob: Actor
) -> None:
    """Hers and a random id are the same to him, and nothing of hers changes."""
    dialog_id, question, answer = await put_dialog(db, as_alice, ["q", "a"])
    own, *_ = await put_dialog(db, as_bob, ["q", "a"])
    before = await everything(db)

    for target, message in (
        (dialog_id, answer),
        (str(dialog_id), str(answer)),
        (new_id(), new_id()),
        ("", ""),
        ("x" * 10_000, "\ud800"),
        (None, {}),
    ):
        for refused in (
            history.get_branch(as_bob, target),
            history.get_branch(as_bob, own, above=message or question),
            history.choose_branch(as_bob, message),
            history.delete(as_bob, target),
        ):
            with pytest.raises(NotFound) as caught:
                await refused
            assert str(caught.value) == "not_found"
    assert await everything(db) == before
    assert [d.id for d in (await history.list_dialogs(as_bob)).items] == [own]
