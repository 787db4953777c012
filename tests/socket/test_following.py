"""Whoever looks at a growing answer sees all of it once: N5."""

import asyncio

import pytest

from genai_app.db.database import Database
from tests.conftest import OpenPage
from tests.fakes.model_server import ModelServer
from tests.fakes.page_client import FINAL, PageClient
from tests.fakes.questions import asked, question
from tests.fakes.rows import message_row

SLOW = "tokens=80,delay=0.02"  # 1.6 s, 16 flushes
WHOLE = "".join(f"w{number} " for number in range(80))


def grew_without_gap_or_double(page: PageClient, whole: str) -> bool:
    """Each state of the growing answer is a longer begin of the whole."""
    lengths = [len(text) for text in page.grown]
    return lengths == sorted(lengths) and all(whole.startswith(text) for text in page.grown)


async def test_the_answer_grows_on_the_screen(open_page: OpenPage, app_db: Database) -> None:
    """N5. Many small updates, each a begin of what is in the table in the end."""
    page = await open_page("alice")
    answer = await page.ask(question(SLOW))
    assert answer["text"] == WHOLE
    assert (await message_row(app_db, answer["id"])).text == WHOLE
    assert len(page.grown) > 8
    assert grew_without_gap_or_double(page, WHOLE)


@pytest.mark.parametrize("same_token", [True, False], ids=["reload", "other_device"])
async def test_a_reload_in_mid_answer_continues(
    same_token: bool, open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """From the start, then on, without doubling or gap; the model is asked once."""
    page = await open_page("alice")
    text = question(SLOW)
    await page.begin(text)
    await page.wait_for(lambda: len(page.live_text()) > 50)
    path = page.path
    if not same_token:
        page = await open_page("alice", path="")
    await page.open(path)
    assert page.running
    await page.wait_for(lambda: not page.running)
    assert [row["text"] for row in page.messages()] == [text, WHOLE]
    assert (await message_row(app_db, page.messages()[-1]["id"])).text == WHOLE
    assert len(page.grown) > 2
    assert grew_without_gap_or_double(page, WHOLE)
    assert len(asked(model, text)) == 1


async def test_a_reload_before_the_new_address_was_loaded(open_page: OpenPage) -> None:
    """The server's own redirect after a first question may be cut off by the reload."""
    page = await open_page("alice", redirected=False)
    await page.begin(question(SLOW))
    await page.wait_for(lambda: page.redirects)
    await page.open(page.redirects[0])
    assert page.running
    await page.wait_for(lambda: len(page.live_text()) > 50)
    await page.wait_for(lambda: not page.running)
    assert grew_without_gap_or_double(page, WHOLE)
    assert page.messages()[-1]["text"] == WHOLE


async def test_a_second_device_follows_along(open_page: OpenPage) -> None:
    """Two pages of one user: both see it grow, both end the same."""
    page = await open_page("alice")
    await page.begin(question(SLOW))
    await page.wait_for(lambda: page.dialog_id and page.path != "/")
    other = await open_page("alice", page.path)
    await asyncio.gather(*(each.wait_for(lambda e=each: not e.running) for each in (page, other)))
    assert page.messages() == other.messages()
    for each in (page, other):
        assert grew_without_gap_or_double(each, WHOLE)


async def test_the_tab_is_closed_and_the_answer_goes_on(
    open_page: OpenPage, app_db: Database
) -> None:
    """The answer belongs to the service: whole when the dialog is opened again."""
    page = await open_page("alice")
    answer = await page.begin(question(SLOW))
    path = f"/c/{page.dialog_id}"
    await page.drop()
    await saved(app_db, answer["id"])
    later = await open_page("alice", path)
    assert later.messages()[-1]["text"] == WHOLE
    assert later.messages()[-1]["status"] == "complete"


async def test_going_to_another_dialog_leaves_the_answer_there(open_page: OpenPage) -> None:
    """N5. The growing answer of one dialog never shows in another one."""
    page = await open_page("alice")
    await page.ask(question(words="elsewhere"))
    elsewhere = page.path
    await page.open("/")
    await page.begin(question(SLOW))
    await page.wait_for(lambda: page.live_text())
    running = page.path
    page.path = elsewhere
    await page.send_event("on_load_internal_state.on_load_internal")  # a click in the sidebar
    await page.wait_for(lambda: page.messages()[0]["text"].startswith("elsewhere"))
    await page.wait_for(lambda: page.grown[-1] == WHOLE)
    await page.round_trip()
    assert page.messages()[0]["text"].startswith("elsewhere")
    assert not page.running
    page.path = running
    await page.send_event("on_load_internal_state.on_load_internal")
    await page.wait_for(lambda: page.messages()[-1]["text"] == WHOLE)


async def test_the_next_answer_begins_empty(open_page: OpenPage) -> None:
    """N5. What an earlier answer left in the slots is gone before the next one is drawn."""
    page = await open_page("alice")
    await page.ask(question(SLOW))
    page.grown.clear()
    await page.ask(question("tokens=20,delay=0.02"))
    assert page.grown[0] == "" or WHOLE.startswith(page.grown[0])
    assert len(page.grown[0]) < 30
    assert grew_without_gap_or_double(page, WHOLE)


async def test_a_long_answer_costs_few_bytes(open_page: OpenPage) -> None:
    """N5. Frames stay small however long the answer is: what is drawn is not sent again."""
    page = await open_page("alice")
    begin = len(page.frames)
    answer = await page.ask(question("tokens=3000,delay=0.0005"), within_s=30)
    sent = sum(len(frame.text) for frame in page.frames[begin:])
    # one endless paragraph is the worst case: as it grows, in joined pieces, and as the saved row
    assert sent < 6 * len(answer["text"])


async def saved(db: Database, message_id: str) -> None:
    """Returns when the answer has a final state in the table."""
    async with asyncio.timeout(10):
        while (await message_row(db, message_id)).status not in FINAL:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # the table announces nothing
