"""The one road of a message, whatever channel it comes by: check, commit, then call the model."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_message
from genai_app.adapters.llm import ChatTurn
from genai_app.db import Database
from genai_app.errors import Conflict, InvalidInput, NotFound, TooLarge
from genai_app.models import MAX_PROMPT_CHARS, Author, Dialog, Generation, Message, Source, Status
from genai_app.services.generation import Generations, Increment, Request
from genai_app.services.history import branch
from genai_app.text import clean_text

TITLE_CHARS = 60
MAX_CONTEXT_MESSAGES = 200
CHARS_PER_TOKEN = 2.5  # low on purpose: Russian text in current tokenizers has 2.5 to 4
# of the other scripts and of emoji a character is a token or more
_LETTERS = re.compile("[\\0-\u024f\u0370-\u04ff\u2010-\u2027]+")
TEMPLATE_TOKENS = 8  # what a chat template adds to each message


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer that belongs to it. `repeated`: it had been sent before."""

    dialog_id: uuid.UUID
    question_id: uuid.UUID
    answer_id: uuid.UUID
    repeated: bool = False


class Chat:
    """Takes questions and hands out answers.

    Args:
        context_tokens: how many tokens the model server takes, prompt and answer together.
        max_tokens: the longest answer, in tokens.
    """

    def __init__(
        self, db: Database, generations: Generations, *, context_tokens: int, max_tokens: int
    ) -> None:
        self._db = db
        self._generations = generations
        self._max_tokens = min(max_tokens, context_tokens // 2)
        self._prompt_budget = context_tokens - self._max_tokens

    async def ask(
        self, actor: Actor, text: str, *, client_id: uuid.UUID, dialog_id: object | None = None
    ) -> Turn:
        """Commit the question and its empty answer, then start the model.

        The same `client_id` again gives the same turn and no second model call.

        Raises:
            InvalidInput: nothing but white space. TooLarge: more than MAX_PROMPT_CHARS characters.
            NotFound: no such dialog of this actor. Conflict: an answer in it is still running, or
            `client_id` was used for another text.
        """
        text = check_prompt(text)
        # shielded: whoever asks may go away between the commit and the call
        return await asyncio.shield(self._ask(actor, text, client_id, dialog_id))

    async def _ask(
        self, actor: Actor, text: str, client_id: uuid.UUID, dialog_id: object | None
    ) -> Turn:
        try:
            async with self._db.write() as session:
                turn = await self._find_turn(session, actor, client_id, text)
                if turn is not None:
                    return turn
                dialog = await self._dialog_for(session, actor, dialog_id, text)
                if dialog_id is not None:
                    # a copy of this send may have held the dialog's lock until now
                    turn = await self._find_turn(session, actor, client_id, text)
                    if turn is not None:
                        return turn
                parent = await _leaf(session, dialog)
                question = Message(
                    dialog_id=dialog.id,
                    user_id=actor.user_id,
                    parent_id=parent.id if parent else None,
                    depth=parent.depth + 1 if parent else 0,
                    client_id=client_id,
                    author=Author.USER,
                    channel=actor.channel,
                    text=text,
                )
                session.add(question)
                await session.flush()
                answer, request = await self._add_answer(session, actor, dialog, question)
        except IntegrityError:
            # the same client_id was committed a moment ago by another request
            async with self._db.read() as session:
                turn = await self._find_turn(session, actor, client_id, text)
            if turn is None:
                raise
            return turn
        self._generations.start(answer.id, request)
        return Turn(dialog.id, question.id, answer.id)

    async def regenerate(self, actor: Actor, answer_id: object) -> Turn:
        """Ask the model again: a new sibling of the answer, which stays.

        Raises NotFound, and Conflict while an answer of the dialog is still running.
        """
        return await asyncio.shield(self._regenerate(actor, answer_id))

    async def _regenerate(self, actor: Actor, answer_id: object) -> Turn:
        async with self._db.write() as session:
            old = await get_message(session, actor, answer_id, Author.ASSISTANT)
            dialog = await get_dialog(session, actor, old.dialog_id, lock=True)
            await _leaf(session, dialog)
            question = await session.get(Message, old.parent_id)
            if question is None:
                raise NotFound
            answer, request = await self._add_answer(session, actor, dialog, question)
        self._generations.start(answer.id, request)
        return Turn(dialog.id, question.id, answer.id)

    async def stop(self, actor: Actor, answer_id: object) -> None:
        """End a running answer and keep its text; an ended one stays as it is. Raises NotFound."""
        async with self._db.read() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
        if answer.status == Status.RUNNING:
            await self._generations.stop(answer.id)

    async def follow(
        self, actor: Actor, answer_id: object, *, from_length: int = 0, pause_s: float = 0.0
    ) -> AsyncGenerator[Increment]:
        """What is there of an answer, then what comes. Raises NotFound. See Generations.follow."""
        async with self._db.read() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
        async for increment in self._generations.follow(
            answer.id, from_length=from_length, pause_s=pause_s
        ):
            yield increment

    async def _find_turn(
        self, session: AsyncSession, actor: Actor, client_id: uuid.UUID, text: str
    ) -> Turn | None:
        question = await session.scalar(
            sa.select(Message).where(
                col(Message.user_id) == actor.user_id, col(Message.client_id) == client_id
            )
        )
        if question is None:
            return None
        if question.text != text:
            raise Conflict(code="client_id_reused")
        answer_id = await session.scalar(
            sa.select(col(Message.id))
            .where(col(Message.parent_id) == question.id)
            .order_by(col(Message.id))
            .limit(1)
        )
        assert answer_id is not None  # committed in one transaction with the question
        return Turn(question.dialog_id, question.id, answer_id, repeated=True)

    async def _dialog_for(
        self, session: AsyncSession, actor: Actor, dialog_id: object | None, text: str
    ) -> Dialog:
        if dialog_id is not None:
            return await get_dialog(session, actor, dialog_id, lock=True)
        dialog = Dialog(user_id=actor.user_id, title=make_title(text))
        session.add(dialog)
        await session.flush()
        return dialog

    async def _add_answer(
        self, session: AsyncSession, actor: Actor, dialog: Dialog, question: Message
    ) -> tuple[Message, Request]:
        turns, trimmed = await self._context(session, question)
        answer = Message(
            dialog_id=dialog.id,
            user_id=actor.user_id,
            parent_id=question.id,
            depth=question.depth + 1,
            author=Author.ASSISTANT,
            channel=actor.channel,
            status=Status.RUNNING,
            source=Source.MODEL,
            trimmed=trimmed,
        )
        session.add(answer)
        await session.flush()
        session.add(self._generations.lease(answer))
        dialog.leaf_id = answer.id
        dialog.updated_at = clock.now()
        session.add(dialog)
        return answer, Request(turns=turns, max_tokens=self._max_tokens)

    async def _context(
        self, session: AsyncSession, question: Message
    ) -> tuple[Sequence[ChatTurn], int]:
        """The newest messages of the branch that fit, oldest first, and how many were left out."""
        path = branch(question.id, MAX_CONTEXT_MESSAGES)
        rows = await session.execute(
            sa.select(col(Message.author), col(Message.text), col(Message.error_code))
            .join(path, col(Message.id) == path.c.id)
            .order_by(path.c.n)
        )
        turns: list[ChatTurn] = []
        left = self._prompt_budget
        count = 0
        did_not_fit = False
        for author, text, error_code in rows:  # newest first
            if not text or (did_not_fit and author == Author.USER):
                # an answer that failed before its first word says nothing, and a question that
                # the model could not take would not fit this time either
                did_not_fit = error_code == "context_too_long"
                count += not text
                continue
            left -= estimate_tokens(text)
            if turns and left < 0:
                break
            count += 1
            if turns and author == turns[-1].role == Author.USER:
                # templates of Mistral and Gemma refuse two questions in a row
                turns[-1] = ChatTurn(author, f"{text}\n\n{turns[-1].content}")
            else:
                turns.append(ChatTurn(author, text))
        # an answer must not open the context: its question was cut off
        while len(turns) > 1 and turns[-1].role == Author.ASSISTANT:
            turns.pop()
            count -= 1
        turns.reverse()
        return turns, question.depth + 1 - count


async def _leaf(session: AsyncSession, dialog: Dialog) -> Message | None:
    """The last message of the branch on the screen. Raises Conflict while any answer is running."""
    running = await session.scalar(
        sa.select(col(Generation.message_id))
        .join(Message, col(Message.id) == col(Generation.message_id))
        .where(
            col(Generation.ended_at).is_(None),
            col(Generation.lease_until) >= clock.now(),
            col(Message.dialog_id) == dialog.id,
        )
        .limit(1)
    )
    if running is not None:
        raise Conflict(code="answer_running")
    return await session.get(Message, dialog.leaf_id) if dialog.leaf_id else None


def check_prompt(text: str) -> str:
    """The text as it will be kept. Raises InvalidInput when empty, TooLarge when too long."""
    text = clean_text(text)
    if not text.strip():
        raise InvalidInput(code="empty_prompt")
    if len(text) > MAX_PROMPT_CHARS:
        raise TooLarge(code="prompt_too_long", over_by=len(text) - MAX_PROMPT_CHARS)
    return text


def make_title(text: str) -> str:
    """The first words of a question, on one line, at most TITLE_CHARS characters."""
    line = " ".join(text.lstrip()[: TITLE_CHARS * 4].split())
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[: TITLE_CHARS - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[TITLE_CHARS // 2 :] else cut).rstrip() + "…"


def estimate_tokens(text: str) -> int:
    """An upper estimate without a tokenizer, which would cost the event loop what it saves."""
    others = len(_LETTERS.sub("", text))
    return int((len(text) - others) / CHARS_PER_TOKEN) + others + TEMPLATE_TOKENS
