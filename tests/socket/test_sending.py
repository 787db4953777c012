"""From the composer to the tables: N1, N4, N6."""

import asyncio
import uuid
from contextlib import suppress
from typing import Any

import pytest

from genai_app.db.database import Database
from genai_app.models import MAX_PROMPT_CHARS
from genai_app.text import clean_text
from tests import corpora
from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say, Status
from tests.fakes.page_client import PageClient
from tests.fakes.questions import asked, question
from tests.fakes.rows import count_messages, list_questions, message_row, put_history

STALL_S = 0.1


def waiting(page: PageClient) -> list[dict[str, Any]]:
    """The cards of the questions that wait."""
    return page.view("queued_state").get("questions", [])


@pytest.mark.parametrize(
    ("sent", "claimed", "over_by"),
    [
        (MAX_PROMPT_CHARS + 1, MAX_PROMPT_CHARS + 1, 1),
        (MAX_PROMPT_CHARS + 1, MAX_PROMPT_CHARS + 4_711, 4_711),
        (MAX_PROMPT_CHARS + 7, 5, 7),
        (5, MAX_PROMPT_CHARS + 7, 7),
        (200_000, 200_000, 200_000 - MAX_PROMPT_CHARS),
    ],
)
async def test_a_text_too_long_is_refused_by_how_much(
    sent: int, claimed: int, over_by: int, open_page: OpenPage, app_db: Database
) -> None:
    """N6. The page says by how many characters; nothing is stored, the composer keeps it."""
    page = await open_page("alice")
    before = await count_messages(app_db)
    send_id = str(uuid.uuid4())
    await page.send_event(
        "conversation_state.send", text="x" * sent, length=claimed, send_id=send_id
    )
    await page.wait_for(lambda: page.error_code)
    assert page.error_code == "prompt_too_long"
    assert page.view("chat_state")["over_by"] == over_by
    assert await count_messages(app_db) == before
    assert page.committed == 0
    await page.ask(question("tokens=3"))  # shortened, under the same socket
    assert page.error_code == ""
    assert page.committed == 1


async def test_the_longest_text_is_taken(open_page: OpenPage, app_db: Database) -> None:
    """Exactly the limit, in three-byte characters, is one whole row."""
    page = await open_page("alice")
    text = question("tokens=1")
    text = "長" * (MAX_PROMPT_CHARS - len(text) - 1) + f" {text}"
    await page.ask(text)
    assert len(await list_questions(app_db, text)) == 1


async def test_a_frame_over_the_socket_cap_costs_only_the_frame(
    open_page: OpenPage, app_db: Database
) -> None:
    """A raw 3 MB event: the socket may close; the page that comes back is whole."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    shown, before = page.messages(), await count_messages(app_db)
    with suppress(ConnectionError):  # the server may close while the frame is still on its way
        await page.send("y" * 3_000_000)
    await page.wait_closed()
    await page.open(page.path)
    assert page.messages() == shown
    assert await count_messages(app_db) == before
    await page.ask(question("tokens=3"))


@pytest.mark.parametrize("text", ["", "  ", "\n\t\u2028", "\u3000"])
async def test_an_empty_question_is_nothing(
    text: str, open_page: OpenPage, app_db: Database
) -> None:
    """N6. White space is no question and no error."""
    page = await open_page("alice")
    before = await count_messages(app_db)
    await page.send(text)
    await page.round_trip()
    assert (page.error_code, page.messages(), page.committed) == ("", [], 0)
    assert await count_messages(app_db) == before


async def test_the_same_send_again_is_the_same_message(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """N4. The echo was lost, the page sends again, later and after a reload: one of each."""
    page = await open_page("alice")
    text, send_id = question(), str(uuid.uuid4())
    await page.send(text, send_id=send_id)
    await page.send(text, send_id=send_id)
    await page.wait_for(lambda: page.messages() and not page.running)
    dialog = page.dialog_id
    await page.open("/")
    await page.send(text, send_id=send_id)
    await page.wait_for(lambda: page.messages() and not page.running)
    assert page.dialog_id == dialog
    assert len(page.messages()) == 2
    assert len(await list_questions(app_db, text)) == 1
    assert len(asked(model, text)) == 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_the_same_send_at_the_same_time_is_one_message(
    kind: str, open_page: OpenPage, start_app: StartApp, model: ModelServer
) -> None:
    """N4. Six tabs send one id at once: one message and one model call, on both databases."""
    app = start_app(kind)
    pages = [await open_page("alice", at=app) for _ in range(6)]
    text, send_id = question(), str(uuid.uuid4())
    await asyncio.gather(*(page.send(text, send_id=send_id) for page in pages))
    for page in pages:
        await page.wait_for(lambda page=page: page.messages() and not page.running)
    assert len({page.dialog_id for page in pages}) == 1
    assert len({page.messages()[-1]["id"] for page in pages}) == 1
    assert len(asked(model, text)) == 1
    db = Database(app.database_url)
    assert len(await list_questions(db, text)) == 1
    await db.close()
    assert [page.error_code for page in pages] == [""] * 6


async def test_another_text_under_the_same_id_is_another_message(
    open_page: OpenPage, app_db: Database
) -> None:
    """N4, N6. The first did arrive, the user changed the text meanwhile: both are there."""
    page = await open_page("alice")
    first, second, send_id = question(), question(), str(uuid.uuid4())
    await page.send(first, send_id=send_id)
    await page.wait_for(lambda: page.messages() and not page.running)
    await page.send(second, send_id=send_id)
    await page.wait_for(lambda: len(page.messages()) == 4 and not page.running)
    assert [row["text"] for row in page.messages()][::2] == [first, second]
    assert page.error_code == ""
    assert len(await list_questions(app_db, second)) == 1


@pytest.mark.parametrize("send_id", ["", "x", "1" * 36, "6a0c2c5e-6a9a-4f3c-8f0e-2b9f6b0a7d110"])
async def test_a_send_without_an_id_is_refused(
    send_id: str, open_page: OpenPage, app_db: Database
) -> None:
    """N4. Without an id a repeat could not be told: nothing is stored, the page says so."""
    page = await open_page("alice")
    before = await count_messages(app_db)
    await page.send_event("conversation_state.send", text="hello", length=5, send_id=send_id)
    await page.wait_for(lambda: page.error_code == "invalid_input")
    assert await count_messages(app_db) == before


async def test_a_second_question_waits_for_the_first_answer(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """N1, N4, N6. While an answer runs, another question in that dialog is queued: the composer is
    cleared once it is kept, and a repeat of the send is the same question."""
    page = await open_page("alice")
    hold = uuid.uuid4().hex
    model.script_once(Say(("one ",)), Hold(hold), End())
    await page.begin(question())
    text, send_id = question("tokens=3"), str(uuid.uuid4())
    for _ in range(2):
        await page.send(text, send_id=send_id)
    await page.wait_for(lambda: page.committed == 3)
    assert [row["text"] for row in waiting(page)] == [text]
    assert await list_questions(app_db, text) == []
    model.release(hold)
    await page.wait_for(lambda: len(page.messages()) == 4 and not page.running)
    assert [row["text"] for row in page.messages()][2] == text
    assert [row["status"] for row in page.messages()][1::2] == ["complete", "complete"]
    assert waiting(page) == []
    assert page.error_code == ""
    await page.send(text, send_id=send_id)
    await page.round_trip()
    assert len(await list_questions(app_db, text)) == 1
    assert len(asked(model, text)) == 1


ODD: list[object] = [None, 0, True, 10**400, "", "x" * 100_000, [], {}, {"$ne": None}, "\ud800"]


async def test_what_waits_is_changed_by_nobody_else(
    open_page: OpenPage, model: ModelServer
) -> None:
    """N7. Another user's question is not found; odd arguments change nothing."""
    page, other = await open_page("alice"), await open_page("bob")
    hold = uuid.uuid4().hex
    model.script_once(Hold(hold), Say(), End())
    await page.begin(question())
    await page.send("it waits")
    await page.wait_for(lambda: waiting(page))
    (card,) = waiting(page)
    for name in ("begin_edit", "save", "delete", "send_now"):
        more = {"text": "bob was here"} if name == "save" else {}
        for question_id in (card["id"], str(uuid.uuid4())):
            await other.send_event(f"queued_state.{name}", question_id=question_id, **more)
            await other.wait_for(lambda: other.view("queued_state")["error_code"])
            assert other.view("queued_state")["error_code"] == "question_gone"
            await other.send_event("queued_state.dismiss_error")
            await other.wait_for(lambda: not other.view("queued_state")["error_code"])
        for odd in ODD:
            more = {"text": odd} if name == "save" else {}
            await page.send_event(f"queued_state.{name}", question_id=odd, **more)
    await other.send_event("conversation_state.send", text="his", length=3, send_id=card["id"])
    await page.round_trip()
    await other.round_trip()
    assert waiting(page) == [card]
    assert other.view("queued_state")["questions"] == []
    for odd in ODD[:4] + ODD[6:9]:
        await page.send_event("queued_state.save", question_id=card["id"], text=odd)
    await page.send_event("queued_state.save", question_id=card["id"], text="x" * 100_001)
    await page.wait_for(lambda: page.view("queued_state")["error_code"] == "prompt_too_long")
    assert waiting(page) == [card]
    await page.send_event("queued_state.delete", question_id=card["id"])
    await page.wait_for(lambda: waiting(page) == [])
    model.release(hold)
    await page.wait_for(lambda: not page.running)
    assert len(page.messages()) == 2


async def test_the_whole_corpus_survives(open_page: OpenPage, app_db: Database) -> None:
    """Each awkward text is the same in the table and on the page, as question and as answer;
    only NUL and lone surrogates become U+FFFD."""
    page = await open_page("alice")
    for sample in corpora.load("unicode"):
        text = f"{sample} {question('text=echo')}"
        answer = await page.ask(text)
        expected = clean_text(text)
        assert "\x00" not in expected
        rows = page.messages()[-2:]
        assert [row["text"] for row in rows] == [expected, expected], sample
        for row in rows:
            assert (await message_row(app_db, row["id"])).text == expected
        assert answer["status"] == "complete"
    assert page.titles()[0]


async def test_a_model_that_says_the_corpus_is_kept(open_page: OpenPage, app_db: Database) -> None:
    """Lone surrogates and NUL from the model: replaced, never a failed save."""
    page = await open_page("alice")
    answer = await page.ask(question("text=corpus,delay=0.02"))
    expected = "".join(clean_text(sample) for sample in corpora.load("unicode"))
    assert answer["text"] == page.live_text() == expected
    assert (await message_row(app_db, answer["id"])).text == expected


@pytest.mark.parametrize("length", [MAX_PROMPT_CHARS - 100, 200_000])
async def test_a_huge_prompt_stalls_nobody(length: int, open_page: OpenPage) -> None:
    """While a huge text is taken or refused, another user's round trip stays under 100 ms."""
    alice, bob = await open_page("alice"), await open_page("bob")
    worst: list[float] = []
    for _ in range(3):  # the machine's own hiccups are not the product's
        text = f"{'слово ' * (length // 6)} {question('tokens=1')}"
        sending = asyncio.create_task(alice.send(text))
        trips = [await bob.round_trip()]
        while not sending.done() or len(trips) < 50:
            trips.append(await bob.round_trip())
        worst.append(max(trips))
        await alice.wait_for(lambda: alice.error_code or (alice.messages() and not alice.running))
        await alice.open("/")
    assert min(worst) < STALL_S


async def test_a_long_history_is_trimmed_for_the_model(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """10,000 messages: the page opens with the last 50 in a bounded frame, the model gets
    what fits, the row says how many were left out, and nothing is lost."""
    turns = [(f"q{i} " + "x" * 100, f"a{i} " + "y" * 100) for i in range(5_000)]
    dialog = await put_history(app_db, "alice", turns)
    before = await count_messages(app_db)
    page = await open_page("alice", path="")
    await page.open(f"/c/{dialog}")
    assert len(page.messages()) == 50
    assert page.view("chat_state")["has_older"]
    assert sum(len(frame.text) for frame in page.frames) < 100_000

    text = question()
    answer = await page.ask(text)
    (call,) = asked(model, text)
    assert answer["trimmed"] == 10_001 - len(call.messages)
    assert (await message_row(app_db, answer["id"])).trimmed == answer["trimmed"]
    assert 2 < len(call.messages) < 10_001
    assert sum(len(m["content"]) for m in call.messages) / 2.5 < 8192 - 2048
    assert call.messages[0]["role"] == "user"
    assert call.messages[-2]["content"].startswith("a4999 ")
    assert await count_messages(app_db) == before + 2

    known = [row["id"] for row in page.messages()]
    for count in (50, 100, 150):
        page.frames.clear()
        await page.send_event("paging_state.load_older")
        await page.wait_for(lambda count=count: len(page.earlier()) == count)
        assert sum(len(frame.text) for frame in page.frames) < 60_000  # the others are not sent
    ids = [row["id"] for row in (*page.earlier(), *page.messages())]
    assert len(set(ids)) == len(ids)
    assert ids[-len(known) :] == known
    page.frames.clear()
    await page.ask(question("tokens=3"))
    assert len(page.earlier()) == 150
    assert sum(len(frame.text) for frame in page.frames) < 250_000


async def test_a_question_over_the_context_says_so(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """The model refuses the length: a friendly error, the question is kept."""
    page = await open_page("alice")
    text = question()
    model.script_once(Status(400, "This model's maximum context length is 8192 tokens."))
    answer = await page.ask(text)
    assert (answer["status"], answer["error_code"]) == ("failed", "context_too_long")
    assert len(await list_questions(app_db, text)) == 1
    assert (await page.ask(question("tokens=3")))["status"] == "complete"


async def test_a_whole_session_writes_no_bug(open_page: OpenPage, app: AppProcess) -> None:
    """N6. Opening, asking, renaming, deleting, reloading: nothing that would wake an operator."""
    log = LogMark(app)
    page = await open_page("alice")
    await page.ask(question("tokens=40,delay=0.01"))
    dialog = page.dialog_id
    await page.send_event("dialogs_state.begin_rename", dialog_id=dialog)
    await page.send_event("dialogs_state.rename", dialog_id=dialog, title="  New \n name ")
    await page.wait_for(lambda: page.titles()[0] == "New name")
    await page.open(page.path)
    await page.send_event("dialogs_state.delete", dialog_id=dialog)
    await page.wait_for(lambda: "New name" not in page.titles())
    await page.wait_for(lambda: page.redirects == ["/"])
    await page.wait_for(lambda: page.messages() == [])
    assert log.bugs() == []
