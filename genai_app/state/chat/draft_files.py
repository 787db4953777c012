"""Files that are attached to a question before it is sent. Which they are the browser keeps, beside
the draft; here is how far the server has read them."""

import reflex as rx

from genai_app.access import Actor
from genai_app.errors import AppError, NotFound
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.files.files import MAX_ATTACHED
from genai_app.services.jobs.lease import UNDER_WAY
from genai_app.state.chat.sends import is_uuid
from genai_app.state.files import FileRow, file_row, gone_row
from genai_app.state.jobs import show_until_ended

__all__ = ["MAX_ATTACHED", "DraftFilesState"]  # the bound is the components', too


class DraftFilesState(rx.State):
    """The files on the chips of the composer, and how large one may be."""

    files: list[FileRow] = []
    limit_mb: int = 0

    def _settle(self) -> None:
        self.limit_mb = services().settings.file_max_mb

    @rx.event
    @allowed(Role.USER)
    async def show(self, file_ids: list[str]):
        """Show files of the user, and follow those that are being read."""
        ids = checked_ids(file_ids)
        if ids is None:
            return None
        try:
            rows = await rows_of(ids)
        except AppError:  # the browser asks again with the next sign of life
            return None
        self.files = rows
        return DraftFilesState.follow if any(row.state in UNDER_WAY for row in rows) else None

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def follow(self):
        """Show how far they are until all are read, as long as the page is there."""
        actor = acting()
        async with self:
            ids = [row.id for row in self.files]

        async def read() -> list[FileRow]:
            return await rows_of(ids, actor)

        await show_until_ended(self, "files", read)

    @rx.event
    @allowed(Role.USER)
    async def discard(self, file_id: str):
        """Delete a file that no question has; others stay with their question."""
        if not is_uuid(file_id):
            return
        self.files = [row for row in self.files if row.id != file_id]
        try:
            row = await services().files.get(acting(), file_id)
            if row.dialog_id is None:
                await services().files.delete(acting(), file_id)
        except AppError:  # gone already, or the daily cleaning removes it
            return


def checked_ids(file_ids: object) -> list[str] | None:
    """Returns the ids of files that a page sent, each once; None for anything else."""
    if not isinstance(file_ids, list) or len(file_ids) > MAX_ATTACHED:
        return None
    if not all(is_uuid(each) for each in file_ids):
        return None
    return list(dict.fromkeys(file_ids))


async def rows_of(ids: list[str], actor: Actor | None = None) -> list[FileRow]:
    """Returns the rows of the actor's files, in this order."""
    rows: list[FileRow] = []
    for file_id in ids:
        try:
            rows.append(file_row(await services().files.get(actor or acting(), file_id)))
        except NotFound:
            rows.append(gone_row(file_id))
    return rows
