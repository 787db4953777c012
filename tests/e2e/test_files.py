"""Files and pictures in questions, as users attach, ask about and look into them."""

import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Locator, expect

from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E

DOCUMENTS = Path(__file__).parents[1] / "corpora" / "documents" / "files"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
READING_MS = 60_000  # only ends what hangs
DROP = """([type, files]) => {
  const data = new DataTransfer();
  for (const [name, kind, text] of files) data.items.add(new File([text], name, {type: kind}));
  document.body.dispatchEvent(
    new DragEvent(type, {bubbles: true, cancelable: true, dataTransfer: data}));
}"""
PASTE = """([text, html, files]) => {
  const data = new DataTransfer();
  if (text) data.setData('text/plain', text);
  if (html) data.setData('text/html', html);
  for (const [name, kind, body] of files) data.items.add(new File([body], name, {type: kind}));
  const event = new ClipboardEvent(
    'paste', {bubbles: true, cancelable: true, clipboardData: data});
  return !document.getElementById('composer').dispatchEvent(event);
}"""
CHOOSE_LARGE = """(field) => {
  const large = new File(['x'], 'large.zip');
  Object.defineProperty(large, 'size', {value: 31 * 1024 * 1024});
  Object.defineProperty(field, 'files', {value: [large], configurable: true});
  field.dispatchEvent(new Event('change', {bubbles: true}));
  delete field.files;
}"""


class Files:
    """The files at the composer of a tab."""

    def __init__(self, tab: Tab) -> None:
        self.tab, self.page = tab, tab.page

    @property
    def chips(self) -> Locator:
        return self.page.locator(".composer").get_by_test_id("attachment")

    def chip(self, name: str) -> Locator:
        return self.chips.filter(has_text=name)

    async def choose(self, *names: str) -> None:
        """Attach files of the corpus."""
        paths = [DOCUMENTS / name for name in names]
        await self.page.get_by_test_id("file-input").set_input_files(paths)

    async def choose_made(self, *files: FilePayload) -> None:
        await self.page.get_by_test_id("file-input").set_input_files(files)

    async def are_ready(self, *names: str) -> None:
        """These are attached, in this order, and read."""
        await expect(self.chips).to_have_count(len(names))
        for index, name in enumerate(names):
            await expect(self.chips.nth(index)).to_contain_text(name)
            await expect(self.chips.nth(index)).to_have_attribute(
                "data-state", "ready", timeout=READING_MS
            )

    async def paste(self, text: str = "", html: str = "", files: Sequence[Any] = ()) -> bool:
        """Returns whether the page took what was pasted as files."""
        await self.tab.composer.focus()
        return await self.page.evaluate(PASTE, [text, html, list(files)])


@pytest.fixture
def files(tab: Tab) -> Files:
    return Files(tab)


def text_file(name: str, text: str = "одна строка") -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


@pytest.mark.parametrize(
    ("locale", "theme", "options", "waits", "extent", "close", "cited"),
    [
        ("ru", "light", {}, "Вопрос уйдёт", "3 стр.", "Файлы диалога", "contract.pdf, стр. 2"),
        ("en", "dark", {}, "will be sent", "3 pages", "Files of this dialog", "contract.pdf, p. 2"),
        ("ru", "dark", PHONE, "Вопрос уйдёт", "3 стр.", "Файлы диалога", "contract.pdf, стр. 2"),
    ],
)
async def test_a_contract_and_a_table_are_asked_about(
    browse: Browse,
    newcomer: tuple[str, str],
    model: ModelServer,
    locale: str,
    theme: str,
    options: dict[str, Any],
    waits: str,
    extent: str,
    close: str,
    cited: str,
):
    """From the chips to the page that an answer names, in both languages and on a phone."""
    context = await browse(newcomer, locale=locale, color_scheme=theme, **options)
    tab = Tab(await context.new_page())
    files, page = Files(tab), tab.page
    await tab.open()
    await has_theme(page, theme)
    await files.choose("contract.pdf", "sales.xlsx")
    await tab.composer.fill("Какая неустойка?" if locale == "ru" else "What is the penalty?")
    model.script_once(Say((f"0,1 % [{cited}].",)), End())
    await tab.composer.press("Enter")
    await expect(page.get_by_test_id("files-wait")).to_contain_text(waits)
    await expect(tab.questions).to_have_count(1, timeout=READING_MS)
    await expect(files.chips).to_have_count(0)
    await expect(tab.composer).to_have_value("")
    await tab.ends()
    sent = tab.questions.get_by_test_id("attachment")
    await expect(sent).to_have_count(2)
    await expect(sent.first).to_contain_text(extent)
    assert "48 300,50" in str(model.answers[-1].messages)
    assert "Северный ветер" in str(model.answers[-1].messages)
    await assert_accessible(page)

    citation = tab.answer.get_by_test_id("citation")
    await expect(citation).to_have_text(cited)
    await citation.click()
    preview = page.get_by_test_id("file-preview")
    await expect(preview).to_contain_text("НЦ-118")
    await expect(page.get_by_test_id("preview-page")).to_contain_text("2")
    await assert_accessible(page)
    await page.get_by_test_id("page-after").click()
    await expect(preview).to_contain_text("Форс-мажор")
    await page.keyboard.press("Escape")
    await expect(preview).to_be_hidden()
    await expect(citation).to_be_focused()

    await sent.nth(1).get_by_test_id("file-open").click()
    await expect(preview.locator("th").first).to_have_text("Дата")
    await page.get_by_test_id("file-close").click()
    await page.get_by_test_id("attach").click()
    await page.get_by_test_id("dialog-files-open").click()
    drawer = page.get_by_test_id("dialog-files")
    await expect(drawer.get_by_test_id("file-open")).to_have_count(2)
    await assert_language(page, locale, close)
    await assert_accessible(page)
    await page.keyboard.press("Escape")

    await page.reload()
    await expect(sent).to_have_count(2)
    await expect(tab.answer.get_by_test_id("source-card")).to_have_count(2)


async def test_a_screenshot_is_seen(files: Files, model: ModelServer):
    """By a model that takes pictures: the picture is in the request, small in the dialog."""
    model.sees = True
    await files.choose("screen.png")
    await files.are_ready("screen.png")
    await files.tab.ask_and_read("Что на снимке?")
    await expect(files.tab.questions.locator(".file-mark img")).to_be_visible()
    assert "data:image/" in str(model.answers[-1].messages)
    await files.tab.questions.get_by_test_id("file-open").click()
    await expect(files.page.locator(".preview-picture")).to_be_visible()


async def test_dropped_and_pasted(files: Files):
    page = files.page
    hint = page.get_by_test_id("drop-hint")
    await expect(hint).to_be_hidden()
    dropped = [["a.txt", "text/plain", "раз"], ["b.csv", "text/csv", "x;y\n1;2"]]
    await page.evaluate(DROP, ["dragenter", dropped])
    await expect(hint).to_be_visible()
    await assert_accessible(page)
    await page.evaluate(DROP, ["drop", dropped])
    await expect(hint).to_be_hidden()
    await files.are_ready("a.txt", "b.csv")
    await expect(files.tab.composer).to_be_focused()

    picture = ["image.png", "image/png", "no picture at all"]
    assert await files.paste(files=[picture])
    await expect(files.chip("Снимок")).to_have_attribute("data-state", "ready", timeout=READING_MS)
    assert not await files.paste("ячейки", "<td>ячейки</td>", [picture])  # of an office program
    assert not await files.paste("короткий текст")
    await expect(files.chips).to_have_count(3)


async def test_a_long_text_becomes_a_file_and_a_text_again(files: Files):
    long = "Журнал: ошибка 17. " * 300
    assert await files.paste(long)
    chip = files.chip("Вставленный текст")
    await expect(chip).to_have_attribute("data-state", "ready", timeout=READING_MS)
    await files.tab.composer.fill("Вот он: ")
    await chip.get_by_test_id("file-as-text").click()
    await expect(files.chips).to_have_count(0)
    await expect(files.tab.composer).to_have_value("Вот он: " + long)


async def test_progress_cancel_and_retry(files: Files, watch: Watch):
    watch.allow("ERR_FAILED|ERR_ABORTED|ERR_INTERNET_DISCONNECTED")
    held: list[Any] = []

    async def hold(route: Any) -> None:
        held.append(route)

    await files.page.route("**/files", hold)
    await files.choose_made(text_file("первый.txt"), text_file("второй.txt"))
    await expect(files.chips.get_by_role("progressbar")).to_have_count(2)
    await files.chip("первый").get_by_role("button", name="Отменить загрузку").click()
    await expect(files.chips).to_have_count(1)
    await held[-1].abort("internetdisconnected")
    await expect(files.chips).to_have_attribute("data-state", "failed")
    await expect(files.page.get_by_test_id("file-error")).to_contain_text("связь прервалась")
    await files.tab.composer.fill("Что в нём?")
    await files.tab.composer.press("Enter")
    await expect(files.page.get_by_test_id("file-note")).to_contain_text("Уберите файл")
    await expect(files.tab.questions).to_have_count(0)
    await assert_accessible(files.page)
    await files.page.unroute("**/files", hold)
    await files.chips.get_by_test_id("file-retry").click()
    await files.are_ready("второй.txt")
    await expect(files.page.get_by_test_id("file-error")).to_have_count(0)


async def test_a_reload_finds_them_and_each_dialog_has_its_own(files: Files):
    tab = files.tab
    await tab.ask_and_read("Без файлов")
    await files.choose("sales.csv", "notes.md")
    await files.are_ready("sales.csv", "notes.md")
    await tab.reload()
    await files.are_ready("sales.csv", "notes.md")
    await files.chip("notes.md").get_by_test_id("file-remove").click()
    await files.page.get_by_test_id("new-dialog").click()
    await files.page.wait_for_url("**/")
    await expect(files.chips).to_have_count(0)
    await files.page.go_back()
    await files.are_ready("sales.csv")
    await tab.ask_and_read("А с файлом?")
    await expect(tab.questions.last.get_by_test_id("attachment")).to_have_count(1)
    await tab.reload()
    await expect(files.chips).to_have_count(0)


@pytest.mark.parametrize(
    ("locale", "large", "empty", "many", "bare"),
    [
        ("ru", "больше 30 МБ", "пуст", "Не больше 10 файлов", "Напишите, что сделать"),
        ("en", "larger than 30 MB", "empty", "No more than 10 files", "Say what to do"),
    ],
)
async def test_what_cannot_be_attached_is_said_at_once(
    browse: Browse, locale: str, large: str, empty: str, many: str, bare: str
):
    tab = Tab(await (await browse("bob", locale=locale)).new_page())
    await tab.open()
    files, errors = Files(tab), tab.page.get_by_test_id("file-error")
    await tab.page.get_by_test_id("file-input").evaluate(CHOOSE_LARGE)
    await expect(errors).to_contain_text(large)
    await expect(files.chips.get_by_test_id("file-retry")).to_have_count(0)
    await files.chips.get_by_test_id("file-remove").click()
    await files.choose_made(text_file("nothing.txt", ""))
    await expect(errors).to_contain_text(empty)
    await files.chips.get_by_test_id("file-remove").click()
    await files.choose_made(*(text_file(f"{number}.txt", f"{number}") for number in range(11)))
    await expect(files.chips).to_have_count(10)
    await expect(tab.page.get_by_test_id("file-note")).to_contain_text(many)
    await files.are_ready(*(f"{number}.txt" for number in range(10)))
    await tab.composer.press("Enter")
    await expect(tab.page.get_by_test_id("file-note")).to_contain_text(bare)
    for _ in range(10):
        await files.chips.first.get_by_test_id("file-remove").click()
    await expect(files.chips).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_hidden_text_is_shown_before_it_is_sent(browse: Browse, locale: str, theme: str):
    """On a phone, where the chips scroll sideways and each button is large enough for a finger."""
    context = await browse("bob", locale=locale, color_scheme=theme, **PHONE)
    tab = Tab(await context.new_page())
    await tab.open()
    files = Files(tab)
    await files.choose("hidden.pdf", "sales.csv")
    await files.are_ready("hidden.pdf", "sales.csv")
    warnings = tab.page.get_by_test_id("file-warning")
    await expect(warnings.first).to_contain_text("hidden.pdf")
    await assert_accessible(tab.page)
    for button in await tab.page.locator(".composer button:visible").all():
        box = await button.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44 or await is_chip(button), box
    await files.chip("hidden.pdf").get_by_test_id("file-open").click()
    await expect(tab.page.get_by_test_id("preview-warning").first).to_be_visible()
    await assert_accessible(tab.page)
    await tab.page.get_by_test_id("file-close").click()
    await tab.page.get_by_test_id("attach").click()
    camera = tab.page.get_by_test_id("attach-camera")
    await expect(camera).to_be_visible()
    async with tab.page.expect_file_chooser() as opened:
        await camera.click()
    chooser = await opened.value
    await expect(tab.page.get_by_test_id("camera-input")).to_have_attribute(
        "capture", "environment"
    )
    await chooser.set_files(DOCUMENTS / "photo.jpg")
    await files.are_ready("hidden.pdf", "sales.csv", "photo.jpg")
    for _ in range(3):
        await files.chips.first.get_by_test_id("file-remove").click()
    await expect(files.chips).to_have_count(0)


async def is_chip(button: Locator) -> bool:
    """The name of a chip: all of the chip opens it."""
    chip = await button.locator("xpath=ancestor::li[1]").bounding_box()
    return chip is not None and min(chip["width"], chip["height"]) >= 44


async def test_a_question_that_waits_for_its_file_can_be_kept(files: Files, watch: Watch):
    held: list[Any] = []

    async def hold(route: Any) -> None:
        held.append(route)

    await files.page.route("**/files", hold)
    await files.choose_made(text_file("медленный.txt"))
    await files.tab.composer.fill("Что в нём?")
    await files.tab.send_button.click()
    await expect(files.page.get_by_test_id("files-wait")).to_be_visible()
    await files.page.get_by_test_id("file-hold").click()
    await expect(files.page.get_by_test_id("files-wait")).to_have_count(0)
    await held[0].continue_()
    await files.are_ready("медленный.txt")
    await expect(files.tab.questions).to_have_count(0)
    await expect(files.tab.composer).to_have_value("Что в нём?")
    await files.tab.send_button.click()
    await expect(files.tab.questions).to_have_count(1)
    await files.tab.ends()


async def test_edited_and_queued_questions_keep_their_files(files: Files, model: ModelServer):
    tab, hold = files.tab, uuid.uuid4().hex
    await files.choose("sales.csv", "notes.md")
    await files.are_ready("sales.csv", "notes.md")
    model.script_once(Say(("начало ",)), Hold(hold), End())
    await tab.ask("Первый вопрос")
    await files.choose("data.json")
    await files.are_ready("data.json")
    await tab.composer.fill("Второй вопрос")
    await tab.send_button.click()
    card = files.page.get_by_test_id("queued")
    await expect(card.get_by_test_id("attachment")).to_contain_text("data.json")
    await expect(files.chips).to_have_count(0)
    model.release(hold)
    await expect(tab.questions).to_have_count(2)
    await tab.ends()
    await expect(tab.questions.last.get_by_test_id("attachment")).to_contain_text("data.json")

    question = tab.questions.first
    await question.hover()
    await question.get_by_test_id("edit").click()
    kept = question.get_by_test_id("attachment")
    await expect(kept).to_have_count(2)
    await kept.first.get_by_test_id("file-remove").click()
    await expect(kept).to_have_count(1)
    await files.page.get_by_test_id("edit-send").click()
    await expect(tab.questions.first.locator(".branch-place")).to_have_text("2 / 2")
    await expect(tab.questions.first.get_by_test_id("attachment")).to_have_count(1)
    await tab.questions.first.get_by_test_id("branch-prev").click()
    await expect(tab.questions.first.get_by_test_id("attachment")).to_have_count(2)


@pytest.mark.parametrize(
    ("locale", "theme", "room"),
    [
        ("ru", "light", r"Занято \d[\d,]* К?Б из 1 ГБ"),
        ("en", "dark", r"\d[\d.]* K?B of 1 GB used"),
    ],
)
async def test_my_files(
    browse: Browse, newcomer: tuple[str, str], locale: str, theme: str, room: str
):
    page = await (await browse(newcomer, locale=locale, color_scheme=theme)).new_page()
    tab = Tab(page)
    await tab.open()
    files = Files(tab)
    await files.choose("notes.md", "sales.csv")
    await files.are_ready("notes.md", "sales.csv")
    await tab.ask_and_read("?")
    await page.goto("/settings")
    await tab.ready()
    rows = page.get_by_test_id("file-row")
    await expect(rows).to_have_count(2)
    await expect(page.get_by_test_id("files-room")).to_have_text(re.compile(room))
    await assert_accessible(page)
    await rows.filter(has_text="notes.md").get_by_test_id("file-open").click()
    await expect(page.get_by_test_id("file-preview").locator("pre")).to_be_visible()
    await page.keyboard.press("Escape")
    await rows.filter(has_text="notes.md").get_by_test_id("file-delete").click()
    await page.get_by_test_id("file-delete-yes").click()
    await expect(rows).to_have_count(1)
    await rows.get_by_role("link").click()
    sent = tab.questions.get_by_test_id("attachment")
    await expect(sent.filter(has_text="notes.md")).to_have_attribute("data-state", "gone")
    await expect(sent.get_by_test_id("file-open")).to_have_count(1)


async def test_reading_goes_on_after_the_server_was_killed(
    start_app: StartApp, browse: Browse, watch: Watch
):
    """The chip follows its file over the restart, and the question with it is answered."""
    watch.allow("ERR_|WebSocket")
    app = start_app()
    tab = Tab(await (await browse("alice", at=app)).new_page())
    await tab.open()
    files = Files(tab)
    await files.choose("contract.pdf")
    await expect(files.chips).to_have_attribute("data-state", re.compile("queued|reading|ready"))
    app.kill()
    app.start()
    app.wait_ready()
    await files.are_ready("contract.pdf")
    await tab.ask_and_read("Что это за договор?")
