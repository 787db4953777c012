"""Imports of the user: how far each is, and what came of it. The list follows them by itself."""

import json
from dataclasses import dataclass

import reflex as rx

from genai_app.errors import AppError
from genai_app.i18n import LOCALES, plural, translate
from genai_app.models import BackgroundJob, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.imports.counts import ImportCounts
from genai_app.services.imports.reader.frames import MAX_FILE_BYTES
from genai_app.state.dates import moment_text
from genai_app.state.jobs import end_job, show_until_ended

LARGEST_FILE = MAX_FILE_BYTES
OTHERS = {
    "repeated": "import.repeated",
    "deleted": "import.deleted",
    "expired": "import.expired",
    "empty": "import.empty",
    "unread": "import.unread",
    "cut": "import.cut",
}
STOPPED = {
    "damaged": "import.stopped_damaged",
    "too_large": "import.stopped_too_large",
    "too_many": "import.stopped_too_many",
}


@dataclass
class ImportRow:
    """An import. Texts by language."""

    id: str
    name: str
    state: str
    percent: int
    error_code: str
    result: dict[str, str]
    made: dict[str, str]


class ImportsState(rx.State):
    """The user's imports, newest first."""

    imports: list[ImportRow] = []
    error_code: str = ""

    async def _load(self) -> None:
        try:
            rows = await services().imports.list(acting())
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.imports = [import_row(each) for each in rows]

    @rx.event
    @allowed(Role.USER)
    async def uploaded(self):
        """Shows the import of a file that the browser has just sent."""
        await self._load()
        return ImportsState.follow

    @rx.event
    @allowed(Role.USER)
    async def cancel(self, import_id: str):
        """Cancels an import. The dialogs that came already stay."""
        await end_job(self, services().imports.cancel(acting(), import_id))

    @rx.event
    @allowed(Role.USER)
    async def remove(self, import_id: str):
        await end_job(self, services().imports.remove(acting(), import_id))

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def follow(self):
        """Shows how far they are until all have ended, as long as the page is there."""
        actor = acting()

        async def read() -> list[ImportRow]:
            return [import_row(each) for each in await services().imports.list(actor)]

        await show_until_ended(self, "imports", read)


def import_row(row: BackgroundJob) -> ImportRow:
    counts = ImportCounts.of_json(row.result)
    return ImportRow(
        id=str(row.id),
        name=str(json.loads(row.chosen).get("name", "")),
        state=row.state,
        percent=100 * row.done // row.total if row.total else 0,
        error_code=row.error_code,
        result={locale: result_text(locale, counts) for locale in LOCALES},
        made=moment_text(row.created_at),
    )


def result_text(locale: str, counts: ImportCounts) -> str:
    """Returns the result in words: what came, then why others did not."""
    parts = [translate(locale, "import.nothing")]
    if counts.imported:
        forms = plural(locale, counts.imported, "import.imported")
        parts = [forms.format(count=counts.imported)]
    for name, key in OTHERS.items():
        count = getattr(counts, name)
        if count:
            parts.append(plural(locale, count, key).format(count=count))
    text = ", ".join(parts) + "."
    if counts.stopped not in STOPPED:
        return text
    return f"{text} {translate(locale, STOPPED[counts.stopped])}"
