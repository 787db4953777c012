"""Titles of dialogs that the model writes, under GENAI_TITLES=model.

A title is asked for after a whole answer, only while the model has nothing else to do, and at most
MOST_TRIES times for a dialog. Whoever ends the answer claims the title in the database, so that one
process asks; a process that dies leaves the title of then, and the next answer tries again. A title
is no answer: it takes no unit of a limit and is no message.

Dialogs that an API key began keep the words of their first question: a program begins thousands,
which nobody looks for by their titles.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import metrics
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.db.database import Database
from genai_app.errors import AppError, StorageUnavailable
from genai_app.models import Author, Dialog, Message, Status, TitledBy
from genai_app.models.database_time import database_now
from genai_app.services.chat.reasoning import ReasoningSwitch, Sampling, reasoning_parameters
from genai_app.services.chat.title_text import title_in, title_turns
from genai_app.services.dialogs.history import load_branch
from genai_app.services.files.usage import files_used
from genai_app.services.generation.context_fit import Request
from genai_app.services.generation.local_queue import busy
from genai_app.services.generation.model_call import ModelCall
from genai_app.services.generation.slots import ModelSlots

log = structlog.stdlib.get_logger(__name__)

MOST_TRIES = 3  # for a dialog
MOST_NOTED = 20  # answers whose dialogs wait for a title here; the oldest are left out
MESSAGES = 4  # of the branch that the model sees
TITLE_TOKENS = 64
THINKING_TOKENS = 1024  # for a model that thinks whatever it is told
CALL_S = 30.0
LEASE_S = CALL_S + 15.0
LOOK_S = 0.05  # between two looks whether somebody waits for the model


@dataclass(frozen=True, slots=True)
class ClaimedTitle:
    """A title that this process writes. `title`: the one that it replaces."""

    dialog_id: uuid.UUID
    title: str
    turns: list[ChatTurn]


class Titles:
    """Has the model write titles, one at a time.

    Args:
        slots: a title is asked for only where one is free at once.
        by_model: False: every title stays as it is.
        on_change: called after a dialog has got a title.
    """

    def __init__(
        self,
        db: Database,
        llm: LlmClient,
        slots: ModelSlots,
        reasoning: ReasoningSwitch,
        *,
        by_model: bool,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._llm = llm
        self._slots = slots
        self._reasoning = reasoning
        self._by_model = by_model
        self._on_change = on_change
        self._noted: deque[uuid.UUID] = deque(maxlen=MOST_NOTED)
        self._arrived = asyncio.Event()

    def note(self, answer_id: uuid.UUID) -> None:
        """Takes note of an answer that has ended; its dialog may get a title."""
        if self._by_model:
            self._noted.append(answer_id)
            self._arrived.set()

    async def run(self) -> None:
        """Writes titles until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._noted:
                try:
                    await self.write(self._noted.popleft())
                except StorageUnavailable as error:
                    log.warning("storage.unavailable", while_doing="title", detail=error.detail)
                except Exception:
                    log.exception("titles.bug")

    async def write(self, answer_id: uuid.UUID) -> bool:
        """Writes the title of an answer's dialog, unless it has one or the model has other work.
        Returns whether the dialog has a new one.

        Raises StorageUnavailable.
        """
        claimed = await self._claim(answer_id)
        if claimed is None:
            return False
        title: str | None = None
        try:
            title = await self._ask(claimed.turns)
        finally:
            written = await asyncio.shield(self._finish(claimed, title))
        if written:
            self._on_change()
        return written

    async def _claim(self, answer_id: uuid.UUID) -> ClaimedTitle | None:
        """Claims the title of an answer's dialog for this process. Returns None where the answer is
        not whole, the title stays as it is, or another process writes it."""
        async with self._db.read() as session:
            answer = await session.get(Message, answer_id)
            if answer is None or answer.status != Status.COMPLETE or not answer.text.strip():
                return None
            dialog = await session.get(Dialog, answer.dialog_id)
            if dialog is None or dialog.titled_by != TitledBy.QUESTION or dialog.key_id is not None:
                return None
            branch, _ = await load_branch(session, answer_id, MESSAGES)
        messages = [(each.author, each.text) for each in branch if each.author != Author.SYSTEM]
        while messages[0][0] != Author.USER:  # the answer's question is among them
            del messages[0]
        if names := [use.name for use in files_used(answer.files_used)]:
            messages[0] = (Author.USER, f"{messages[0][1]} ({', '.join(names)})")
        async with self._db.write() as session:
            title = await session.scalar(
                sa.update(Dialog)
                .where(
                    col(Dialog.id) == answer.dialog_id,
                    col(Dialog.titled_by) == TitledBy.QUESTION,
                    col(Dialog.deleted_at).is_(None),
                    col(Dialog.title_tries) < MOST_TRIES,
                    sa.or_(
                        col(Dialog.title_lease_until).is_(None),
                        col(Dialog.title_lease_until) < database_now(),
                    ),
                )
                .values(
                    title_tries=col(Dialog.title_tries) + 1,
                    title_lease_until=database_now(LEASE_S),
                    changed_at=col(Dialog.changed_at),  # nothing that a page shows
                )
                .returning(col(Dialog.title))
            )
        if title is None:
            return None
        return ClaimedTitle(answer.dialog_id, title, title_turns(messages))

    async def _ask(self, turns: list[ChatTurn]) -> str | None:
        """Returns the title that the model wrote; None where it has other work, or failed, or wrote
        something else."""
        try:
            call = await self._call(turns)
        except (AppError, TimeoutError) as error:
            code = error.code if isinstance(error, AppError) else "too_slow"
            metrics.title_ended("busy" if code == "model_busy" else "failed")
            log.info("titles.none", reason=code)
            return None
        title = title_in(call.text) if call.is_complete else None
        finish = call.finish
        metrics.title_ended(
            "unfit" if title is None else "made",
            prompt_tokens=finish.prompt_tokens if finish else None,
            completion_tokens=(finish and finish.completion_tokens) or call.tokens,
        )
        if title is None:
            log.info("titles.none", reason="unfit", chars=len(call.text))
        return title

    async def _call(self, turns: list[ChatTurn]) -> ModelCall:
        """Calls the model in a free slot, and ends the call as soon as an answer waits for one.

        Raises:
            ModelUnavailable: `model_busy`: no slot is free, or an answer waits for it.
            TimeoutError, AppError: the model did not answer.
        """
        if self._slots.is_queued:
            raise busy("others wait")
        sampling, max_tokens = await self._without_reasoning()
        request = Request(turns, max_tokens, sampling=sampling)

        def turns_at(moved: Callable[[int], None]):
            return self._slots.turns(moved, waits=False)

        call = ModelCall(self._llm, turns_at, lambda: None)
        task = asyncio.create_task(call.run(request), name="title")
        try:
            async with asyncio.timeout(CALL_S):
                while not task.done():
                    await asyncio.wait({task}, timeout=LOOK_S)
                    if not task.done() and self._slots.is_queued:
                        raise busy("others wait")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        task.result()
        return call

    async def _without_reasoning(self) -> tuple[Sampling, int]:
        """Returns the parameters that turn reasoning off, and how many tokens a title may take."""
        models = self._reasoning.models
        if await self._reasoning.is_offered():
            return reasoning_parameters(reasoning=False), TITLE_TOKENS
        name = await models.name()
        thinks = name is not None and models.thinks(name)
        return (), THINKING_TOKENS if thinks else TITLE_TOKENS

    async def _finish(self, claimed: ClaimedTitle, title: str | None) -> bool:
        """Ends the claim, with the new title unless the user has written one meanwhile or deleted
        the dialog. Returns whether it was saved."""
        free = sa.update(Dialog).where(col(Dialog.id) == claimed.dialog_id)
        saved: uuid.UUID | None = None
        async with self._db.write() as session:
            if title is not None:
                saved = await session.scalar(
                    free.where(
                        col(Dialog.titled_by) == TitledBy.QUESTION,
                        col(Dialog.title) == claimed.title,
                        col(Dialog.deleted_at).is_(None),
                    )
                    .values(title=title, titled_by=TitledBy.MODEL, title_lease_until=None)
                    .returning(col(Dialog.id))
                )
            if saved is None:
                await session.execute(
                    free.values(title_lease_until=None, changed_at=col(Dialog.changed_at))
                )
        return saved is not None
