"""The palette: dialogs and commands, found by the words that are typed."""

from dataclasses import dataclass

import reflex as rx

from genai_app.access import Actor
from genai_app.errors import AppError
from genai_app.i18n import LOCALES, translate
from genai_app.models import Dialog, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.site_map import ADMINISTRATION, SETTINGS
from genai_app.state.chat.search import HitRow, PieceRow, hit_row
from genai_app.stemming import MAX_QUERY_CHARS, other_layout

SHOWN = 8  # dialogs


@dataclass(frozen=True, slots=True)
class Command:
    """An entry of the palette that is no dialog.

    Args:
        name: known to the page, which runs it.
        title: key of its sentence.
        address: of the page that it opens; "" for another action.
        role: the least that has it.
    """

    name: str
    title: str
    icon: str
    address: str = ""
    role: Role = Role.USER

    def has(self, words: list[str]) -> bool:
        """Returns whether its sentence has, in either language, all of these words, perhaps only
        begun."""
        text = " ".join(translate(locale, self.title) for locale in LOCALES).casefold()
        own = text.replace("ё", "е").split()
        return all(any(each.startswith(word) for each in own) for word in words)


COMMANDS = (
    Command("new", "nav.new", "square-pen", "/"),
    Command("export", "export.dialog", "download"),
    Command("settings", SETTINGS.title, "settings", SETTINGS.address),
    Command("theme", "nav.theme", "sun-moon"),
    Command("language", "nav.language", "languages"),
    *(
        Command(each.address, each.title, each.icon, each.address, each.role)
        for each in ADMINISTRATION
        if each.role is not None
    ),
    Command("logout", "nav.logout", "log-out"),
)


class PaletteState(rx.State):
    """Dialogs and commands for `query`; the latest dialogs without one. `commands`: their names,
    those of the user's role."""

    query: str = ""
    hits: list[HitRow] = []
    commands: list[str] = []
    error_code: str = ""

    @rx.event
    @allowed(Role.USER)
    async def open(self):
        await self._load("")

    @rx.event
    @allowed(Role.USER)
    async def find(self, text: str):
        """Look for what stands in the field."""
        await self._load(text.strip()[:MAX_QUERY_CHARS] if isinstance(text, str) else "")

    async def _load(self, query: str) -> None:
        self.query, self.error_code = query, ""
        self.commands = command_names(acting(), query)
        try:
            self.hits = await _hits(query)
        except AppError as error:
            self.hits, self.error_code = [], error.code


def command_names(actor: Actor, query: str) -> list[str]:
    """Returns the names of the actor's commands that have the words of `query`; where none has,
    those for the same keys on the other keyboard layout."""
    own = [each for each in COMMANDS if actor.has(each.role)]
    for text in (query, other_layout(query)):
        words = text.casefold().replace("ё", "е").split()
        names = [each.name for each in own if each.has(words)]
        if names and (words or not query):
            return names
    return []


async def _hits(query: str) -> list[HitRow]:
    if query:
        hits = await services().search.find(acting(), query, limit=SHOWN)
        return [hit_row(each, hits.query) for each in hits.items]
    page = await services().history.list_dialogs(acting(), limit=SHOWN)
    return [_recent(each) for each in page.items]


def _recent(dialog: Dialog) -> HitRow:
    title = [PieceRow(dialog.title, False)] if dialog.title else []
    return HitRow(str(dialog.id), f"/c/{dialog.id}", title, [])
