"""The one road of a message, whatever channel it comes by: check, take a unit of the user's limit,
commit, and only then use a cached or verified answer or call the model."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from genai_app import clock
from genai_app.access import Actor, get_message, parse_id
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.db.database import Database
from genai_app.db.failures import Undone
from genai_app.errors import Conflict, InvalidInput, NotFound, RateLimited, TooLarge
from genai_app.models import (
    MAX_PROMPT_CHARS,
    Author,
    Channel,
    Status,
    Variant,
)
from genai_app.services.chat.cut_answers import part_of
from genai_app.services.chat.placement import (
    Fork,
    Moved,
    Options,
    Submission,
    TurnPosition,
    body_hash,
)
from genai_app.services.chat.question_files import QuestionFiles, missing
from genai_app.services.chat.ready_answers import ReadyAnswers
from genai_app.services.chat.reasoning import Default, ReasoningSwitch, Sampling
from genai_app.services.chat.turns import CommittedTurns, Turn
from genai_app.services.generation.checkpoints import Increment
from genai_app.services.generation.context import (
    estimate_tokens,
    own_instructions,
    with_system_prompt,
)
from genai_app.services.generation.context_fit import Request, usable_window
from genai_app.services.generation.generations import Generations
from genai_app.services.limits.parallel import Slot
from genai_app.services.limits.rate import CountMessages, Limits, Unit
from genai_app.text import clean_text

COMMIT_TRIES = 3


class Chat:
    """Takes questions and hands out answers.

    Args:
        context_tokens: the most tokens, prompt and answer together, where that is less than what
            the model server takes.
        max_tokens: the longest answer, in tokens.
        system_prompt: the company's instructions, before every conversation.
        reasoning: whether the model thinks, where a question does not say.
    """

    def __init__(
        self,
        db: Database,
        generations: Generations,
        limits: Limits,
        ready_answers: ReadyAnswers,
        files: QuestionFiles,
        *,
        context_tokens: int | None,
        max_tokens: int,
        system_prompt: str = "",
        reasoning: Default = "auto",
    ) -> None:
        self._db = db
        self._generations = generations
        self._turns = CommittedTurns(db, generations.answers, limits)
        self._limits = limits
        self._ready_answers = ready_answers
        self.files = files
        self._context_tokens = context_tokens
        self._max_tokens = max_tokens
        self._system_prompt = system_prompt
        self.reasoning = ReasoningSwitch(db, generations.models, reasoning)
        # called whenever an answer of this process has its last state
        self.answer_ended: Callable[[], None] = lambda: None
        # the same with the answer's id; also for one that was there before its question
        self.turn_ended: Callable[[uuid.UUID], None] = lambda answer_id: None

    async def ask(
        self,
        actor: Actor,
        text: str,
        *,
        client_id: uuid.UUID | None,
        dialog_id: object | None = None,
        options: Options | None = None,
        earlier: Sequence[ChatTurn] | None = None,
        fork: Fork | None = None,
        is_queued: bool = False,
        sent_body: bytes | None = None,
        attachments: Sequence[object] | None = None,
        hashes: tuple[str, ...] = (),
    ) -> Turn:
        """Commits the question and its answer, then starts the model unless the cache has it.

        The same `client_id` again gives the same turn, no second model call, and takes no unit.

        Args:
            earlier: what a client that keeps its own history has sent before the question. The
                dialog that consists of just that is gone on with; else a new one begins with it.
            sent_body: the digest that repeats of the send have; None: that of the question.
            fork: where the question begins a branch; None: at the end of the one that is shown.
            attachments: ids of the question's files. None: a question beside another one has the
                files of that one.
            hashes: of the files that came with the question itself, with `earlier`.

        Raises:
            InvalidInput: nothing but white space; `client_id` was used for something else; the fork
                is below a message that is no answer; a file cannot be read, or is a picture and the
                model does not see.
            TooLarge: more than MAX_PROMPT_CHARS characters.
            NotFound: no such dialog of this actor; no such queued question (`is_queued`); no such
                file of this actor (`file_not_found`).
            Conflict: an answer in it is still running; a file is not ready.
            RateLimited: no unit is left, or too many answers run for this user.
        """
        options, text = options or Options(), check_prompt(text)
        files = None if attachments is None else file_ids(attachments)
        # a page may send a first question again after it got its dialog, or after the switch for
        # reasoning was turned: the same question. So may a messenger
        is_page = actor.channel is not Channel.API
        where = None if is_page else str(dialog_id or "")
        body = body_hash(text, where, Options() if is_page else options, earlier, fork, files)
        submission = Submission(
            *(text, client_id, sent_body or body, options, dialog_id, earlier),
            fork=fork,
            is_queued=is_queued,
            attachments=files,
            hashes=hashes,
        )
        return await self._answer(actor, submission)

    async def regenerate(
        self,
        actor: Actor,
        answer_id: object,
        variant: Variant | None = None,
        *,
        client_id: uuid.UUID | None = None,
        sampling: Sampling = (),
    ) -> Turn:
        """Asks the model again, for a new sibling of the answer, which stays. The cache is not
        asked, but keeps the new answer unless it is a variant. `sampling`: see `Options`.

        The same `client_id` again gives the same turn, as `ask` does, whichever answer is named: of
        a chat the last one is another by then.

        Raises NotFound, RateLimited, and Conflict while an answer of the dialog is still running.
        """
        options = Options(sampling=sampling, read_cache=False, write_cache=variant is None)
        submission = Submission(
            *("", client_id, body_hash("", f"again {variant or ''}", options, None), options),
            again=parse_id(answer_id),
            variant=variant,
        )
        return await self._answer(actor, submission)

    async def continue_answer(
        self, actor: Actor, answer_id: object, *, sampling: Sampling = ()
    ) -> Turn:
        """Has the model go on with an answer that was cut. It takes a unit, as a question does.
        `sampling`: see `Options`.

        Raises NotFound, RateLimited, and Conflict while an answer of the dialog is running, or
        where this one cannot go on.
        """
        options = Options(sampling=sampling, read_cache=False, write_cache=False)
        submission = Submission("", None, b"", options, cut=parse_id(answer_id))
        return await self._answer(actor, submission)

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
        reasoning_from: int = 0,
        pause_s: float = 0.0,
        positions: bool = False,
    ) -> AsyncGenerator[Increment]:
        """Yields the text of an answer so far, then each increment, as Generations.follow does.
        Raises NotFound."""
        async with self._db.read() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
        async for increment in self._generations.follow(
            answer.id,
            from_length=from_length,
            reasoning_from=reasoning_from,
            pause_s=pause_s,
            positions=positions,
        ):
            yield increment

    async def follow_turn(self, turn: Turn) -> AsyncGenerator[Increment]:
        """Yields the answer of a turn that `ask` has just returned to this actor."""
        if turn.end is not None:
            yield Increment(turn.text, turn.end.status, turn.end)
            return
        increments = self._generations.follow(turn.answer_id, from_length=len(turn.kept))
        async for increment in increments:
            if increment.anew:  # with the part that the caller has
                increment = replace(increment, text=increment.text.removeprefix(turn.kept))
            yield increment

    async def _answer(self, actor: Actor, submission: Submission) -> Turn:
        if submission.client_id is not None:
            turn = await self._turns.find(actor, submission)
            if turn is not None:
                return turn
        # shielded: whoever asks may go away between the commit and the call
        return await asyncio.shield(self._take_and_answer(actor, submission))

    async def _take_and_answer(self, actor: Actor, submission: Submission) -> Turn:
        try:
            async with self._limits.at_once.slot(actor) as slot:
                unit = await self._limits.take(actor)
                try:
                    turn = await self._prepare_and_commit(actor, submission, unit, slot)
                except BaseException:
                    await self._limits.give_back(actor, unit)
                    raise
                if turn.repeated:
                    await self._limits.give_back(actor, unit)
                return turn
        except RateLimited as refusal:
            await self._limits.audit(actor, refusal)
            raise

    async def _prepare_and_commit(
        self, actor: Actor, submission: Submission, unit: Unit, slot: Slot
    ) -> Turn:
        served = await self._generations.models.window(submission.options.model)
        window = usable_window(served, self._context_tokens)
        longest = min(self._max_tokens, window.total // 2)
        texts = (self._system_prompt, own_instructions([], actor.instructions))
        instructions = sum(estimate_tokens(text) for text in texts if text)
        budget = min(window.total - longest, window.prompt) - instructions
        named = await self.files.named(actor, submission)
        for tries_left in reversed(range(COMMIT_TRIES)):
            position, parts = await self.files.position(actor, submission, named, budget)
            own = own_instructions(position.turns, actor.instructions)
            # the same beginning for every question of a user: the model server keeps it
            first = (self._system_prompt, own, parts.system if parts else "")
            request = Request(
                turns=with_system_prompt(position.turns, "\n\n".join(filter(None, first))),
                max_tokens=min(submission.options.max_tokens or longest, longest),
                temperature=submission.options.temperature,
                model=submission.options.model,
                sampling=self.reasoning.with_default(submission.options.sampling),
                window=window,
                may_trim=submission.earlier is None,
                personal=bool(own) or parts is not None,
                files=parts.contents if parts else (),
            )
            try:
                return await self._commit_at(actor, submission, position, request, unit, slot)
            except CountMessages:
                unit = replace(unit, trusted=False)
            except Moved:
                if not tries_left:
                    raise Conflict(code="answer_running") from None
            except Undone:
                if not tries_left:
                    raise
            except IntegrityError:
                # the same client_id was committed a moment ago by another request
                if (turn := await self._turns.find(actor, submission)) is None:
                    raise
                return turn
        raise Conflict(code="answer_running")

    async def _commit_at(
        self,
        actor: Actor,
        submission: Submission,
        position: TurnPosition,
        request: Request,
        unit: Unit,
        slot: Slot,
    ) -> Turn:
        """Finds a cached or verified answer, or a run to join or begin, and commits the turn."""
        ready_answer, key = await self._ready_answers.find(actor, submission, position, request)
        if ready_answer is not None:
            begun_at = clock.now()
            turn, repeated = await self._turns.commit(
                actor, submission, position, unit, ready_answer
            )
            if not repeated:
                self._ready_answers.note(ready_answer, (clock.now() - begun_at).total_seconds())
                self.turn_ended(turn.answer_id)
            return turn
        # "ask the model again" joins no other run, but its answer is kept
        run = self._generations.joinable.hold(key, alone=not submission.options.read_cache)
        part = part_of(position.answer) if position.answer is not None else None
        try:
            if position.answer is not None:
                # its last run in this process may not be through with it
                if position.answer.id in self._generations.unsaved:
                    raise Conflict(code="answer_running")
                turn, repeated = await self._turns.go_on(actor, position, unit), False
            else:
                turn, repeated = await self._turns.commit(actor, submission, position, unit, None)
        except BaseException:
            self._generations.joinable.drop(run)
            raise
        if repeated:
            self._generations.joinable.drop(run)
            return turn
        slot.keep()
        self._generations.start(
            turn.answer_id,
            request,
            run,
            context=position.context,
            trimmed=position.trimmed,
            part=part,
            give_back=lambda: self._limits.give_back(actor, unit),
            ended=lambda: self._ended(actor, turn.answer_id),
        )
        return turn

    def _ended(self, actor: Actor, answer_id: uuid.UUID) -> None:
        self._limits.at_once.leave(actor.user_id)
        self.answer_ended()
        self.turn_ended(answer_id)


def file_ids(attachments: Sequence[object]) -> tuple[uuid.UUID, ...]:
    """Returns ids of files, each once. Raises NotFound: one of them is none."""
    try:
        return tuple(dict.fromkeys(map(parse_id, attachments)))
    except NotFound:
        raise missing() from None


def check_prompt(text: str) -> str:
    """Returns the cleaned text. Raises InvalidInput when it is empty, TooLarge when too long."""
    text = clean_text(text)
    if not text.strip():
        raise InvalidInput(code="empty_prompt")
    if len(text) > MAX_PROMPT_CHARS:
        raise TooLarge(code="prompt_too_long", over_by=len(text) - MAX_PROMPT_CHARS)
    return text
