"""The one road of a message, whatever channel it comes by: check, take a unit of the user's limit,
commit, and only then use a cached or verified answer or call the model."""

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
from genai_app.adapters.llm.client import ChatTurn
from genai_app.db.database import Database
from genai_app.db.failures import Undone
from genai_app.db.statements import Row, StatementRunner, new_row
from genai_app.errors import Conflict, InvalidInput, RateLimited, TooLarge
from genai_app.models import (
    MAX_PROMPT_CHARS,
    Author,
    Channel,
    Dialog,
    Message,
    Source,
    Status,
    new_id,
)
from genai_app.services.chat.first_question import commit_new_dialog
from genai_app.services.chat.placement import (
    Moved,
    Options,
    Place,
    Sent,
    body_hash,
    check_position,
    find_position,
    new_dialog_position,
    newest_of,
    turn_rows,
)
from genai_app.services.chat.ready_answers import ReadyAnswers
from genai_app.services.dialogs.history import next_moment
from genai_app.services.generation.checkpoints import End, GivenAnswer, Increment
from genai_app.services.generation.context import estimate_tokens, with_system_prompt
from genai_app.services.generation.context_fit import Request, usable_window
from genai_app.services.generation.generations import Generations
from genai_app.services.limits.parallel import Slot
from genai_app.services.limits.rate import Budget, CountMessages, Limits, Taken
from genai_app.text import clean_text

__all__ = ["Chat", "Options", "Turn"]

TITLE_CHARS = 60
COMMIT_TRIES = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer that belongs to it.

    `repeated`: it had been sent before. `source`: the expected one while it runs. `end`: the answer
    has ended. `budget`: what the user has left.
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
        context_tokens: the most tokens, prompt and answer together, where that is less than what
            the model server takes.
        max_tokens: the longest answer, in tokens.
        system_prompt: the company's instructions, before every conversation.
    """

    def __init__(
        self,
        db: Database,
        generations: Generations,
        limits: Limits,
        ready_answers: ReadyAnswers,
        *,
        context_tokens: int | None,
        max_tokens: int,
        system_prompt: str = "",
    ) -> None:
        self._db = db
        self._generations = generations
        self._limits = limits
        self._ready_answers = ready_answers
        self._context_tokens = context_tokens
        self._max_tokens = max_tokens
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
        """Commits the question and its answer, then starts the model unless the cache has it.

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
        """Asks the model again, for a new sibling of the answer, which stays. The cache is not
        asked, but keeps the new answer.

        Raises NotFound, RateLimited, and Conflict while an answer of the dialog is still running.
        """
        options = Options(read_cache=False)
        sent = Sent("", None, b"", options, again=answer_id)
        return await asyncio.shield(self._answer(actor, sent))

    async def stop(self, actor: Actor, answer_id: object) -> None:
        """Ends a running answer, keeping its text; an ended one stays as it is. Raises NotFound."""
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
        positions: bool = False,
    ) -> AsyncGenerator[Increment]:
        """Yields the text of an answer so far, then each increment, as Generations.follow does.
        Raises NotFound."""
        async with self._db.read() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
        async for increment in self._generations.follow(
            answer.id, from_length=from_length, pause_s=pause_s, positions=positions
        ):
            yield increment

    async def follow_turn(self, turn: Turn) -> AsyncGenerator[Increment]:
        """Yields the answer of a turn that `ask` has just returned to this actor."""
        if turn.end is not None:
            yield Increment(turn.text, turn.end.status, turn.end)
            return
        async for increment in self._generations.follow(turn.answer_id):
            yield increment

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
                turn = await self._prepare_and_commit(actor, sent, taken, slot)
            except BaseException:
                await self._limits.give_back(actor, taken)
                raise
            if turn.repeated:
                await self._limits.give_back(actor, taken)
            return turn

    async def _prepare_and_commit(self, actor: Actor, sent: Sent, taken: Taken, slot: Slot) -> Turn:
        served = await self._generations.models.window(sent.options.model)
        window = usable_window(served, self._context_tokens)
        longest = min(self._max_tokens, window.total // 2)
        instructions = estimate_tokens(self._system_prompt) if self._system_prompt else 0
        budget = min(window.total - longest, window.prompt) - instructions
        for tries_left in reversed(range(COMMIT_TRIES)):
            if sent.again is None and sent.dialog_id is None and not sent.earlier:
                position = new_dialog_position(sent)
            else:
                async with self._db.read() as session:
                    position = await find_position(session, actor, sent, budget)
            request = Request(
                turns=with_system_prompt(position.turns, self._system_prompt),
                max_tokens=min(sent.options.max_tokens or longest, longest),
                temperature=sent.options.temperature,
                model=sent.options.model,
                sampling=sent.options.sampling,
                window=window,
                may_trim=sent.earlier is None,
            )
            try:
                return await self._commit_at(actor, sent, position, request, taken, slot)
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
        self, actor: Actor, sent: Sent, position: Place, request: Request, taken: Taken, slot: Slot
    ) -> Turn:
        """Finds a cached or verified answer, or a run to join or begin, and commits the turn."""
        ready_answer, key = await self._ready_answers.find(actor, sent, position, request)
        if ready_answer is not None:
            begun_at = clock.now()
            turn, repeated = await self._commit(actor, sent, position, taken, ready_answer)
            if not repeated:
                self._ready_answers.note(ready_answer, (clock.now() - begun_at).total_seconds())
            return turn
        # "ask the model again" joins no other run, but its answer is kept
        flight = self._generations.hold_flight(key, alone=not sent.options.read_cache)
        try:
            turn, repeated = await self._commit(actor, sent, position, taken, None)
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
            context=position.context,
            trimmed=position.trimmed,
            give_back=lambda: self._limits.give_back(actor, taken),
            ended=lambda: self._limits.at_once.leave(actor.user_id),
        )
        return turn

    async def _commit(
        self,
        actor: Actor,
        sent: Sent,
        position: Place,
        taken: Taken,
        ready_answer: GivenAnswer | None,
    ) -> tuple[Turn, bool]:
        """Commits question and answer. Returns the turn, and whether it was committed before."""
        if self._is_plain(position, sent, taken):
            dialog, rows = _new_dialog(actor, sent, position, ready_answer)
            lease = None if ready_answer else self._generations.lease(rows[-1])
            budget = await commit_new_dialog(self._db, actor, taken, dialog, rows, lease)
            return _turn(rows[-1], budget, ready_answer), False
        async with self._db.write() as session:
            if sent.client_id is not None:
                turn = await self._find_turn(session, actor, sent)
                if turn is not None:
                    return turn, True
            runner = StatementRunner(connection=await session.connection())
            if taken.trusted:
                budget = await self._limits.settle(runner, actor, taken)
            else:
                budget = await self._limits.settle_by_counting(session, actor, taken)
            if position.dialog_id is None:
                dialog, rows = _new_dialog(actor, sent, position, ready_answer)
                dialog["updated_at"] = await next_moment(session, actor.user_id)
                await runner.insert(Dialog, dialog)
            else:
                dialog_row = await get_dialog(session, actor, position.dialog_id, lock=True)
                if sent.client_id is not None:
                    # a copy of this send may have held the dialog's lock until now
                    turn = await self._find_turn(session, actor, sent)
                    if turn is not None:
                        return turn, True
                await check_position(session, dialog_row, position)
                newest = await newest_of(session, actor.user_id)
                rows = turn_rows(actor, sent, position, ready_answer, dialog_row.id, after=newest)
                dialog_row.leaf_id = rows[-1]["id"]
                dialog_row.updated_at = await next_moment(session, actor.user_id)
            await runner.insert(Message, *rows)
            if ready_answer is None:
                await self._generations.add_lease(runner, rows[-1])
        return _turn(rows[-1], budget, ready_answer), False

    def _is_plain(self, position: Place, sent: Sent, taken: Taken) -> bool:
        """Returns whether one statement can commit the turn: a question alone, in a new dialog,
        with a trusted unit. A repeated send fails on the unique key."""
        first = position.dialog_id is None and not sent.earlier
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
    actor: Actor, sent: Sent, position: Place, ready_answer: GivenAnswer | None
) -> tuple[Row, list[Row]]:
    """Returns a dialog and its first messages."""
    moment, dialog_id = clock.now(), new_id()
    rows = turn_rows(actor, sent, position, ready_answer, dialog_id)
    dialog = new_row(
        Dialog,
        id=dialog_id,
        user_id=actor.user_id,
        title=make_title(sent.text),
        leaf_id=rows[-1]["id"],
        created_at=moment,
        updated_at=moment,
        changed_at=moment,
        deleted_at=None if sent.options.keep else moment,
        key_id=actor.key_id,
    )
    return dialog, rows


def _turn(answer: Row, budget: Budget | None, ready_answer: GivenAnswer | None) -> Turn:
    turn = Turn(answer["dialog_id"], answer["parent_id"], answer["id"], budget=budget)
    if ready_answer is None:
        return turn
    return replace(
        turn, source=ready_answer.end.source, end=ready_answer.end, text=ready_answer.text
    )


def check_prompt(text: str) -> str:
    """Returns the cleaned text. Raises InvalidInput when it is empty, TooLarge when too long."""
    text = clean_text(text)
    if not text.strip():
        raise InvalidInput(code="empty_prompt")
    if len(text) > MAX_PROMPT_CHARS:
        raise TooLarge(code="prompt_too_long", over_by=len(text) - MAX_PROMPT_CHARS)
    return text


def make_title(text: str) -> str:
    """Returns the first words of a question, on one line, at most TITLE_CHARS characters."""
    line = " ".join(text.lstrip()[: TITLE_CHARS * 4].split())
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[: TITLE_CHARS - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[TITLE_CHARS // 2 :] else cut).rstrip() + "…"
