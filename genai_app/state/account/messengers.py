"""The user's links with messengers, and the code of a new one, which is shown until it is used."""

import asyncio
from dataclasses import dataclass

import reflex as rx
import segno

from genai_app.errors import AppError, StorageUnavailable
from genai_app.models import MessengerLink, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.dates import moment_text
from genai_app.state.presence import Page

QR_SCALE = 5
LOOK_S = 0.5


@dataclass
class LinkRow:
    """A linked account of a messenger. `title`: its name there."""

    id: str
    messenger: str
    title: str
    since: dict[str, str]


class MessengersState(rx.State):
    """Links, newest first. `link_url`, `link_qr`: of a code that nobody used yet, "" for none.
    `linked`, `expired`: the messenger whose code was used, or is void now."""

    available: list[str] = []  # the messengers that are set up
    links: list[LinkRow] = []
    link_url: str = ""
    link_qr: str = ""
    link_text: str = ""  # to be written to the bot, where the address cannot hold the code
    linked: str = ""
    expired: str = ""
    error_code: str = ""
    _offered: tuple[str, str] = ("", "")  # the messenger and the code on the page

    async def _load(self) -> None:
        self._settle()
        self.available = list(services().messengers.bots)
        await self._list()

    def _settle(self) -> None:
        """Shows no code and no notice."""
        self.link_url = self.link_qr = self.link_text = self.linked = self.expired = ""
        self._offered = ("", "")

    async def _list(self) -> None:
        try:
            links = await services().messengers.links.list(acting())
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.links = [_row(link) for link in links]

    @rx.event
    @allowed(Role.USER)
    async def link(self, messenger: str):
        """Make a code and show where it leads."""
        self._settle()
        messenger = str(messenger)[:40]
        try:
            made = await services().messengers.make_code(acting(), messenger)
        except AppError as error:
            self.error_code = error.code
            return None
        self.error_code, self.link_url = "", made.url
        self._offered = (messenger, made.code)
        self.link_text = "" if made.code in made.url else f"start {made.code}"
        self.link_qr = segno.make(made.url).svg_data_uri(scale=QR_SCALE, light="white")
        return MessengersState.follow

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def follow(self):
        """Show that the code was used, or is void, as long as the page is there."""
        actor, page, links = acting(), Page(), services().messengers.links
        async with self:
            messenger, code = offered = self._offered
        while code and page.is_there:
            try:
                if not await links.is_open(actor, messenger, code):
                    rows = [_row(link) for link in await links.list(actor)]
                    async with self:
                        if self._offered == offered:
                            self._end_offer(messenger, rows)
                    return
            except StorageUnavailable:
                pass  # the page says so; the next look may succeed
            await asyncio.sleep(LOOK_S)

    def _end_offer(self, messenger: str, rows: list[LinkRow]) -> None:
        self._settle()
        before = {each.id for each in self.links}
        is_linked = any(row.messenger == messenger and row.id not in before for row in rows)
        self.linked, self.expired = (messenger, "") if is_linked else ("", messenger)
        self.links = rows

    @rx.event
    @allowed(Role.USER)
    async def unlink(self, link_id: str):
        self.linked = self.expired = ""
        try:
            await services().messengers.links.unlink(acting(), link_id)
        except AppError as error:
            self.error_code = error.code
            return
        await self._list()


def _row(link: MessengerLink) -> LinkRow:
    return LinkRow(str(link.id), link.messenger, link.title, moment_text(link.linked_at))
