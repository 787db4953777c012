"""Where a turn goes in a user's dialogs, what the model is told there, and the rows it becomes.
Reads only; the transaction that commits the turn looks again (chat.py)."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_message
from genai_app.adapters.llm import ChatTurn
from genai_app.db import Row, new_row
from genai_app.errors import Conflict, NotFound
from genai_app.models import Author, Dialog, Generation, Message, Source, Status, new_id
from genai_app.services.answers import GivenAnswer
from genai_app.services.context import conversation, digest

MAX_EARLIER = 200  # messages of a client's own history that are kept with its dialog


@dataclass(frozen=True, slots=True)
class Options:
    """How a question is to be answered; None leaves it to the settings.

    `sampling`: further parameters for the model server, by its own names. `read_cache`: an answer
    that was given before will do. `write_cache`: it may be given again.
    """

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    sampling: tuple[tuple[str, object], ...] = ()
    read_cache: bool = True
    write_cache: bool = True


@dataclass(frozen=True, slots=True)
class Sent:
    """A question as it came, or (`again`) the answer that is to be given anew."""

    text: str
    client_id: uuid.UUID | None
    body: bytes
    options: Options
    dialog_id: object | None = None
    earlier: Sequence[ChatTurn] | None = None
    again: object | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn goes, and what the model is told.

    `dialog_id`: None for a dialog of its own. `leaf_id`: of the dialog when it was looked at.
    `question`: one that is there, to be answered again. `context`: see Message.context_hash.
    """

    turns: Sequence[ChatTurn]
    trimmed: int = 0
    dialog_id: uuid.UUID | None = None
    leaf_id: uuid.UUID | None = None
    parent: Message | None = None
    question: Message | None = None
    context: bytes | None = None
    branches: bool = False  # a client keeps its own history: it may go on from any message


class Moved(Exception):
    """The dialog has grown since it was looked at."""


def place_alone(sent: Sent) -> Place:
    """In a dialog of its own, after nothing."""
    turns = [ChatTurn(Author.USER, sent.text)]
    if sent.earlier is None:
        return Place(turns)
    return Place(turns, context=digest(turns), branches=True)


async def find_place(session: AsyncSession, actor: Actor, sent: Sent, budget: int) -> Place:
    """Where `sent` goes.

    Args:
        budget: tokens for what the model is told.

    Raises:
        NotFound: no such dialog or answer of this actor.
    """
    if sent.again is not None:
        return await _place_again(session, actor, sent.again, budget)
    if sent.earlier is not None:
        return await _place_after(session, actor, sent.text, sent.earlier)
    dialog = await get_dialog(session, actor, sent.dialog_id)
    leaf = await session.get(Message, dialog.leaf_id) if dialog.leaf_id else None
    turns, trimmed = await conversation(session, leaf, sent.text, budget)
    return Place(turns, trimmed, dialog.id, dialog.leaf_id, leaf)


async def _place_again(
    session: AsyncSession, actor: Actor, answer_id: object, budget: int
) -> Place:
    old = await get_message(session, actor, answer_id, Author.ASSISTANT)
    question = await session.get(Message, old.parent_id)
    if question is None:
        raise NotFound
    dialog = await get_dialog(session, actor, old.dialog_id)
    above = await session.get(Message, question.parent_id) if question.parent_id else None
    turns, trimmed = await conversation(session, above, question.text, budget)
    return Place(turns, trimmed, dialog.id, dialog.leaf_id, above, question)


async def _place_after(
    session: AsyncSession, actor: Actor, text: str, earlier: Sequence[ChatTurn]
) -> Place:
    """Below the last of `earlier`, if there is a dialog of just these messages."""
    before = digest(earlier)
    context = digest([ChatTurn(Author.USER, text)], before)
    turns = [*earlier, ChatTurn(Author.USER, text)]
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
        return Place(turns, context=context, branches=True)
    return Place(turns, dialog_id=last.dialog_id, parent=last, context=context, branches=True)


def turn_rows(
    actor: Actor, sent: Sent, place: Place, given: GivenAnswer | None, dialog_id: uuid.UUID
) -> list[Row]:
    """New messages of a turn, oldest first: at least the answer."""
    rows = list[Row]()
    if place.question is not None:
        question_id, depth = place.question.id, place.question.depth
    else:
        parent_id, depth = None, 0
        if place.dialog_id is None and sent.earlier:
            rows += _imported(actor, dialog_id, sent.earlier)
            parent_id, depth = rows[-1]["id"], len(rows)
        elif place.parent is not None:
            parent_id, depth = place.parent.id, place.parent.depth + 1
        rows.append(_question(actor, sent, dialog_id, parent_id, depth))
        question_id = rows[-1]["id"]
    answer = new_row(
        Message,
        id=new_id(),
        dialog_id=dialog_id,
        user_id=actor.user_id,
        parent_id=question_id,
        depth=depth + 1,
        author=Author.ASSISTANT,
        channel=actor.channel,
        status=Status.RUNNING,
        source=Source.MODEL,
        trimmed=place.trimmed,
        created_at=clock.now(),
    )
    if given is not None:
        answer |= _answered(given, place)
    return [*rows, answer]


def _question(
    actor: Actor, sent: Sent, dialog_id: uuid.UUID, parent_id: uuid.UUID | None, depth: int
) -> Row:
    return new_row(
        Message,
        id=new_id(),
        dialog_id=dialog_id,
        user_id=actor.user_id,
        parent_id=parent_id,
        depth=depth,
        client_id=sent.client_id,
        body_hash=sent.body,
        author=Author.USER,
        channel=actor.channel,
        text=sent.text,
        created_at=clock.now(),
    )


def _answered(given: GivenAnswer, place: Place) -> Row:
    """What an answer that was there makes of an empty one."""
    moment, end = clock.now(), given.end
    context = place.context
    if context is not None:
        context = digest([ChatTurn(Author.ASSISTANT, given.text)], context)
    return {
        "text": given.text,
        "status": end.status,
        "source": end.source,
        "model": end.model,
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "made_at": end.made_at,
        "verified_id": given.verified_id,
        "first_token_at": moment,
        "finished_at": moment,
        "context_hash": context,
    }


def _imported(actor: Actor, dialog_id: uuid.UUID, earlier: Sequence[ChatTurn]) -> list[Row]:
    """Rows for what a client says came before, one below the other. They have no source: nobody
    asked for them here."""
    rows: list[Row] = []
    for depth, turn in enumerate(earlier[-MAX_EARLIER:]):
        rows.append(
            new_row(
                Message,
                id=new_id(),
                dialog_id=dialog_id,
                user_id=actor.user_id,
                parent_id=rows[-1]["id"] if rows else None,
                depth=depth,
                author=Author(turn.role),
                channel=actor.channel,
                text=turn.content,
                created_at=clock.now(),
            )
        )
    return rows


def body_hash(
    text: str, where: str | None, options: Options, earlier: Sequence[ChatTurn] | None
) -> bytes:
    """What must be the same when a `client_id` comes again."""
    said = [(turn.role, turn.content) for turn in earlier or ()]
    parameters = (options.model, options.max_tokens, options.temperature, options.sampling)
    return hashlib.sha256(msgspec.json.encode([text, where, parameters, said])).digest()


async def check_place(session: AsyncSession, dialog: Dialog, place: Place) -> None:
    """
    Raises:
        Conflict: an answer in the dialog is running. Moved: it has grown since `place` was found.
    """
    if place.branches:
        return
    running = await session.scalar(
        sa.select(col(Generation.message_id))
        .where(
            col(Generation.user_id) == dialog.user_id,
            col(Generation.dialog_id) == dialog.id,
            col(Generation.ended_at).is_(None),
            col(Generation.lease_until) >= clock.now(),
        )
        .limit(1)
    )
    if running is not None:
        raise Conflict(code="answer_running")
    if dialog.leaf_id != place.leaf_id:
        raise Moved
