"""The one road of a message, whatever channel it comes by: check, take a unit of the user's limit,
commit, and only then give an answer that is there or call the model."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_message
from genai_app.adapters.llm import ChatTurn
from genai_app.db import Database, Link, Row, Undone, new_row
from genai_app.errors import Conflict, InvalidInput, RateLimited, TooLarge
from genai_app.models import (
    MAX_PROMPT_CHARS,
    Author,
    Channel,
    Dialog,
    Generation,
    Message,
    Source,
    Status,
    new_id,
)
from genai_app.services.answers import End, GivenAnswer
from genai_app.services.answers_at_once import Slot
from genai_app.services.context import with_system_prompt
from genai_app.services.flight import Request
from genai_app.services.generation import Generations, Increment
from genai_app.services.given import Given
from genai_app.services.limits import Budget, CountMessages, Limits, Taken
from genai_app.services.new_dialog import commit_new_dialog
from genai_app.services.place import (
    Moved,
    Options,
    Place,
    Sent,
    body_hash,
    check_place,
    find_place,
    place_alone,
    turn_rows,
)
from genai_app.text import clean_text

__all__ = ["Chat", "Options", "Turn"]

TITLE_CHARS = 60
PLACE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer that belongs to it.

    `repeated`: it had been sent before. `source`: as far as it is known now. `end`: the answer has
    ended. `budget`: what the user has left.
    """

    dialog_id: uuid.UUID
    question_id: uuid.UUID
    answer_id: uuid.UUID
    repeated: bool = False
    source: Source = Source.MODEL
    budget: Budget | None = None
    end: End | None = None
    text: str = ""


class Chat:
    """Takes questions and hands out answers.

    Args:
        context_tokens: how many tokens the model server takes, prompt and answer together.
        max_tokens: the longest answer, in tokens.
        system_prompt: the company's instructions, before every conversation.
    """

    def __init__(
        self,
        db: Database,
        generations: Generations,
        limits: Limits,
        given: Given,
        *,
        context_tokens: int,
        max_tokens: int,
        system_prompt: str = "",
    ) -> None:
        self._db = db
        self._generations = generations
        self._limits = limits
        self._given = given
        self._max_tokens = min(max_tokens, context_tokens // 2)
        self._prompt_budget = context_tokens - self._max_tokens
        self._system_prompt = system_prompt

    async def ask(
        self,
        actor: Actor,
        text: str,
        *,
        client_id: uuid.UUID | None,
        dialog_id: object | None = None,
        options: Options | None = None,
        earlier: Sequence[ChatTurn] | None = None,
    ) -> Turn:
        """Commit the question and its answer, then start the model unless the cache has it.

        The same `client_id` again gives the same turn, no second model call, and takes no unit.

        Args:
            earlier: what a client that keeps its own history has sent before the question. The
                dialog that consists of just that is gone on with; else a new one begins with it.

        Raises:
            InvalidInput: nothing but white space, or `client_id` was used for something else.
            TooLarge: more than MAX_PROMPT_CHARS characters.
            NotFound: no such dialog of this actor.
            Conflict: an answer in it is still running.
            RateLimited: no unit is left, or too many answers run for this user.
        """
        options, text = options or Options(), check_prompt(text)
        # a page may send a first question again after it got its dialog: the same question
        where = None if actor.channel is Channel.WEB else str(dialog_id or "")
        body = body_hash(text, where, options, earlier)
        sent = Sent(text, client_id, body, options, dialog_id, earlier)
        if client_id is not None and (turn := await self._find_repeated(actor, sent)) is not None:
            return turn
        # shielded: whoever asks may go away between the commit and the call
        return await asyncio.shield(self._answer(actor, sent))

    async def regenerate(self, actor: Actor, answer_id: object) -> Turn:
        """Ask the model again: a new sibling of the answer, which stays. The cache is not asked,
        but keeps the new answer.

        Raises NotFound, RateLimited, and Conflict while an answer of the dialog is still running.
        """
        options = Options(read_cache=False)
        sent = Sent("", None, b"", options, again=answer_id)
        return await asyncio.shield(self._answer(actor, sent))

    async def stop(self, actor: Actor, answer_id: object) -> None:
        """End a running answer and keep its text; an ended one stays as it is. Raises NotFound."""
        async with self._db.read() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
        if answer.status == Status.RUNNING:
            await self._generations.stop(answer.id)

    async def follow(
        self,
        actor: Actor,
        answer_id: object,
        *,
        from_length: int = 0,
        pause_s: float = 0.0,
        places: bool = False,
    ) -> AsyncGenerator[Increment]:
        """What is there of an answer, then what comes. Raises NotFound. See Generations.follow."""
        async with self._db.read() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
        async for increment in self._generations.follow(
            answer.id, from_length=from_length, pause_s=pause_s, places=places
        ):
            yield increment

    async def follow_turn(self, turn: Turn) -> AsyncGenerator[Increment]:
        """The answer of a turn that this actor has just been given."""
        if turn.end is not None:
            yield Increment(turn.text, turn.end.status, turn.end)
            return
        async for increment in self._generations.follow(turn.answer_id):
            yield increment

    # --- the road -----------------------------------------------------------

    async def _answer(self, actor: Actor, sent: Sent) -> Turn:
        try:
            return await self._take_and_answer(actor, sent)
        except RateLimited as refusal:
            await self._limits.audit(actor, refusal)
            raise

    async def _take_and_answer(self, actor: Actor, sent: Sent) -> Turn:
        async with self._limits.at_once.slot(actor) as slot:
            taken = await self._limits.take(actor)
            try:
                turn = await self._place_and_commit(actor, sent, taken, slot)
            except BaseException:
                await self._limits.give_back(actor, taken)
                raise
            if turn.repeated:
                await self._limits.give_back(actor, taken)
            return turn

    async def _place_and_commit(self, actor: Actor, sent: Sent, taken: Taken, slot: Slot) -> Turn:
        for tries_left in reversed(range(PLACE_TRIES)):
            if sent.again is None and sent.dialog_id is None and not sent.earlier:
                place = place_alone(sent)
            else:
                async with self._db.read() as session:
                    place = await find_place(session, actor, sent, self._prompt_budget)
            try:
                return await self._commit_at(actor, sent, place, taken, slot)
            except CountMessages:
                taken = replace(taken, trusted=False)
            except Moved:
                if not tries_left:
                    raise Conflict(code="answer_running") from None
            except Undone:
                if not tries_left:
                    raise
            except IntegrityError:
                # the same client_id was committed a moment ago by another request
                if (turn := await self._find_repeated(actor, sent)) is None:
                    raise
                return turn
        raise Conflict(code="answer_running")

    async def _commit_at(
        self, actor: Actor, sent: Sent, place: Place, taken: Taken, slot: Slot
    ) -> Turn:
        """Find an answer that is there or a run for it, and commit."""
        options = sent.options
        request = Request(
            turns=with_system_prompt(place.turns, self._system_prompt),
            max_tokens=min(options.max_tokens or self._max_tokens, self._max_tokens),
            temperature=options.temperature,
            model=options.model,
            sampling=options.sampling,
        )
        given, key = await self._given.find(actor, sent, place, request)
        if given is not None:
            begun_at = clock.now()
            turn, repeated = await self._commit(actor, sent, place, taken, given)
            if not repeated:
                self._given.note(given, (clock.now() - begun_at).total_seconds())
            return turn
        # "ask the model again" joins nobody, but what it is told is kept
        flight = self._generations.hold_flight(key, alone=not options.read_cache)
        try:
            turn, repeated = await self._commit(actor, sent, place, taken, None)
        except BaseException:
            self._generations.drop_flight(flight)
            raise
        if repeated:
            self._generations.drop_flight(flight)
            return turn
        slot.keep()
        self._generations.start(
            turn.answer_id,
            request,
            flight,
            context=place.context,
            ended=lambda: self._limits.at_once.leave(actor.user_id),
        )
        return turn

    # --- the transaction ----------------------------------------------------

    async def _commit(
        self, actor: Actor, sent: Sent, place: Place, taken: Taken, given: GivenAnswer | None
    ) -> tuple[Turn, bool]:
        """Commit question and answer, and tell whether they had been there before."""
        if self._is_plain(place, sent, taken):
            dialog, rows = _new_dialog(actor, sent, place, given)
            lease = None if given else self._generations.lease(rows[-1])
            budget = await commit_new_dialog(self._db, actor, taken, dialog, rows, lease)
            return _turn(rows[-1], budget, given), False
        async with self._db.write() as session:
            if sent.client_id is not None:
                turn = await self._find_turn(session, actor, sent)
                if turn is not None:
                    return turn, True
            link = Link(connection=await session.connection())
            if taken.trusted:
                budget = await self._limits.settle(link, actor, taken)
            else:
                budget = await self._limits.settle_by_counting(session, actor, taken)
            if place.dialog_id is None:
                dialog, rows = _new_dialog(actor, sent, place, given)
                await link.insert(Dialog, dialog)
            else:
                found = await get_dialog(session, actor, place.dialog_id, lock=True)
                if sent.client_id is not None:
                    # a copy of this send may have held the dialog's lock until now
                    turn = await self._find_turn(session, actor, sent)
                    if turn is not None:
                        return turn, True
                await check_place(session, found, place)
                rows = turn_rows(actor, sent, place, given, found.id)
                found.leaf_id, found.updated_at = rows[-1]["id"], clock.now()
            await link.insert(Message, *rows)
            if given is None:
                await link.insert(Generation, self._generations.lease(rows[-1]))
        return _turn(rows[-1], budget, given), False

    def _is_plain(self, place: Place, sent: Sent, taken: Taken) -> bool:
        """A question alone, that nobody has to look at twice; a copy meets the unique key."""
        first = place.dialog_id is None and not sent.earlier
        return first and taken.trusted and not self._db.is_sqlite

    async def _find_repeated(self, actor: Actor, sent: Sent) -> Turn | None:
        async with self._db.read() as session:
            return await self._find_turn(session, actor, sent)

    async def _find_turn(self, session: AsyncSession, actor: Actor, sent: Sent) -> Turn | None:
        question = await session.scalar(
            sa.select(Message).where(
                col(Message.user_id) == actor.user_id, col(Message.client_id) == sent.client_id
            )
        )
        if question is None:
            return None
        if question.body_hash != sent.body:
            raise InvalidInput(code="client_id_reused")
        answer = await session.scalar(
            sa.select(Message)
            .where(col(Message.parent_id) == question.id)
            .order_by(col(Message.id))
            .limit(1)
        )
        assert answer is not None  # committed in one transaction with the question
        source = Source(answer.source or Source.MODEL)
        return Turn(question.dialog_id, question.id, answer.id, repeated=True, source=source)


def _new_dialog(
    actor: Actor, sent: Sent, place: Place, given: GivenAnswer | None
) -> tuple[Row, list[Row]]:
    """A dialog and its first messages."""
    moment, dialog_id = clock.now(), new_id()
    rows = turn_rows(actor, sent, place, given, dialog_id)
    dialog = new_row(
        Dialog,
        id=dialog_id,
        user_id=actor.user_id,
        title=make_title(sent.text),
        leaf_id=rows[-1]["id"],
        created_at=moment,
        updated_at=moment,
    )
    return dialog, rows


def _turn(answer: Row, budget: Budget | None, given: GivenAnswer | None) -> Turn:
    turn = Turn(answer["dialog_id"], answer["parent_id"], answer["id"], budget=budget)
    if given is None:
        return turn
    return replace(turn, source=given.end.source, end=given.end, text=given.text)


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
