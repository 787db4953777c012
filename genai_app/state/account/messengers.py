"""The user's links with messengers, and the code of a new one, which is shown for ten minutes."""

from dataclasses import dataclass

import reflex as rx
import segno

from genai_app.errors import AppError
from genai_app.models import MessengerLink, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.dates import moment_text

QR_SCALE = 5


@dataclass
class LinkRow:
    """A linked account of a messenger. `title`: its name there."""

    id: str
    messenger: str
    title: str
    since: dict[str, str]


class MessengersState(rx.State):
    """Links, newest first. `link_url`, `link_qr`: of a code that nobody used yet, "" for none."""

    available: list[str] = []  # the messengers that are set up
    links: list[LinkRow] = []
    link_url: str = ""
    link_qr: str = ""
    link_text: str = ""  # to be written to the bot, where the address cannot hold the code
    error_code: str = ""

    async def _load(self) -> None:
        self.link_url = self.link_qr = self.link_text = ""
        self.available = list(services().messengers.bots)
        await self._list()

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
        self.link_url = self.link_qr = self.link_text = ""
        try:
            made = await services().messengers.make_code(acting(), str(messenger)[:40])
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code, self.link_url = "", made.url
        self.link_text = "" if made.code in made.url else f"start {made.code}"
        self.link_qr = segno.make(made.url).svg_data_uri(scale=QR_SCALE, light="white")

    @rx.event
    @allowed(Role.USER)
    async def check(self):
        """Show whether the code was used."""
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def unlink(self, link_id: str):
        try:
            await services().messengers.links.unlink(acting(), link_id)
        except AppError as error:
            self.error_code = error.code
            return
        await self._list()


def _row(link: MessengerLink) -> LinkRow:
    return LinkRow(str(link.id), link.messenger, link.title, moment_text(link.linked_at))
