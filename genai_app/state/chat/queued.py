"""Questions that wait for the end of an answer: the cards above the composer."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import reflex as rx

from genai_app.errors import AppError, NotFound
from genai_app.models import MAX_PROMPT_CHARS, QueuedQuestion, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.chat.placement import attachments_of_json
from genai_app.services.chat.queue_sender import PASSING
from genai_app.services.chat.turns import EDITING
from genai_app.state.chat.draft_files import rows_of
from genai_app.state.files import FileRow

__all__ = ["EDITING", "PASSING", "QueuedRow", "QueuedState"]  # the codes are the components', too

SHOWN_CHARS = 400  # of a question on its card, which has two lines


@dataclass
class QueuedRow:
    """A question that waits. `error_code`: why it was not sent."""

    id: str
    text: str
    error_code: str
    files: list[FileRow] = field(default_factory=list[FileRow])


class QueuedState(rx.State):
    """The questions that wait in the dialog on the screen, and the one that is being changed. A
    State of its own, so that a card does not send all messages again."""

    dialog_id: str = ""
    questions: list[QueuedRow] = []
    editing: str = ""
    edited_text: str = ""  # of the question `editing`, before the change
    error_code: str = ""

    async def _load(self, dialog_id: str) -> None:
        """Shows what waits in a dialog of the user."""
        try:
            questions = await services().queued_questions.list(acting(), dialog_id)
            rows = [await _row(each) for each in questions]
        except AppError:  # what fails for the same cause says so itself; the next change shows it
            return
        if dialog_id != self.dialog_id:
            self.dialog_id, self.editing, self.error_code = dialog_id, "", ""
        self.questions = rows
        if self.editing and self.editing not in [each.id for each in self.questions]:
            self.editing, self.error_code = "", "question_gone"

    @rx.event
    @allowed(Role.USER)
    async def begin_edit(self, question_id: str):
        """Keep a question from being sent, and show it in a field."""
        if self.editing and self.editing != question_id:
            await self._change(services().queued_questions.cancel_edit(acting(), self.editing))
        self.editing = ""
        try:
            text = await services().queued_questions.begin_edit(acting(), question_id)
        except AppError as error:
            await self._refused(error)
            return
        self.editing, self.edited_text, self.error_code = question_id, text, ""
        services().dialog_changes.look_soon()

    @rx.event
    @allowed(Role.USER)
    async def cancel_edit(self):
        question_id, self.editing = self.editing, ""
        if question_id:
            await self._change(services().queued_questions.cancel_edit(acting(), question_id))

    @rx.event
    @allowed(Role.USER)
    async def save(self, question_id: str, text: str):
        """Keep the changed text; the field stays open where it cannot be kept."""
        if not isinstance(text, str):
            self.error_code = "invalid_input"
            return
        cut = text[: MAX_PROMPT_CHARS + 1]
        if await self._change(services().queued_questions.edit(acting(), question_id, cut)):
            self.editing = ""

    @rx.event
    @allowed(Role.USER)
    async def delete(self, question_id: str):
        await self._change(services().queued_questions.delete(acting(), question_id))

    @rx.event
    @allowed(Role.USER)
    async def send_now(self, question_id: str):
        """Stop the running answer and send this question next."""
        await self._change(services().queued_questions.send_now(acting(), question_id))

    @rx.event
    @allowed(Role.USER)
    def dismiss_error(self):
        self.error_code = ""

    async def _change(self, work: Awaitable[None]) -> bool:
        """Does a change and shows what waits then. Returns whether it was done."""
        try:
            await work
        except AppError as error:
            await self._refused(error)
            return False
        self.error_code = ""
        services().dialog_changes.look_soon()
        if self.dialog_id:
            await self._load(self.dialog_id)
        return True

    async def _refused(self, error: AppError) -> None:
        self.error_code = "question_gone" if isinstance(error, NotFound) else error.code
        if isinstance(error, NotFound) and self.dialog_id:
            await self._load(self.dialog_id)


async def _row(question: QueuedQuestion) -> QueuedRow:
    files = await rows_of([str(each) for each in attachments_of_json(question.attachments)])
    text, code = question.text[:SHOWN_CHARS], question.error_code or ""
    return QueuedRow(str(question.id), text, code, files)
