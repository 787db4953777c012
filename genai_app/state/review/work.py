"""Handlers that change the review of the open dialog: its state, verdicts, notes and the reveal."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import reflex as rx

from genai_app.access import Actor
from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.rows import note_row

MAX_TEXT_CHARS = 10_000  # read of a form; the service checks the real limits
NOTE_ID = "review-note"
REASON_ID = "review-reason"


class ReviewWorkState(rx.State):
    """Handlers without vars of their own: results and errors are shown by ReviewDialogState."""

    @rx.event
    @allowed(Role.REVIEWER)
    async def take(self):
        await self._change(services().review_work.take)

    @rx.event
    @allowed(Role.REVIEWER)
    async def close(self):
        await self._change(services().review_work.close)

    @rx.event
    @allowed(Role.REVIEWER)
    async def reopen(self):
        await self._change(services().review_work.reopen)

    async def _change(self, step: Callable[[Actor, str], Awaitable[object]]) -> bool:
        """Takes a step on the open dialog and shows the review as it is afterwards. Returns whether
        the step succeeded."""
        dialog = await self.get_state(ReviewDialogState)
        if not dialog.dialog_id:
            return False
        dialog.error_code = ""
        succeeded = True
        try:
            await step(acting(), dialog.dialog_id)
        except AppError as error:
            dialog.error_code, succeeded = error.code, False
        await dialog._refresh()  # after a refusal too: another reviewer may have changed the review
        return succeeded

    @rx.event
    @allowed(Role.REVIEWER)
    async def judge(self, message_id: str, verdict: str):
        """Sets the verdict on an answer."""
        await self._judge(message_id, verdict)

    async def _judge(self, message_id: str, verdict: str) -> None:
        async def step(actor: Actor, _: str) -> None:
            await services().review_work.judge(actor, message_id, verdict)

        if await self._change(step):
            dialog, actor = await self.get_state(ReviewDialogState), acting()
            name = actor.full_name or actor.username
            dialog.messages = [
                replace(row, verdict=verdict, judge=name) if row.id == message_id else row
                for row in dialog.messages
            ]

    @rx.event
    @allowed(Role.REVIEWER)
    async def add_note(self, form: dict[str, str]):
        """Writes a note for other reviewers."""
        text = form.get("note") if isinstance(form, dict) else None
        dialog = await self.get_state(ReviewDialogState)
        if not isinstance(text, str) or not dialog.dialog_id:
            return None
        text, dialog.error_code = text[:MAX_TEXT_CHARS], ""
        try:
            note = await services().review_work.add_note(acting(), dialog.dialog_id, text)
        except AppError as error:
            dialog.error_code = error.code
            return None
        dialog.notes = [*dialog.notes, note_row(note)]
        return rx.set_value(NOTE_ID, "")

    @rx.event
    @allowed(Role.REVIEWER)
    async def reveal(self, form: dict[str, str]):
        """Shows the name of the user, for a reason that the user will see."""
        reason = form.get("reason") if isinstance(form, dict) else None
        dialog = await self.get_state(ReviewDialogState)
        if not isinstance(reason, str) or not dialog.dialog_id:
            return
        reason, dialog.error_code = reason[:MAX_TEXT_CHARS], ""
        try:
            await services().reviews.reveal(acting(), dialog.dialog_id, reason)
        except AppError as error:
            dialog.error_code = error.code
            return
        await dialog._refresh()
        await dialog._read_again()
