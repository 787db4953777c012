"""Handlers of the branches of a dialog: edit a question, continue an answer that was cut."""

import uuid

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.chat.placement import Fork, Options
from genai_app.services.chat.turns import Turn
from genai_app.state.chat.conversation import ConversationState
from genai_app.state.chat.draft_files import checked_ids
from genai_app.state.chat.reasoning import ReasoningState
from genai_app.state.chat.sends import MAX_KEY, ask_under, refusal_of
from genai_app.state.files import GONE, FileRow


class BranchState(ConversationState):
    """The question that is being edited. Its text is in the browser until it is committed: see
    components/chat/edit.py."""

    edited: str = ""  # the id of the question whose field is open
    accepted: str = ""  # the last edit that was committed, by its `send_id`
    declined: str = ""  # the last edit that was not accepted, by its `key`
    edited_files: list[FileRow] = []  # of that question, which the new one keeps

    @rx.event
    @allowed(Role.USER)
    async def begin_edit(self, question_id: str):
        """Open the field of a question on the screen; "" closes it."""
        shown = [row for row in await self._rows_on_screen() if row.id == question_id]
        self.edited = question_id if shown else ""
        self.edited_files = [each for row in shown for each in row.files if each.state != GONE]

    @rx.event
    @allowed(Role.USER)
    def drop_file(self, file_id: str):
        """Leave a file out of the question that is being edited."""
        self.edited_files = [row for row in self.edited_files if row.id != file_id]

    @rx.event
    @allowed(Role.USER)
    async def edit(
        self,
        question_id: str,
        text: str,
        length: int,
        send_id: str,
        key: str = "",
        files: list[str] | None = None,
    ):
        """Commit another question beside an old one, then show it and follow its answer. The field
        stays open, with its text, until then.

        Args:
            text: at most one character more than may be sent; `length` is the whole of it.
            key: names this attempt in `declined`, so that the page stops repeating it.
            files: the ids of those of the old question that it keeps; None for all.
        """
        kept = checked_ids(files or [])
        if kept is None or not all(isinstance(each, str) for each in (question_id, text, key)):
            return
        self.error_code, self.over_by = refusal_of(text, length, send_id)
        if self.error_code:
            self.declined = key[:MAX_KEY]
            return
        try:
            turn = await self._ask_beside(
                question_id, text, uuid.UUID(send_id), None if files is None else kept
            )
        except AppError as error:
            self.declined = key[:MAX_KEY]
            yield await self._refused(error)
            return
        self.edited, self.accepted = "", send_id
        services().dialog_changes.look_soon()
        async for event in self._after(turn):
            yield event

    @rx.event
    @allowed(Role.USER)
    async def continue_answer(self, answer_id: str):
        """Have the model go on with an answer that was cut, and follow it."""
        self.error_code = ""
        sampling = (await self.get_state(ReasoningState))._sampling()
        try:
            turn = await services().chat.continue_answer(acting(), answer_id, sampling=sampling)
        except AppError as error:
            yield await self._refused(error)
            return
        services().dialog_changes.look_soon()
        async for event in self._after(turn):
            yield event

    async def _ask_beside(
        self, question_id: str, text: str, client_id: uuid.UUID, files: list[str] | None
    ) -> Turn:
        chat, actor, fork = services().chat, acting(), Fork(beside=question_id)
        options = Options(sampling=(await self.get_state(ReasoningState))._sampling())
        return await ask_under(
            client_id,
            text,
            lambda key: chat.ask(
                actor, text, client_id=key, options=options, fork=fork, attachments=files
            ),
        )
