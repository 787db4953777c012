"""The answer that is being written. A State of its own, so that a flush draws nothing else again.

Its slots are written straight to the client's socket instead of through the State's lock, copy and
diff: a flush costs a third, and nothing is lost by it, because the State holds no truth. Whoever
connects again starts from the database by `ConversationState.open`: docs/adr/0006-live-answer.md.
"""

import asyncio
from contextlib import aclosing

import reflex as rx
from reflex_base.constants.state import FIELD_MARKER
from reflex_base.event.context import EventContext

from genai_app.errors import AppError, NotFound, StorageUnavailable
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.generation.checkpoints import RESTARTING, End, Increment
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.earlier import EarlierState
from genai_app.state.chat.live_reasoning import FACTS, LiveReasoning, text_slots
from genai_app.state.chat.live_text import LiveText, slot_names
from genai_app.state.chat.queued import QueuedState
from genai_app.state.chat.rows import message_rows
from genai_app.state.chat.shown_files import with_files
from genai_app.state.presence import Page

FLUSH_S = 0.1
FLUSH_PER_FOLLOWER_S = 0.001  # a busy process draws less often rather than later and later
MAX_FLUSH_S = 0.4
RETRY_S = 1.0
ENDED_BY_AN_END = ("answer_running", "too_many_answers")  # errors that say to wait for an answer

_followers = 0


class StreamState(rx.State):
    """Slots of the growing answer (see live_text.py); their values never rest on the server."""

    _answer_id: str = ""  # whose text is in them, whole or in part

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def follow(self, message_id: str):
        """Show an answer from its first word until it ends, then hand it to the dialog."""
        global _followers
        _followers += 1
        try:
            async with self:
                again, self._answer_id = self._answer_id == message_id, message_id
            next_id = ""
            while True:
                restarting = await _show_growing(message_id, again)
                again = True
                next_id = await self._hand_over(message_id)
                # another tab may have it go on at this very moment
                if next_id != message_id or restarting:
                    break
        except NotFound:
            return
        finally:
            _followers -= 1
        if next_id not in ("", message_id):
            yield StreamState.follow(next_id)

    async def _hand_over(self, message_id: str) -> str:
        """Replaces the growing answer by the saved one, in one update. Returns the answer that is
        being written now: the same one again, or that to a question that waited; "" where none
        is."""
        actor = acting()
        async with self:
            chat = await self.get_state(ChatState)
            dialog_id, since = chat.dialog_id, chat._since(chat.dialog_id)
            if not any(row.id == message_id for row in chat.messages):
                return ""
        try:
            branch = await services().history.get_branch(actor, dialog_id, since=since)
            branch = await with_files(branch, actor)
        except AppError as error:
            async with self:
                (await self.get_state(ChatState)).error_code = error.code
            return ""
        async with self:
            chat = await self.get_state(ChatState)
            if chat.dialog_id == dialog_id:
                if chat.error_code in ENDED_BY_AN_END:
                    chat.error_code = ""
                chat.messages = message_rows(branch)
                chat.has_older = branch.has_older
                (await self.get_state(EarlierState))._fit(branch)
                queued = await self.get_state(QueuedState)
                if queued.questions:  # a question is a card or a message, never both
                    await queued._load(dialog_id)
                return chat._running_answer()
        return ""


for _name in slot_names():
    StreamState.add_var(_name, str, "")
StreamState.add_var("tail_plain", str, "")  # not "": the block that grows is shown as it is
for _name in text_slots():
    StreamState.add_var(_name, str, "")
for _name, _value in FACTS.items():
    StreamState.add_var(_name, type(_value), _value)
StreamState.add_var("place", int, 0)  # of the answer in line; 0 when it does not wait

_STATE = StreamState.get_full_name()


async def _show_growing(message_id: str, again: bool) -> bool:
    """Write increments to the page until the answer ends; none to a page that took its place, which
    is written by its own event. Returns whether it goes on in another process, as this one ends.

    Args:
        again: what is on the page is of this answer, and stays until more of it comes.
    """
    growing, position = _GrowingAnswer(), 0
    context, page = EventContext.get(), Page()
    end: End | None = None
    if page.is_there:
        await _emit(context, None if again else growing, 0)
    while True:
        pause_s = min(FLUSH_S + _followers * FLUSH_PER_FOLLOWER_S, MAX_FLUSH_S)
        increments = services().chat.follow(
            acting(),
            message_id,
            from_length=growing.text_length,
            reasoning_from=growing.reasoning_length,
            pause_s=pause_s,
            positions=True,
        )
        try:
            async with aclosing(increments):
                async for increment in increments:
                    if increment.anew:
                        growing = _GrowingAnswer()
                    growing.feed(increment)
                    moved = increment.position if increment.position != position else None
                    position = increment.position
                    if (growing.has_news or moved is not None) and page.is_there:
                        await _emit(context, growing, moved)
                    end = increment.end
            return end is RESTARTING
        except StorageUnavailable:
            await asyncio.sleep(RETRY_S)


class _GrowingAnswer:
    """The text and the reasoning of an answer, as far as they have come."""

    def __init__(self) -> None:
        self.text_length = self.reasoning_length = 0
        self.has_news = True
        self._text = LiveText()
        self._reasoning = LiveReasoning()

    def feed(self, increment: Increment) -> None:
        self.text_length += len(increment.text)
        self.reasoning_length += len(increment.reasoning)
        self.has_news = bool(increment.text or increment.reasoning or increment.anew)
        self._text.feed(increment.text)
        answers = bool(self.text_length)
        self._reasoning.feed(increment.reasoning, increment.reasoning_ms, answers=answers)

    def changes(self) -> dict[str, str | int]:
        """Returns the slots to write, by name."""
        return self._text.changes() | self._reasoning.changes()


async def _emit(
    context: EventContext, growing: _GrowingAnswer | None, position: int | None
) -> None:
    """Send what changed. None for what did not."""
    slots = growing.changes() if growing is not None else {}
    changed: dict[str, str | int] = {name + FIELD_MARKER: value for name, value in slots.items()}
    if position is not None:
        changed["place" + FIELD_MARKER] = position
    await context.emit_delta({_STATE: changed})
