"""A user's search through their own dialogs, and that nobody finds what is not theirs."""

import uuid

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import BadCursor
from genai_app.models import Attachment, Author, Dialog, Message, MessageAttachment
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs import search as search_module
from genai_app.services.dialogs.history import History
from genai_app.services.dialogs.search import (
    MOST_FORMS,
    Piece,
    Search,
    excerpt,
    marked,
    matched_words,
)
from genai_app.stemming import other_layout
from tests.unit.review_rows import SECRET
from tests.unit.talk import put_dialog

pytest_plugins = ("tests.unit.talk_fixtures",)


@pytest.fixture
def search(db: Database) -> Search:
    return Search(db, Cursors(SECRET))


async def _put(db: Database, actor: Actor, title: str, *texts: str) -> uuid.UUID:
    dialog_id = (await put_dialog(db, actor, texts or ("q", "a")))[0]
    async with db.write() as session:
        await session.execute(
            sa.update(Dialog).where(col(Dialog.id) == dialog_id).values(title=title)
        )
    return dialog_id


async def _titles(search: Search, actor: Actor, query: str) -> list[str]:
    return [hit.dialog.title for hit in (await search.find(actor, query)).items]


async def test_by_title_and_by_words(db: Database, search: Search, as_alice: Actor) -> None:
    """In any form, ё as е; the last word may only be begun; all words in one message."""
    await _put(db, as_alice, "Отчёт", "Сколько дней отпуска?", "Двадцать восемь.")
    await _put(db, as_alice, "Отпуск в июле", "Когда лететь?", "Летом.")
    await _put(db, as_alice, "English", "How are backups restored?", "From the tape.")
    for query, expected in (
        ("отпуск", ["Отпуск в июле", "Отчёт"]),
        ("ОТПУСКОМ", ["Отчёт"]),
        ("отпус", ["Отпуск в июле", "Отчёт"]),
        ("сколько отпуск", ["Отчёт"]),
        ("дней восемь", []),
        ("отчет", []),  # a title is searched to the letter
        ("отчёт", ["Отчёт"]),
        ("restoring backup", ["English"]),
        ("backup resto", ["English"]),
        ("летом", ["Отпуск в июле"]),
        ("нигде", []),
    ):
        assert await _titles(search, as_alice, query) == expected, query


async def test_keys_of_the_other_layout(db: Database, search: Search, as_alice: Actor) -> None:
    """Only where the words as typed are nowhere; page after page."""
    for number in range(3):
        await _put(db, as_alice, f"Холодильник {number}", "Сколько стоит?", "Три привета.")
    await _put(db, as_alice, "Code", "What is git?", "A tool. vbh")
    for query, expected in (
        ("Ghbdtn", 3),
        ("[jkjlbkmybr", 3),
        ("пше", 1),
        ("vbh", 1),  # not «мир»
        ("ghbdtn vbh", 0),
    ):
        assert len(await _titles(search, as_alice, query)) == expected, query
    first = await search.find(as_alice, "ghbdtn", limit=2)
    assert [piece.text for piece in first.items[0].excerpt if piece.matched] == ["привета"]
    rest = await search.find(as_alice, "ghbdtn", limit=2, cursor=first.next_cursor)
    titles = [hit.dialog.title for page in (first, rest) for hit in page.items]
    assert titles == [f"Холодильник {number}" for number in (2, 1, 0)]


async def test_by_names_of_files(
    db: Database, search: Search, as_alice: Actor, as_bob: Actor
) -> None:
    """To the letter, whatever its case, also of a deleted file; it is shown where no word is."""
    plain, asked = await _put(db, as_alice, "Plain"), await _put(db, as_alice, "Суд", "Смета?", "a")
    theirs = await _put(db, as_bob, "Bob")
    names = {plain: "смета_100%.XLSX", asked: "Договор № 7.pdf", theirs: "Договор.pdf"}
    async with db.write() as session:
        for dialog_id, name in names.items():
            owner = as_bob if dialog_id == theirs else as_alice
            file = Attachment(user_id=owner.user_id, name=name, sha256=b"0" * 32)
            file.deleted_at = clock.now()
            question = (await _questions(session, dialog_id)).one()
            session.add(file)
            await session.flush()
            session.add(MessageAttachment(message_id=question, attachment_id=file.id))
    for query, expected in (
        ("договор", ["Суд"]),
        ("ДОГОВОР № 7", ["Суд"]),
        ("ljujdjh", ["Суд"]),  # the other layout
        (".xlsx", ["Plain"]),
        ("а_1", ["Plain"]),
        ("смета", ["Суд", "Plain"]),
        ("сметы", ["Суд"]),
        ("договоры", []),
        ("pdfx", []),
    ):
        assert await _titles(search, as_alice, query) == expected, query
    hits = (await search.find(as_alice, "смета")).items
    shown = ["".join(piece.text for piece in hit.excerpt) for hit in hits]
    assert shown == ["Смета?", "смета_100%.XLSX"]
    async with db.read() as session:
        assert hits[1].message_id == (await _questions(session, plain)).one()


async def _questions(session: AsyncSession, dialog_id: uuid.UUID) -> sa.ScalarResult[uuid.UUID]:
    is_asked = (col(Message.dialog_id) == dialog_id, col(Message.author) == Author.USER)
    return await session.scalars(sa.select(col(Message.id)).where(*is_asked))


def test_each_layout_is_the_other_ones_other() -> None:
    for text in ("привет мир", "съешь ещё этих булок", "hello world", "3 дня"):
        assert other_layout(other_layout(text)) == text
    assert other_layout("123 ---") == "123 ---"
    assert other_layout("()") == ""


@pytest.mark.parametrize(
    "query",
    [
        *("' OR 1=1 --", "%", "_", "\\", "%%", "a_b", "100%", "\"'", "*", "NEAR(", "AND", "OR"),
        *(
            "x' & !y | z:*",
            "-отпуск",
            "^",
            "\x00",
            "\ud800",
            "(",
            ":",
            "words:x",
            "{a b} : c",
            "ы:*",
        ),
        "x" * 100_000,
        " ".join(["слово"] * 500),
    ],
)
async def test_any_text_is_only_text(
    query: str, db: Database, search: Search, as_alice: Actor
) -> None:
    """Never an error, and no sign means more than itself."""
    await _put(db, as_alice, "обычный", "обычный вопрос", "обычный ответ")
    assert await _titles(search, as_alice, query) == []
    literal = query[:200].replace("\x00", "\ufffd").replace("\ud800", "\ufffd").strip()
    await _put(db, as_alice, f"до {literal} после")
    assert len(await _titles(search, as_alice, query)) == 1


async def test_nobody_finds_what_is_not_theirs(
    db: Database, search: Search, as_alice: Actor, as_bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N7: by title, by words, by either way through the words; deleted dialogs neither."""
    await _put(db, as_alice, "тайна", "канарейка поёт", "ответ")
    gone = await _put(db, as_bob, "тайна", "канарейка", "ответ")
    await History(db, Cursors(SECRET)).delete(as_bob, gone)
    own = await _put(db, as_bob, "своё", "канарейка", "ответ")
    for enough in (search_module.ENOUGH, 1):
        monkeypatch.setattr(search_module, "ENOUGH", enough)
        page = await search.find(as_bob, "канарейка")
        assert [hit.dialog.id for hit in page.items] == [own]
        assert (await search.find(as_bob, "тайна")).items == []
        assert (await search.find(as_bob, "поёт")).items == []
    theirs = (await search.find(as_alice, "канарейка", limit=1)).items[0].dialog.id
    assert theirs not in (own, gone)


@pytest.mark.parametrize("enough", [2_000, 3])
async def test_page_by_page(
    enough: int,
    db: Database,
    search: Search,
    as_alice: Actor,
    as_bob: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Newest first, each once, whether the words are rare or frequent."""
    monkeypatch.setattr(search_module, "ENOUGH", enough)
    ids = [await _put(db, as_alice, f"{n}", "частое слово", "частый ответ") for n in range(7)]
    await _put(db, as_alice, "другой", "редкое", "ответ")
    found: list[uuid.UUID] = []
    cursor = None
    while True:
        page = await search.find(as_alice, "частое", limit=3, cursor=cursor)
        found += [hit.dialog.id for hit in page.items]
        if (cursor := page.next_cursor) is None:
            break
        with pytest.raises(BadCursor):
            await search.find(as_bob, "частое", cursor=cursor)
    assert found == ids[::-1]
    with pytest.raises(BadCursor):
        await search.find(as_alice, "частое", cursor="x")


async def test_what_is_shown_of_it(db: Database, search: Search, as_alice: Actor) -> None:
    """The latest message that has the words, its line around them, and where they are."""
    long = "начало " * 40 + "И вот **отпуск**\nв июле. " + "конец " * 40
    await _put(db, as_alice, "Мой отпуск", "отпуск", long)
    (hit,) = (await search.find(as_alice, "отпуска")).items
    assert hit.title == [Piece("Мой "), Piece("отпуск", matched=True)]
    assert [piece.text for piece in hit.excerpt if piece.matched] == ["отпуск"]
    line = "".join(piece.text for piece in hit.excerpt)
    assert "И вот отпуск в июле." in line
    assert line.startswith("…начало ")
    assert line.endswith("…")
    assert len(line) < 200
    await _put(db, as_alice, "Только название")
    (hit,) = (await search.find(as_alice, "только наз")).items
    assert hit.excerpt == []


def test_marking_keeps_every_letter() -> None:
    for text, query in (("", "x"), ("ёлка и Ёлки", "елка"), ("x", ""), ("aa aa", "a")):
        assert "".join(piece.text for piece in marked(text, query)) == text
    assert excerpt("", "x") == []
    assert excerpt("коротко", "коротко") == [Piece("коротко", matched=True)]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Срок — **пять лет** по `закону`.", "Срок — пять лет по закону."),
        ("# Отпуск\n\n```sql\nSELECT лет\n```\n---\nвсё", "Отпуск SELECT лет всё"),
        ("См. [приказ](https://x.example/1) и ![схему](a.png)", "См. приказ и схему"),
        ("| лет | дней |\n|---|:-:|\n| 5 | 28 |", "| лет | дней | | 5 | 28 |"),
        ("2 * 3 ** 4 и snake_case_name", "2 * 3 ** 4 и snake_case_name"),
    ],
)
def test_an_excerpt_has_no_marks(text: str, line: str) -> None:
    assert "".join(piece.text for piece in excerpt(text, "лет")) == line


async def test_the_words_to_mark_are_those_of_the_text(
    db: Database, search: Search, as_alice: Actor
) -> None:
    """Each form once, as it is written there; the query is the one that found them."""
    text = "Яблоню, яблони, ЯБЛОНИ и яблони сажают осенью; яблочко нет."
    await _put(db, as_alice, "Сад", "Когда?", text)
    page = await search.find(as_alice, "z,kjyz jctym.")
    assert page.query == "яблоня осенью"
    assert matched_words(text, page.query) == ["Яблоню", "яблони", "ЯБЛОНИ", "осенью"]
    assert matched_words(text, "<b> !") == []
    assert len(matched_words(" ".join(f"слово{n}" for n in range(99)), "слово")) == MOST_FORMS
