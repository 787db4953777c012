"""The dialog on the screen, as the database has it."""

import reflex as rx
from reflex_base.constants.state import FIELD_MARKER

from genai_app.errors import AppError, NotFound
from genai_app.models import Role, Status
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.branches import Branch
from genai_app.services.dialogs.search import matched_words
from genai_app.state.chat.earlier import EarlierState
from genai_app.state.chat.feedback import FeedbackState
from genai_app.state.chat.queued import QueuedState
from genai_app.state.chat.rows import MessageRow, message_rows
from genai_app.state.chat.shown_files import with_files


class ChatState(rx.State):
    """The newest messages of one branch of one dialog, oldest first; those before them are in
    EarlierState."""

    dialog_id: str = ""
    title: str = ""
    messages: list[MessageRow] = []
    has_older: bool = False  # there are messages before the first of these
    at: str = ""  # the message of the address, that was searched for
    marks: list[str] = []  # the words in it that were searched for
    loaded: bool = False
    error_code: str = ""
    over_by: int = 0
    wait_s: int = 0
    most_answers: int = 0
    file_names: str = ""  # of the files that an error is about

    refused: str = ""  # the last send that was not accepted, by its `key`

    _words: str = ""  # of the search, by the address
    _version: str = ""  # when the dialog on the screen was changed last

    # Kept by the browser's tab, so that a send whose answer was lost with this State is still
    # known by its id when it is sent again.
    send_id: str = rx.SessionStorage("", name="genai_send_id")

    async def _show_nothing(self) -> None:
        (await self.get_state(EarlierState))._clear()
        self.dialog_id = self.title = self.at = self._words = self._version = ""
        self.messages, self.marks = [], []
        self.has_older = False
        self.loaded = True

    async def _leave(self) -> None:
        """Another page is opened in this tab."""
        await self._show_nothing()
        self.loaded = False
        self.error_code = ""

    async def _show(self, dialog_id: str, reaching: str = "") -> None:
        """Shows a dialog from the database, or why it cannot be shown.

        Args:
            reaching: a message that shall be on the screen, where it is near the end.
        """
        earlier = await self.get_state(EarlierState)
        try:
            branch = await services().history.get_branch(
                acting(),
                dialog_id,
                reaching=self.at or reaching or None,
                since=self._since(dialog_id),
            )
            branch = await with_files(branch, acting())
            around = await self._around(branch)
            opinions = await services().feedback.of_dialog(acting(), branch.dialog.id)
            await (await self.get_state(QueuedState))._load(dialog_id)
        except AppError as error:
            await self._show_nothing()
            self.error_code = "dialog_not_found" if isinstance(error, NotFound) else error.code
            return
        (await self.get_state(FeedbackState))._show(opinions)
        self.dialog_id = str(branch.dialog.id)
        self.title = branch.dialog.title
        self._version = _version_of(branch)
        self.messages = message_rows(branch)
        if around is None:
            earlier._fit(branch)
        else:
            earlier._show_hit(around, branch)
        self.marks = [
            word
            for row in await self._rows_on_screen()
            if self._words and row.id == self.at
            for word in matched_words(row.text, self._words)
        ]
        self.has_older = branch.has_older
        self.loaded = True

    async def _catch_up(self, moments: dict[str, str]) -> None:
        """Shows what another tab or channel did to the dialog on the screen.

        Args:
            moments: when dialogs were changed last, by id.
        """
        if moments.get(self.dialog_id, self._version) == self._version:
            return
        before = _seen(self.messages)
        try:
            branch = await services().history.get_branch(
                acting(), self.dialog_id, since=self._since(self.dialog_id)
            )
        except NotFound:
            await self._show_nothing()
            self.error_code = "dialog_not_found"
            return
        self.title, self._version = branch.dialog.title, _version_of(branch)
        await (await self.get_state(QueuedState))._load(self.dialog_id)
        if _seen(message_rows(branch)) != before:
            await self._show(self.dialog_id)

    def _since(self, dialog_id: str) -> str | None:
        """Returns the first message of the dialog on the screen, which is read again from there;
        None for another one."""
        return self.messages[0].id if self.messages and dialog_id == self.dialog_id else None

    async def _around(self, newest: Branch) -> Branch | None:
        """Returns the messages around the one of the address, where that is far above `newest` and
        not on the screen yet."""
        if not self.at or self.at in [str(message.id) for message in newest.messages]:
            return None
        rows = (await self.get_state(EarlierState))._rows()
        if str(newest.dialog.id) == self.dialog_id and self.at in [row.id for row in rows]:
            return None
        try:
            part = await services().history.get_part(acting(), newest.dialog.id, around=self.at)
            return await with_files(part, acting())
        except NotFound:  # it is in another branch, or gone
            return None

    async def _rows_on_screen(self) -> list[MessageRow]:
        """Returns the newest messages, then those above them."""
        return [*self.messages, *(await self.get_state(EarlierState))._rows()]

    def _running_answer(self) -> str:
        """Returns the id of the answer that is being written at the end of the dialog, or ""."""
        last = self.messages[-1] if self.messages else None
        return last.id if last is not None and last.status == Status.RUNNING else ""

    @rx.event
    @allowed(Role.USER)
    def dismiss_error(self):
        self.error_code = ""


def _seen(rows: list[MessageRow]) -> list[tuple[object, ...]]:
    """Returns what another tab may change of messages: an answer that goes on is the same one."""
    return [(row.id, row.siblings, row.status, row.text) for row in rows]


def _version_of(branch: Branch) -> str:
    changed_at = branch.dialog.changed_at
    return changed_at.isoformat() if changed_at else ""


def error_delta(code: str) -> dict[str, dict[str, str]]:
    """Returns the delta that shows the sentence for `code` on a page, past its State."""
    return {ChatState.get_full_name(): {"error_code" + FIELD_MARKER: code}}
