"""Handlers of the chat page: open a dialog, ask, ask again, stop."""

import uuid
from typing import Any

import reflex as rx

from genai_app.errors import AppError, NotFound, RateLimited
from genai_app.models import QueuedQuestion, Role, Variant
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.chat.placement import Options
from genai_app.services.chat.turns import Turn
from genai_app.services.limits.rate import Budget
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.draft_files import DraftFilesState, checked_ids
from genai_app.state.chat.feedback import FeedbackState
from genai_app.state.chat.limits import LimitState
from genai_app.state.chat.queued import QueuedState
from genai_app.state.chat.reasoning import ReasoningState
from genai_app.state.chat.search import SearchState
from genai_app.state.chat.sends import MAX_KEY, ask_under, is_uuid, refusal_of
from genai_app.state.chat.stream import StreamState
from genai_app.state.session import SessionState
from genai_app.state.tab import TabState
from genai_app.state.ui import UiState
from genai_app.stemming import MAX_QUERY_CHARS

COMPOSER_ID = "composer"
MOST_KEPT = 100  # messages that every new question sends again


class ConversationState(ChatState):
    """The handlers of the chat page. Their events go on in StreamState, LimitState and TabState,
    which know the dialog on the screen but not this State."""

    _moved: tuple[str, str] = ("", "")  # dialog and socket of our last redirect, until it arrives

    @rx.event
    @allowed(Role.USER)
    async def open(self):
        """Build the page from its address and the database. Runs at every load and reconnect."""
        await (await self.get_state(DialogsState))._load()
        if not is_uuid(self.send_id):
            self.send_id = str(uuid.uuid4())
        dialog_id = _dialog_of(self.router.url.path)
        here, moved = (self.dialog_id, self.router.session.session_id), self._moved
        self._moved = ("", "")
        if dialog_id and dialog_id == self.dialog_id and here == moved:
            # our own redirect after a first question: the rest is on the screen; but a new address
            # ends the events that the loading of the last one began
            return TabState.watch
        (await self.get_state(UiState))._settle()
        (await self.get_state(SessionState))._show(acting())
        self.error_code = self.refused = ""
        watch = await (await self.get_state(LimitState))._refresh()
        await (await self.get_state(ReasoningState))._refresh()
        (await self.get_state(DraftFilesState))._settle()
        emptied = (await self.get_state(SearchState))._settle()
        if dialog_id is None:
            await self._show_nothing()
            (await self.get_state(FeedbackState))._show({})
            if self.router.url.path.strip("/"):
                self.error_code = "not_found_page"
            return _events(emptied, watch, TabState.watch)
        query = self.router.url.query_parameters
        at, before = query.get("at", ""), (self.dialog_id, self.at)
        self.at = at if is_uuid(at) else ""
        self._words = str(query.get("words", ""))[:MAX_QUERY_CHARS]
        await self._show(dialog_id)
        if self.at and self.messages and (self.dialog_id, self.at) != before:
            await self._reach_hit()
        return _events(self._follow(), emptied, watch, TabState.watch)

    async def _reach_hit(self) -> None:
        """Shows the branch of the message of the address, where another one was looked at last."""
        if self.at in [row.id for row in await self._rows_on_screen()]:
            return
        try:
            await services().history.choose_branch(acting(), self.at, within=self.dialog_id)
        except AppError as error:
            self.error_code = "hit_gone" if isinstance(error, NotFound) else error.code
            return
        services().dialog_changes.look_soon()
        await self._show(self.dialog_id)

    def _follow(self):
        """Returns the event that follows the answer that is being written; None if none is."""
        answer_id = self._running_answer()
        return StreamState.follow(answer_id) if answer_id else None

    @rx.event
    @allowed(Role.USER)
    async def send(
        self,
        text: str,
        length: int,
        send_id: str,
        key: str = "",
        place: str = "",
        files: list[str] | None = None,
    ):
        """Commit the question, then show it, clear the composer and follow the answer. While an
        answer of the dialog runs, the question is queued instead.

        Args:
            text: at most one character more than may be sent; `length` is the whole of it.
            key: names this attempt in `refused`, so that the page stops repeating it.
            place: the address where it was written; the page may show another one by now.
            files: the ids of those that are attached.
        """
        attached = checked_ids(files or [])
        if attached is None or not all(isinstance(each, str) for each in (text, key, place)):
            return
        self.error_code, self.over_by = refusal_of(text, length, send_id)
        if self.error_code:
            self.refused = key[:MAX_KEY]
            return
        try:
            turn = await self._ask(text, uuid.UUID(send_id), self._dialog_at(place), attached)
        except AppError as error:
            self.refused = key[:MAX_KEY]
            if error.code != "empty_prompt":
                yield await self._refused(error)
            return
        services().dialog_changes.look_soon()
        self.send_id = str(uuid.uuid4())  # the page empties its composer by this
        yield
        if self._is_elsewhere(place):
            yield DialogsState.load
            return
        if isinstance(turn, QueuedQuestion):
            await (await self.get_state(QueuedState))._load(str(turn.dialog_id))
            return
        async for event in self._after(turn):
            yield event

    async def _ask(
        self, text: str, client_id: uuid.UUID, dialog_id: str | None, files: list[str]
    ) -> Turn | QueuedQuestion:
        options = Options(sampling=(await self.get_state(ReasoningState))._sampling())
        ask, actor = services().queued_questions.ask, acting()
        return await ask_under(
            client_id,
            text,
            lambda key: ask(
                actor, text, client_id=key, dialog_id=dialog_id, options=options, attachments=files
            ),
        )

    def _dialog_at(self, written_at: str) -> str | None:
        """Returns the dialog of a question that was written at that address; None for a new one."""
        if self._is_elsewhere(written_at):
            return _dialog_of(written_at)
        # by the address first: a State that expired while the tab slept has forgotten the dialog
        return _dialog_of(self.router.url.path) or self.dialog_id or None

    def _is_elsewhere(self, written_at: str) -> bool:
        """Returns whether the page has gone to another address than `written_at` since."""
        return bool(written_at) and _dialog_of(written_at) != _dialog_of(self.router.url.path)

    async def _refused(self, error: AppError):
        """Say why no answer was begun. Returns the event that ends the waiting, if any does."""
        self.error_code = "dialog_not_found" if isinstance(error, NotFound) else error.code
        if error.code == "file_not_found":
            self.error_code = "file_gone"
        self.file_names = str(error.params.get("names", ""))
        if not isinstance(error, RateLimited):
            return None
        if error.code == "rate_limited":
            self.error_code = "limit_reached"  # what scripts are told in a header is said here
        self.wait_s = error.retry_after_s or 1
        most, budget = error.params.get("limit"), error.params.get("budget")
        self.most_answers = most if isinstance(most, int) else 0
        left = budget if isinstance(budget, Budget) else None
        return await (await self.get_state(LimitState))._refresh(left)

    async def _after(self, turn: Turn):
        """Show a turn that was just committed."""
        first = not self.dialog_id
        if len(self.messages) > MOST_KEPT:
            # whoever asks is at the end; what stands above is loaded again when it is wanted
            self.messages = self.messages[-MOST_KEPT:]
        watch = await (await self.get_state(LimitState))._refresh(turn.budget)
        await self._show(str(turn.dialog_id))
        # the answer first: the sidebar may follow it, by the load of the new address or by itself
        if first:
            # a page that is loaded again before it arrives has another socket and nothing on screen
            self._moved = (str(turn.dialog_id), self.router.session.session_id)
            then = rx.redirect(f"/c/{turn.dialog_id}", replace=True)
        else:
            then = DialogsState.load
        yield _events(self._follow(), then, watch)

    @rx.event
    @allowed(Role.USER)
    async def regenerate(self, answer_id: str, variant: str = ""):
        """Ask for another answer. `variant`: `shorter`, `longer` or "" for one of the same kind."""
        if variant not in ("", *Variant):
            self.error_code = "invalid_input"
            return
        wish = Variant(variant) if variant else None
        sampling = (await self.get_state(ReasoningState))._sampling()
        try:
            turn = await services().chat.regenerate(acting(), answer_id, wish, sampling=sampling)
        except AppError as error:
            yield await self._refused(error)
            return
        services().dialog_changes.look_soon()
        async for event in self._after(turn):
            yield event

    @rx.event
    @allowed(Role.USER)
    async def stop(self, answer_id: str):
        try:
            await services().chat.stop(acting(), answer_id)
        except AppError as error:
            self.error_code = error.code

    @rx.event
    @allowed(Role.USER)
    async def choose_answer(self, answer_id: str):
        """Show the branch of another answer to the same question, or of another question."""
        try:
            dialog_id = await services().history.choose_branch(acting(), answer_id)
            services().dialog_changes.look_soon()
        except AppError as error:
            self.error_code = error.code
            return None
        await self._show(str(dialog_id), reaching=answer_id)
        return self._follow()


def _events(*events: Any) -> list[Any]:
    """Those of `events` that there are, in order."""
    return [event for event in events if event is not None]


def _dialog_of(path: str) -> str | None:
    """The dialog that an address names; None for a new one."""
    parts = [part for part in path.split("/") if part]
    return parts[1] if len(parts) == 2 and parts[0] == "c" else None
