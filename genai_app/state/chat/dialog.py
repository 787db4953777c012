"""The dialog on the screen, as the database has it."""

import reflex as rx
from reflex_base.constants.state import FIELD_MARKER

from genai_app.errors import AppError, NotFound
from genai_app.models import Role, Status
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.history import PAGE, Branch
from genai_app.services.dialogs.search import matched_words
from genai_app.state.chat.feedback import FeedbackState
from genai_app.state.chat.queued import QueuedState
from genai_app.state.chat.rows import MessageRow, message_rows


class ChatState(rx.State):
    """Messages of one branch of one dialog, oldest first."""

    dialog_id: str = ""
    title: str = ""
    messages: list[MessageRow] = []
    has_older: bool = False
    at: str = ""  # the message of the address, that was searched for
    marks: list[str] = []  # the words in it that were searched for
    loaded: bool = False
    error_code: str = ""
    over_by: int = 0
    wait_s: int = 0
    most_answers: int = 0

    refused: str = ""  # the last send that was not accepted, by its `key`

    _words: str = ""  # of the search, by the address
    _version: str = ""  # when the dialog on the screen was changed last

    # Kept by the browser's tab, so that a send whose answer was lost with this State is still
    # known by its id when it is sent again.
    send_id: str = rx.SessionStorage("", name="genai_send_id")

    def _show_nothing(self) -> None:
        self.dialog_id = self.title = self.at = self._words = self._version = ""
        self.messages, self.marks = [], []
        self.has_older = False
        self.loaded = True

    def _leave(self) -> None:
        """Another page is opened in this tab."""
        self._show_nothing()
        self.loaded = False
        self.error_code = ""

    async def _show(self, dialog_id: str) -> None:
        """Shows a dialog from the database, or why it cannot be shown."""
        try:
            branch = await services().history.get_branch(
                acting(), dialog_id, limit=self._limit(dialog_id), reaching=self.at or None
            )
            opinions = await services().feedback.of_dialog(acting(), branch.dialog.id)
            await (await self.get_state(QueuedState))._load(dialog_id)
        except AppError as error:
            self._show_nothing()
            self.error_code = "dialog_not_found" if isinstance(error, NotFound) else error.code
            return
        (await self.get_state(FeedbackState))._show(opinions)
        self.dialog_id = str(branch.dialog.id)
        self.title = branch.dialog.title
        self._version = _version_of(branch)
        self.messages = message_rows(branch)
        self.marks = [
            word
            for message in branch.messages
            if self._words and str(message.id) == self.at
            for word in matched_words(message.text, self._words)
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
                acting(), self.dialog_id, limit=self._limit(self.dialog_id)
            )
        except NotFound:
            self._show_nothing()
            self.error_code = "dialog_not_found"
            return
        self.title, self._version = branch.dialog.title, _version_of(branch)
        await (await self.get_state(QueuedState))._load(self.dialog_id)
        if _seen(message_rows(branch))[-len(before) :] == before:
            return
        await self._show(self.dialog_id)

    def _limit(self, dialog_id: str) -> int:
        """A page of messages; in the dialog on the screen as many as were loaded, and a turn."""
        return max(PAGE, len(self.messages) + 2) if dialog_id == self.dialog_id else PAGE

    def _running_answer(self) -> str:
        """Returns the id of the answer that is being written at the end of the dialog, or ""."""
        last = self.messages[-1] if self.messages else None
        return last.id if last is not None and last.status == Status.RUNNING else ""

    @rx.event
    @allowed(Role.USER)
    async def load_older(self, message_id: str = ""):
        """Put older messages above the first one, `message_id`; a second click asks for no more."""
        if not self.messages or not self.has_older:
            return
        if message_id and message_id != self.messages[0].id:
            return
        try:
            branch = await services().history.get_branch(
                acting(), self.dialog_id, above=self.messages[0].id
            )
        except AppError as error:
            self.error_code = error.code
            return
        self.messages = message_rows(branch) + self.messages
        self.has_older = branch.has_older

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
