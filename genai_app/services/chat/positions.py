"""The position of a turn in a user's dialogs, and the prompt of the model there. Reads only."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor, get_dialog, get_message, parse_id
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.errors import InvalidInput, NotFound
from genai_app.models import Author, Dialog, Message
from genai_app.services.chat.cut_answers import check_can_go_on, digest_before
from genai_app.services.chat.placement import Fork, Submission, TurnPosition
from genai_app.services.chat.wishes import with_wish
from genai_app.services.generation.context import conversation, digest, estimate_tokens


def new_dialog_position(submission: Submission) -> TurnPosition:
    """Returns the position of a question that begins a dialog of its own."""
    turns = [submission.turn]
    if submission.earlier is None or not submission.options.keep:
        return TurnPosition(turns)
    return TurnPosition(turns, context=digest(turns), branches=True)


async def find_position(
    session: AsyncSession, actor: Actor, submission: Submission, budget: int
) -> TurnPosition:
    """Returns the position of `submission`.

    Args:
        budget: tokens of the prompt.

    Raises:
        NotFound: no such dialog or answer of this actor.
        InvalidInput: a question begins a branch below a message that is no answer.
        Conflict: an answer cannot go on.
    """
    if submission.cut is not None:
        return await _position_of_rest(session, actor, submission.cut, budget)
    if submission.again is not None:
        return await _position_of_retry(session, actor, submission, budget)
    if submission.fork is not None:
        return await _position_of_fork(session, actor, submission, submission.fork, budget)
    if submission.earlier is not None:
        if not submission.options.keep:
            return TurnPosition([*submission.earlier, submission.turn], branches=True)
        return await _position_after(session, actor, submission.turn, submission.earlier)
    dialog = await get_dialog(session, actor, submission.dialog_id)
    leaf = await session.get(Message, dialog.leaf_id) if dialog.leaf_id else None
    turns, trimmed = await conversation(session, leaf, submission.text, budget)
    return TurnPosition(turns, trimmed, dialog.id, dialog.leaf_id, leaf)


async def _position_of_retry(
    session: AsyncSession, actor: Actor, submission: Submission, budget: int
) -> TurnPosition:
    old = await get_message(session, actor, submission.again, Author.ASSISTANT)
    question, above = await question_of(session, old)
    dialog = await get_dialog(session, actor, old.dialog_id)
    wish = with_wish(question.text, submission.variant)
    turns, trimmed = await conversation(session, above, wish, budget)
    return TurnPosition(turns, trimmed, dialog.id, dialog.leaf_id, above, question)


async def _position_of_fork(
    session: AsyncSession, actor: Actor, submission: Submission, fork: Fork, budget: int
) -> TurnPosition:
    parent: Message | None = None
    dialog_id = submission.dialog_id
    if fork.beside is not None:
        question = await get_message(session, actor, fork.beside, Author.USER)
        dialog_id = question.dialog_id
        parent = await session.get(Message, question.parent_id) if question.parent_id else None
    elif fork.below is not None:
        parent = await get_message(session, actor, fork.below)
        if dialog_id is not None and parse_id(dialog_id) != parent.dialog_id:
            raise NotFound
        if parent.author != Author.ASSISTANT:
            raise InvalidInput(code="parent_is_no_answer", param="parent_id")
        dialog_id = parent.dialog_id
    dialog = await get_dialog(session, actor, dialog_id)
    turns, trimmed = await conversation(session, parent, submission.text, budget)
    return TurnPosition(turns, trimmed, dialog.id, dialog.leaf_id, parent)


async def _position_of_rest(
    session: AsyncSession, actor: Actor, answer_id: object, budget: int
) -> TurnPosition:
    answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
    await check_can_go_on(session, answer)
    question, above = await question_of(session, answer)
    dialog = await get_dialog(session, actor, answer.dialog_id)
    left = budget - estimate_tokens(answer.text)
    turns, trimmed = await conversation(session, above, question.text, left)
    context = await digest_before(session, answer)
    return TurnPosition(
        [*turns, ChatTurn(Author.ASSISTANT, answer.text)],
        trimmed,
        dialog.id,
        dialog.leaf_id,
        above,
        question,
        answer,
        context,
    )


async def question_of(session: AsyncSession, answer: Message) -> tuple[Message, Message | None]:
    """Returns the question of an answer, and the message that the question follows. Raises
    NotFound."""
    question = await session.get(Message, answer.parent_id) if answer.parent_id else None
    if question is None:
        raise NotFound
    above = await session.get(Message, question.parent_id) if question.parent_id else None
    return question, above


async def _position_after(
    session: AsyncSession, actor: Actor, question: ChatTurn, earlier: Sequence[ChatTurn]
) -> TurnPosition:
    """Returns the position after the last of `earlier`, if a dialog consists of just these."""
    before = digest(earlier)
    context = digest([question], before)
    turns = [*earlier, question]
    last = await session.scalar(
        sa.select(Message)
        .join(Dialog, col(Dialog.id) == col(Message.dialog_id))
        .where(
            col(Message.context_hash) == before,
            col(Message.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
        )
        .order_by(col(Message.id).desc())
        .limit(1)
    )
    if last is None:
        return TurnPosition(turns, context=context, branches=True)
    return TurnPosition(
        turns, dialog_id=last.dialog_id, parent=last, context=context, branches=True
    )
