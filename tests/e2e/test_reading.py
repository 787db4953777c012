"""Where in a dialog the reader is, on a wide screen and on a phone."""

import uuid

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E

MARKED = "[...(CSS.highlights.get('searched') ?? [])].map(range => range.toString())"
DRAWN = "each => each.checkVisibility({ contentVisibilityAuto: true })"
IS = """async (each, drawn) => {
    while (each.checkVisibility({ contentVisibilityAuto: true }) !== drawn)
        await new Promise(requestAnimationFrame);
}"""
STILL_PX = 3  # less is nothing that an eye sees
SIZES = [{"width": 1280, "height": 800}, {"width": 390, "height": 740}]


def list_of(tab: Tab) -> Locator:
    return tab.page.locator("#scroll")


async def scroll_up(tab: Tab, px: int) -> None:
    """By the wheel, as a reader does. Returns when the list has moved and rests."""
    places = [await place_of(tab)]
    await list_of(tab).hover()
    await tab.page.mouse.wheel(0, -px)

    async def rests() -> bool:
        places.append(await place_of(tab))
        return places[0] != places[-1] == places[-2]

    await eventually(rests)


async def place_of(tab: Tab) -> float:
    return await list_of(tab).evaluate("list => list.scrollTop")


async def height_of(message: Locator) -> float:
    """Where on the screen it begins."""
    return await message.evaluate("each => each.getBoundingClientRect().top")


async def scroll_to(tab: Tab, text: str) -> None:
    """To the message with this text, at the top of the list."""
    await tab.page.get_by_text(text, exact=True).evaluate(
        "each => each.scrollIntoView({ block: 'start' })"
    )


async def is_at_end(tab: Tab) -> None:
    await expect(tab.page.locator("#end")).to_be_in_viewport()
    await expect(tab.page.get_by_test_id("jump-latest")).to_be_hidden()


@pytest.mark.parametrize("size", SIZES, ids=["wide", "phone"])
async def test_a_dialog_opens_at_its_end_and_older_messages_come_in_place(
    size: dict[str, int], browse: Browse, stored: Stored
):
    turns = [(f"вопрос {n}", f"ответ {n}\n\n" + "строка текста. " * 40) for n in range(80)]
    long_id = stored.add_dialog("alice", f"Длинный {size['width']}", turns)
    other_id = stored.add_dialog("alice", f"Другой {size['width']}", turns)
    tab = Tab(await (await browse("alice", viewport=size)).new_page())
    await tab.open(f"/c/{long_id}")
    await is_at_end(tab)
    await expect(tab.questions).to_have_count(25)

    first = tab.page.get_by_text("вопрос 55", exact=True)
    await list_of(tab).evaluate("list => { list.scrollTop = -list.scrollHeight; }")
    before = await height_of(first)
    await expect(tab.questions).to_have_count(50)
    assert abs(await height_of(first) - before) < STILL_PX
    await scroll_up(tab, 300)
    assert await height_of(first) > before + 200
    await expect(tab.page.get_by_test_id("jump-latest")).to_be_visible()
    await list_of(tab).evaluate("list => { list.scrollTop = -list.scrollHeight; }")
    await expect(tab.questions).to_have_count(75)

    await tab.page.get_by_test_id("jump-latest").click()
    await is_at_end(tab)
    await scroll_up(tab, 3000)
    await expect(tab.page.get_by_test_id("jump-latest")).to_be_visible()
    if size["width"] < 700:
        await tab.page.get_by_role("button", name="Меню").click()
    await tab.item(f"Другой {size['width']}").get_by_role("link").click()
    await tab.page.wait_for_url(f"**/c/{other_id}")
    await expect(tab.page.get_by_role("heading", name="Другой")).to_be_attached()
    await is_at_end(tab)


@pytest.mark.parametrize("size", SIZES, ids=["wide", "phone"])
async def test_nothing_jumps_while_an_answer_grows(
    size: dict[str, int], browse: Browse, stored: Stored, model: ModelServer
):
    turns = [(f"вопрос {n}", "строка текста. " * 60) for n in range(20)]
    dialog_id = stored.add_dialog("alice", "Растёт", turns)
    hold, words = uuid.uuid4().hex, tuple(f"слово{n} \n\n" for n in range(60))
    model.script_once(Say(words[:5]), Hold(hold), Say(words[5:], 0.01), End())
    tab = Tab(await (await browse("alice", viewport=size)).new_page())
    await tab.open(f"/c/{dialog_id}")
    await tab.ask("Расти")
    await expect(tab.answer).to_contain_text("слово4")
    await is_at_end(tab)
    await scroll_up(tab, 1500)
    jump = tab.page.get_by_test_id("jump-latest")
    await expect(jump).to_contain_text("Новый текст")
    read = tab.page.get_by_text("вопрос 17", exact=True)
    before = await height_of(read)
    far = tab.page.get_by_text("вопрос 0", exact=True)
    await far.evaluate(IS, False)  # what is far away costs nothing then
    assert await read.evaluate(DRAWN)
    model.release(hold)
    await tab.ends()
    assert abs(await height_of(read) - before) < STILL_PX
    await far.evaluate(IS, True)
    assert abs(await height_of(read) - before) < STILL_PX
    await expect(jump).to_contain_text("Новый текст")
    await jump.click()
    await is_at_end(tab)


async def test_a_search_leads_to_the_message(browse: Browse, stored: Stored):
    word = f"иголка{uuid.uuid4().hex[:6]}"
    turns = [(f"вопрос {n}", "сено. " * 80 + (word if n == 10 else "")) for n in range(70)]
    dialog_id = stored.add_dialog("alice", "Стог", turns)
    tab = Tab(await (await browse("alice")).new_page())
    await tab.open()
    await tab.page.get_by_test_id("search").fill(word)
    await tab.page.locator(".hit").click()
    await tab.page.wait_for_url(f"**/c/{dialog_id}?at=*")
    await expect(tab.page.get_by_text(word).last).to_be_in_viewport()
    await tab.reload()
    await expect(tab.answers.filter(has_text=word)).to_be_in_viewport()
    await tab.page.get_by_test_id("jump-latest").click()
    await is_at_end(tab)


@pytest.mark.parametrize(
    ("locale", "size", "skipped"),
    [("ru", SIZES[0], "Пропущено сообщений: "), ("en", SIZES[1], "Messages left out: ")],
    ids=["wide", "phone"],
)
async def test_a_search_leads_far_up(
    locale: str, size: dict[str, int], skipped: str, browse: Browse, stored: Stored
):
    """To the message itself, 1,900 messages from the end; from there up, down and to the end."""
    word = "наперсток"
    turns = [(f"вопрос {n}", "сено. " * 30 + (word if n == 50 else "")) for n in range(1000)]
    dialog_id = stored.add_dialog("alice", f"Стога {locale}", turns)
    page = await (await browse("alice", locale=locale, viewport=size)).new_page()
    tab = Tab(page)
    (at,) = [each.id for each in stored.messages(dialog_id) if word in each.text]
    found, gap = tab.answers.filter(has_text=word), page.get_by_test_id("gap")
    for _ in range(2):
        await page.goto(f"/c/{dialog_id}?at={at}&words={word}")
        await expect(found).to_be_in_viewport()
        await page.wait_for_function(f"word => {MARKED}.join() === word", arg=word)
        await expect(tab.error).to_have_count(0)
    await expect(gap).to_contain_text(skipped + "1824")

    await scroll_to(tab, "вопрос 62")
    await expect(page.get_by_text("вопрос 63", exact=True)).to_be_attached()
    await expect(page.get_by_text("вопрос 87", exact=True)).to_be_attached()
    await scroll_to(tab, "вопрос 39")
    await expect(page.get_by_text("вопрос 20", exact=True)).to_be_attached()
    await expect(found).to_be_attached()

    await page.get_by_test_id("jump-latest").click()
    await is_at_end(tab)
    await expect(page.get_by_text("вопрос 999", exact=True)).to_be_in_viewport()
    await scroll_to(tab, "вопрос 976")
    last = page.get_by_text("вопрос 975", exact=True)
    still = await height_of(last)
    await expect(page.get_by_text("вопрос 955", exact=True)).to_be_attached()
    assert abs(await height_of(last) - still) < STILL_PX
    await tab.composer.fill("ещё вопрос")
    await tab.composer.press("Enter")
    await expect(tab.questions.last).to_contain_text("ещё вопрос")
    await tab.ends()
    await is_at_end(tab)
    await expect(page.get_by_text("вопрос 955", exact=True)).to_be_attached()


async def test_a_gap_closes(browse: Browse, stored: Stored):
    """From both ends; every message is there once, in its order."""
    turns = [(f"вопрос {n}", "сено") for n in range(130)]
    dialog_id = stored.add_dialog("alice", "Промежуток", turns)
    tab = Tab(await (await browse("alice", viewport={"width": 900, "height": 300})).new_page())
    (at,) = [each.id for each in stored.messages(dialog_id) if each.text == "вопрос 10"]
    await tab.open(f"/c/{dialog_id}?at={at}")
    gap = tab.page.get_by_test_id("gap")
    await expect(gap).to_be_attached()
    while await gap.count():  # by its buttons, which go with it
        for name in ("gap-down", "gap-up"):
            await tab.page.evaluate("name => document.getElementById(name)?.click()", name)
            await tab.page.wait_for_timeout(300)
    await (
        tab.page.get_by_role("button", name="Показать более ранние")
        .or_(tab.page.get_by_text("вопрос 0", exact=True))
        .first.scroll_into_view_if_needed()
    )
    await expect(tab.page.get_by_text("вопрос 0", exact=True)).to_be_attached()
    texts = await tab.questions.locator(".bubble").all_text_contents()
    assert texts == [f"вопрос {n}" for n in range(130)]
