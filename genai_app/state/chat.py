"""The dialog on the screen: its messages and what the user does to them."""

import uuid
from typing import Any

import reflex as rx
from reflex_base.constants.state import FIELD_MARKER

from genai_app.errors import AppError, NotFound, RateLimited
from genai_app.models import MAX_PROMPT_CHARS, Status
from genai_app.services import services
from genai_app.services.acting import acting
from genai_app.services.chat import Turn
from genai_app.services.history import PAGE
from genai_app.services.limits import Budget
from genai_app.state.dialogs import DialogsState
from genai_app.state.feedback import FeedbackState
from genai_app.state.limits import LimitState
from genai_app.state.rows import MessageRow, message_rows
from genai_app.state.search import SearchState
from genai_app.state.session import SessionState
from genai_app.state.stream import StreamState
from genai_app.state.ui import UiState

COMPOSER_ID = "composer"


class ChatState(rx.State):
    """Messages of one branch of one dialog, oldest first."""

    dialog_id: str = ""
    title: str = ""
    messages: list[MessageRow] = []
    has_older: bool = False
    loaded: bool = False
    error_code: str = ""
    over_by: int = 0
    wait_s: int = 0
    most_answers: int = 0

    _moved: tuple[str, str] = ("", "")  # dialog and socket of our last redirect, until it arrives

    # Kept by the browser's tab, so that a send whose answer was lost with this State is still
    # known by its id when it is sent again.
    send_id: str = rx.SessionStorage("", name="genai_send_id")

    @rx.event
    async def open(self):
        """Build the page from its address and the database. Runs at every load and reconnect."""
        await (await self.get_state(DialogsState))._load()
        if not _is_uuid(self.send_id):
            self.send_id = str(uuid.uuid4())
        dialog_id = _dialog_of(self.router.url.path)
        here, moved = (self.dialog_id, self.router.session.session_id), self._moved
        self._moved = ("", "")
        if dialog_id and dialog_id == self.dialog_id and here == moved:
            return None  # our own redirect after a first question: the rest is on the screen
        (await self.get_state(UiState))._settle()
        (await self.get_state(SessionState))._show(acting())
        self.error_code = ""
        watch = await (await self.get_state(LimitState))._refresh()
        emptied = (await self.get_state(SearchState))._settle()
        if dialog_id is None:
            self._show_nothing()
            (await self.get_state(FeedbackState))._show({})
            if self.router.url.path.strip("/"):
                self.error_code = "not_found_page"
            return _events(emptied, watch)
        return _events(await self._show(dialog_id), emptied, watch)

    def _show_nothing(self) -> None:
        self.dialog_id = self.title = ""
        self.messages = []
        self.has_older = False
        self.loaded = True

    def _leave(self) -> None:
        """Another page is opened in this tab."""
        self._show_nothing()
        self.loaded = False
        self.error_code = ""

    async def _show(self, dialog_id: str):
        try:
            branch = await services().history.get_branch(
                acting(), dialog_id, limit=self._limit(dialog_id)
            )
            said = await services().feedback.of_dialog(acting(), branch.dialog.id)
        except AppError as error:
            self._show_nothing()
            self.error_code = "dialog_not_found" if isinstance(error, NotFound) else error.code
            return None
        (await self.get_state(FeedbackState))._show(said)
        self.dialog_id = str(branch.dialog.id)
        self.title = branch.dialog.title
        self.messages = message_rows(branch)
        self.has_older = branch.has_older
        self.loaded = True
        return self._follow_running()

    def _limit(self, dialog_id: str) -> int:
        """A page of messages; in the dialog on the screen as many as were loaded, and a turn."""
        return max(PAGE, len(self.messages) + 2) if dialog_id == self.dialog_id else PAGE

    def _follow_running(self):
        last = self.messages[-1] if self.messages else None
        if last is not None and last.status == Status.RUNNING:
            return StreamState.follow(last.id)
        return None

    @rx.event
    async def send(self, text: str, length: int, send_id: str):
        """Commit the question, then show it, clear the composer and follow the answer.

        Args:
            text: at most one character more than may be sent; `length` is the whole of it.
        """
        if not isinstance(text, str) or not isinstance(length, int) or not _is_uuid(send_id):
            self.error_code = "invalid_input"
            return
        self.error_code, self.over_by = "", 0
        if max(length, len(text)) > MAX_PROMPT_CHARS:
            self.error_code = "prompt_too_long"
            self.over_by = max(length, len(text)) - MAX_PROMPT_CHARS
            return
        # by the address first: a State that expired while the tab slept has forgotten the dialog
        dialog_id = _dialog_of(self.router.url.path) or self.dialog_id or None
        chat, actor = services().chat, acting()
        key = uuid.UUID(send_id)
        try:
            try:
                turn = await chat.ask(actor, text, client_id=key, dialog_id=dialog_id)
            except AppError as error:
                if error.code != "client_id_reused":
                    raise
                # the earlier send did arrive; this is another text
                turn = await chat.ask(actor, text, client_id=uuid.uuid4(), dialog_id=dialog_id)
        except AppError as error:
            if error.code != "empty_prompt":
                yield await self._refused(error)
            return
        self.send_id = str(uuid.uuid4())
        yield rx.set_value(COMPOSER_ID, "")
        async for event in self._after(turn):
            yield event

    async def _refused(self, error: AppError):
        """Say why no answer was begun. Returns the event that ends the waiting, if any does."""
        self.error_code = "dialog_not_found" if isinstance(error, NotFound) else error.code
        if not isinstance(error, RateLimited):
            return None
        if error.code == "rate_limited":
            self.error_code = "limit_reached"  # what scripts are told in a header is said here
        self.wait_s = error.retry_after_s or 1
        most, budget = error.params.get("limit"), error.params.get("budget")
        self.most_answers = most if isinstance(most, int) else 0
        known = budget if isinstance(budget, Budget) else None
        return await (await self.get_state(LimitState))._refresh(known)

    async def _after(self, turn: Turn):
        """Show a turn that was just committed."""
        first = not self.dialog_id
        watch = await (await self.get_state(LimitState))._refresh(turn.budget)
        follow = await self._show(str(turn.dialog_id))
        # the answer first: the sidebar may follow it, by the load of the new address or by itself
        if first:
            # a page that is loaded again before it arrives has another socket and nothing on screen
            self._moved = (str(turn.dialog_id), self.router.session.session_id)
            then = rx.redirect(f"/c/{turn.dialog_id}", replace=True)
        else:
            then = DialogsState.load
        yield _events(follow, then, watch)

    @rx.event
    async def regenerate(self, answer_id: str):
        try:
            turn = await services().chat.regenerate(acting(), answer_id)
        except AppError as error:
            yield await self._refused(error)
            return
        async for event in self._after(turn):
            yield event

    @rx.event
    async def stop(self, answer_id: str):
        try:
            await services().chat.stop(acting(), answer_id)
        except AppError as error:
            self.error_code = error.code

    @rx.event
    async def choose_answer(self, answer_id: str):
        """Show the branch of another answer to the same question."""
        try:
            dialog_id = await services().history.choose_branch(acting(), answer_id)
        except AppError as error:
            self.error_code = error.code
            return None
        return await self._show(str(dialog_id))

    @rx.event
    async def load_older(self):
        if not self.messages or not self.has_older:
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
    def dismiss_error(self):
        self.error_code = ""


def _events(*events: Any) -> list[Any]:
    """Those of `events` that there are, in order."""
    return [event for event in events if event is not None]


def error_delta(code: str) -> dict[str, dict[str, str]]:
    """What shows the sentence for `code` on a page past its State."""
    return {ChatState.get_full_name(): {"error_code" + FIELD_MARKER: code}}


def _is_uuid(value: object) -> bool:
    if not isinstance(value, str) or len(value) != 36:
        return False
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _dialog_of(path: str) -> str | None:
    """The dialog that an address names; None for a new one."""
    parts = [part for part in path.split("/") if part]
    return parts[1] if len(parts) == 2 and parts[0] == "c" else None
