"""The chat page as a test reads it and acts on it."""

import re
import uuid

from playwright.async_api import Locator, Page, expect

IN_DIALOG = re.compile(r"/c/([0-9a-f-]{36})$")


class Tab:
    """One tab. Locators are properties, so they are asked anew each time."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def open(self, path: str = "/") -> None:
        """Load a page of the chat, until it is connected and shows what it has."""
        await self.page.goto(path)
        await self.ready()
        if path == "/":  # the server's first words may still be of the dialog before
            await expect(self.questions).to_have_count(0)

    async def ready(self) -> None:
        """The page has heard from the server: the user's name is there."""
        await expect(self.page.locator(".user-name")).not_to_be_empty()

    async def reload(self) -> None:
        await self.page.reload()
        await self.ready()

    @property
    def composer(self) -> Locator:
        return self.page.get_by_test_id("composer")

    @property
    def send_button(self) -> Locator:
        return self.page.get_by_test_id("send")

    @property
    def stop_button(self) -> Locator:
        return self.page.get_by_test_id("stop")

    @property
    def questions(self) -> Locator:
        return self.page.get_by_test_id("message-user")

    @property
    def answers(self) -> Locator:
        return self.page.get_by_test_id("message-assistant")

    @property
    def answer(self) -> Locator:
        """The last answer."""
        return self.answers.last

    @property
    def answer_text(self) -> Locator:
        """The whole Markdown of the last answer, in one or more blocks."""
        return self.answer.locator(".markdown")

    @property
    def error(self) -> Locator:
        return self.page.get_by_test_id("error")

    @property
    def connection_lost(self) -> Locator:
        return self.page.locator(".dock .note-warning")

    @property
    def items(self) -> Locator:
        return self.page.get_by_test_id("dialog-item")

    def item(self, title: str) -> Locator:
        """The line of the sidebar with this title."""
        link = self.page.get_by_role("link", name=title, exact=True)
        return self.items.filter(has=link)

    async def choose(self, title: str, entry: str) -> None:
        """Open the menu of the line with this title and choose the entry of this test id."""
        await self.item(title).hover()
        await self.item(title).get_by_test_id("dialog-menu").click()
        await self.page.get_by_test_id(entry).click()

    @property
    def dialog_id(self) -> uuid.UUID:
        found = IN_DIALOG.search(self.page.url)
        assert found, f"not in a dialog: {self.page.url}"
        return uuid.UUID(found[1])

    async def ask(self, text: str) -> None:
        """Type and press Enter, until the question is committed: shown, the composer empty."""
        count = await self.questions.count()
        await self.composer.fill(text)
        await self.composer.press("Enter")
        await expect(self.questions).to_have_count(count + 1)
        await expect(self.composer).to_have_value("")
        await self.page.wait_for_url(IN_DIALOG)

    async def ends(self, status: str = "complete") -> None:
        """The last answer has come to an end, and is drawn as it will stay."""
        await expect(self.answer).to_have_attribute("data-status", status)

    async def ask_and_read(self, text: str, status: str = "complete") -> str:
        """Ask and wait for the end. Returns the answer's words as they are drawn."""
        await self.ask(text)
        await self.ends(status)
        return await self.words()

    async def words(self) -> str:
        """The last answer's text, blocks joined, white space folded."""
        return " ".join(" ".join(await self.answer_text.all_inner_texts()).split())

    async def shows(self, text: str) -> None:
        """Wait until the last answer's words are exactly these."""
        await self.page.wait_for_function(
            """text => {
                const answers = document.querySelectorAll('[data-testid=message-assistant]');
                const blocks = answers[answers.length - 1]?.querySelectorAll('.markdown') ?? [];
                const words = [...blocks].map(block => block.innerText).join(' ');
                return words.split(/\\s+/).filter(Boolean).join(' ') === text;
            }""",
            arg=" ".join(text.split()),
        )
