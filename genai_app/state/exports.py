"""Exports on the page: what may be ordered, how far each is. The list follows them by itself."""

import asyncio
from dataclasses import dataclass

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Export, JobState, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.exports.choice import FORMATS, ExportChoice, ExportKind
from genai_app.services.jobs.lease import UNDER_WAY
from genai_app.state.chat.dialog import ChatState
from genai_app.state.dates import moment_text
from genai_app.state.jobs import LOOK_S, end_job, show_until_ended
from genai_app.state.page import open_page
from genai_app.state.presence import Page
from genai_app.state.ui import UiState

UNITS = ((1024 * 1024, "mb"), (1024, "kb"))
MAX_CHARS = 1000  # what is read of a filter; how long it may be is for the service to say
FIELDS = ("user", "department", "since", "until", "model", "source", "state")


@dataclass
class ExportRow:
    """An export. Texts by language; `size_unit`: `b`, `kb` or `mb`."""

    id: str
    kind: str
    format: str
    state: str
    title: str
    percent: int
    done: int
    total: int
    size: str
    size_unit: str
    error_code: str
    made: dict[str, str]
    expires: dict[str, str]


class ExportsState(rx.State):
    """The user's exports, newest first, and the choice for the next one."""

    exports: list[ExportRow] = []
    loaded: bool = False
    page_loaded: bool = False
    error_code: str = ""
    kind: str = "dialogs"
    format: str = "csv"
    with_reasoning: bool = False  # of the next export
    names_hidden: bool = False
    review_off: bool = False

    @rx.event
    @allowed(Role.REVIEWER)
    async def open(self):
        """Build the page from cookie and database. Runs at every load and reconnect."""
        mode = services().settings.review_mode
        self.names_hidden, self.review_off = mode == "pseudonymous", mode == "off"
        self.kind, self.format = "dialogs", "csv"
        await self._load()
        self.page_loaded = True
        return await open_page(self, ExportsState.follow)

    async def _load(self) -> None:
        try:
            rows = await services().exports.list(acting())
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.exports = [export_row(each) for each in rows]
        self.loaded = True

    @rx.event
    @allowed(Role.REVIEWER)
    def choose_kind(self, kind: str):
        if kind in ("dialogs", "verified"):
            self.kind, self.format = kind, FORMATS[ExportKind(kind)][0]

    @rx.event
    @allowed(Role.REVIEWER)
    def choose_format(self, format: str):
        if format in FORMATS[ExportKind(self.kind)]:
            self.format = format

    @rx.event
    @allowed(Role.REVIEWER)
    async def start(self, form: dict[str, str]):
        """Order what was chosen, for reviewers."""
        fields = form if isinstance(form, dict) else {}
        filters = {name: str(fields.get(name) or "")[:MAX_CHARS] for name in FIELDS}
        chosen: dict[str, object] = {name: value for name, value in filters.items() if value}
        if self.kind == "verified":
            chosen = {}
        elif self.with_reasoning:
            chosen["reasoning"] = True
        return await self._start(self.kind, self.format, chosen)

    @rx.event
    @allowed(Role.USER)
    async def start_mine(self):
        """Order all of one's own dialogs."""
        return await self._start("mine", "json", {"reasoning": self.with_reasoning})

    @rx.event
    @allowed(Role.USER)
    def toggle_reasoning(self):
        """Put the model's thoughts into the next export, or leave them out."""
        self.with_reasoning = not self.with_reasoning

    async def _start(self, kind: str, format: str, chosen: dict[str, object]):
        locale = (await self.get_state(UiState)).locale
        try:
            await services().exports.start(acting(), kind, format, chosen, locale)
        except AppError as error:
            self.error_code = error.code
            return None
        await self._load()
        return ExportsState.follow

    @rx.event
    @allowed(Role.USER)
    async def cancel(self, export_id: str):
        """Cancels an export. A file that has become ready meanwhile stays."""
        await end_job(self, services().exports.cancel(acting(), export_id))

    @rx.event
    @allowed(Role.USER)
    async def remove(self, export_id: str):
        await end_job(self, services().exports.remove(acting(), export_id))

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def follow(self):
        """Show how far they are until all have ended, as long as the page is there."""
        actor = acting()

        async def read() -> list[ExportRow]:
            return [export_row(each) for each in await services().exports.list(actor)]

        await show_until_ended(self, "exports", read)


class DialogExportState(rx.State):
    """The export of the dialog on the screen: it is made, and then the browser fetches it."""

    making: str = ""  # the format
    error_code: str = ""
    with_reasoning: bool = False

    @rx.event
    @allowed(Role.USER)
    def toggle_reasoning(self):
        """Put the model's thoughts into the file, or leave them out."""
        self.with_reasoning = not self.with_reasoning

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def start(self, format: str, dialog_id: str = ""):
        """Order a dialog, the one on the screen by default, and hand the file to the browser when
        it is there."""
        actor, page = acting(), Page()
        async with self:
            dialog_id = dialog_id or (await self.get_state(ChatState)).dialog_id
            locale = (await self.get_state(UiState)).locale
            self.making, self.error_code = str(format)[:10], ""
            with_reasoning = self.with_reasoning
        try:
            chosen: dict[str, object] = {"dialog_id": dialog_id, "reasoning": with_reasoning}
            row = await services().exports.start(actor, "dialog", format, chosen, locale)
            while row.state in UNDER_WAY and page.is_there:
                await asyncio.sleep(LOOK_S / 2)
                row = await services().exports.get(actor, row.id)
        except AppError as error:
            async with self:
                self.making, self.error_code = "", error.code
            return
        async with self:
            self.making = ""
            self.error_code = row.error_code
        if row.state == JobState.DONE:
            yield rx.download(url=f"/exports/{row.id}/file")


def export_row(row: Export) -> ExportRow:
    size, unit = _size(row.size)
    return ExportRow(
        id=str(row.id),
        kind=row.kind,
        format=row.format,
        state=row.state,
        title=ExportChoice.of_json(row.chosen).title,
        percent=100 * row.done // row.total if row.total else 0,
        done=row.done,
        total=row.total,
        size=size,
        size_unit=unit,
        error_code=row.error_code,
        made=moment_text(row.created_at),
        expires=moment_text(row.expires_at),
    )


def _size(size: int) -> tuple[str, str]:
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.1f}", name
    return str(size), "b"
