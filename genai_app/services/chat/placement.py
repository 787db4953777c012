"""A question as it came, the position of its turn in a dialog, and the rows of the turn.

positions.py finds the position; the transaction that commits the turn checks it again (turns.py).
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.llm.dialects import TEMPLATE, ChatTurn
from genai_app.db.statements import Row, new_row
from genai_app.errors import Conflict
from genai_app.models import (
    Author,
    Dialog,
    Generation,
    Message,
    Source,
    Status,
    Variant,
    new_id,
)
from genai_app.models.database_time import database_now
from genai_app.services.chat.reasoning import EFFORT
from genai_app.services.generation.checkpoints import ReadyAnswer
from genai_app.services.generation.context import digest

# of `sampling`: these shape an answer, and change no draw
REPEATABLE = ("stop", TEMPLATE, EFFORT)
MAX_EARLIER = 200  # messages of a client's own history that are kept with its dialog


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an answer; None leaves an option to the settings.

    `sampling`: further parameters for the model server, by its own names. `read_cache`: a cached
    or verified answer may be used. `write_cache`: the answer may go into the cache. `keep`: the
    user sees the dialog in the list; else it is stored as one that its user deleted at once, for
    review alone.
    """

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    sampling: tuple[tuple[str, object], ...] = ()
    read_cache: bool = True
    write_cache: bool = True
    keep: bool = True

    @property
    def is_repeatable(self) -> bool:
        """True when the same request may get the same answer: it leaves sampling to the model
        server, or asks for none. A client that sets a temperature wants a new answer each time."""
        if self.temperature is not None:
            return self.temperature == 0
        return all(name in REPEATABLE for name, _ in self.sampling)


@dataclass(frozen=True, slots=True)
class Fork:
    """The point at which a question begins a branch: `below` an answer, or `beside` a question,
    under the same message as that one. Neither: it is a new first question of the dialog. Ids as
    they came."""

    below: object | None = None
    beside: object | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A question as it came, or (`again`) the answer that is to be generated anew, or (`cut`) the
    one that is to go on.

    `variant`: how another answer is to differ. `is_queued`: the question is taken from the queued
    ones of its dialog. `attachments`: ids of its files; None where they are not named: a question
    that is asked beside another one has the files of that one then. `hashes`: of the files that a
    client with its own history sent with the question.
    """

    text: str
    client_id: uuid.UUID | None
    body: bytes
    options: Options
    dialog_id: object | None = None
    earlier: Sequence[ChatTurn] | None = None
    again: uuid.UUID | None = None
    cut: uuid.UUID | None = None
    variant: Variant | None = None
    fork: Fork | None = None
    is_queued: bool = False
    attachments: tuple[uuid.UUID, ...] | None = None
    hashes: tuple[str, ...] = ()

    @property
    def turn(self) -> ChatTurn:
        """The question as a turn of the conversation."""
        return ChatTurn(Author.USER, self.text, files=self.hashes)

    @property
    def begins_dialog(self) -> bool:
        """True for a question that begins a dialog of its own."""
        refers = (self.dialog_id, self.again, self.cut, self.fork)
        return not self.earlier and all(each is None for each in refers)


@dataclass(frozen=True, slots=True)
class TurnPosition:
    """The position of a turn in a dialog, and the prompt of the model there.

    `dialog_id`: None for a dialog of its own. `leaf_id`: of the dialog when it was looked at.
    `question`: one that is there, to be answered again. `answer`: one that goes on. `context`: see
    Message.context_hash. `attached`: ids of the new question's files. `files_used`: of the answer,
    see there.
    """

    turns: Sequence[ChatTurn]
    trimmed: int = 0
    dialog_id: uuid.UUID | None = None
    leaf_id: uuid.UUID | None = None
    parent: Message | None = None
    question: Message | None = None
    answer: Message | None = None
    context: bytes | None = None
    branches: bool = False  # a client keeps its own history: it may go on from any message
    attached: tuple[uuid.UUID, ...] = ()
    files_used: str | None = None


class Moved(Exception):
    """The dialog has grown since it was looked at."""


async def newest_of(session: AsyncSession, user_id: uuid.UUID) -> uuid.UUID | None:
    """Returns the id of the user's newest message."""
    return await session.scalar(
        sa.select(col(Message.id))
        .where(col(Message.user_id) == user_id)
        .order_by(col(Message.id).desc())
        .limit(1)
    )


def turn_rows(
    actor: Actor,
    submission: Submission,
    position: TurnPosition,
    ready_answer: ReadyAnswer | None,
    dialog_id: uuid.UUID,
    *,
    after: uuid.UUID | None = None,
) -> list[Row]:
    """Returns the new messages of a turn, oldest first: at least the answer. Ids order a user's
    messages: these are greater than `after`, the newest one, whatever any clock did since."""
    rows = list[Row]()
    if after is not None:
        new_id(after)  # this process' ids go on from there
    if position.question is not None:
        question_id, depth = position.question.id, position.question.depth
    else:
        parent_id, depth = None, 0
        if position.dialog_id is None and submission.earlier:
            rows += _imported(actor, dialog_id, submission.earlier)
            parent_id, depth = rows[-1]["id"], len(rows)
        elif position.parent is not None:
            parent_id, depth = position.parent.id, position.parent.depth + 1
        rows.append(_question(actor, submission, dialog_id, parent_id, depth))
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
        trimmed=position.trimmed,
        variant=submission.variant,
        files_used=position.files_used,
        created_at=clock.now(),
    )
    if submission.again is not None:
        answer |= {"client_id": submission.client_id, "body_hash": submission.body}
    if ready_answer is not None:
        answer |= _ready_answer_columns(ready_answer, position)
    return [*rows, answer]


def _question(
    actor: Actor,
    submission: Submission,
    dialog_id: uuid.UUID,
    parent_id: uuid.UUID | None,
    depth: int,
) -> Row:
    return new_row(
        Message,
        id=new_id(),
        dialog_id=dialog_id,
        user_id=actor.user_id,
        parent_id=parent_id,
        depth=depth,
        client_id=submission.client_id,
        body_hash=submission.body,
        author=Author.USER,
        channel=actor.channel,
        text=submission.text,
        created_at=clock.now(),
    )


def _ready_answer_columns(answer: ReadyAnswer, position: TurnPosition) -> Row:
    """Returns the columns that turn an empty answer into a cached or verified one."""
    moment, end = clock.now(), answer.end
    context = position.context
    if context is not None:
        context = digest([ChatTurn(Author.ASSISTANT, answer.text)], context)
    return {
        "text": answer.text,
        "status": end.status,
        "source": end.source,
        "model": end.model,
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "made_at": end.made_at,
        "verified_id": answer.verified_id,
        "first_token_at": moment,
        "finished_at": moment,
        "context_hash": context,
    }


def _imported(actor: Actor, dialog_id: uuid.UUID, earlier: Sequence[ChatTurn]) -> list[Row]:
    """Returns rows for the earlier messages of a client, each below the one before. They have no
    source: nobody asked for them here."""
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
    text: str,
    where: str | None,
    options: Options,
    earlier: Sequence[ChatTurn] | None,
    fork: Fork | None = None,
    attachments: Sequence[uuid.UUID] | None = None,
) -> bytes:
    """Returns a digest that must be the same when a `client_id` comes again."""
    messages = [(turn.role, turn.content) for turn in earlier or ()]
    parameters = (options.model, options.max_tokens, options.temperature, options.sampling)
    body: list[object] = [text, where, parameters, messages]
    if fork is not None:  # without one, the digest that earlier versions made
        body.append([str(fork.below), str(fork.beside)])
    if attachments or (attachments is not None and fork is not None):
        body.append(["files", *map(str, attachments)])
    return hashlib.sha256(msgspec.json.encode(body)).digest()


def attachments_to_json(attachments: Sequence[uuid.UUID] | None) -> str | None:
    """Returns ids of files as a queued question keeps them; None where none are named."""
    return msgspec.json.encode(attachments).decode() if attachments else None


def attachments_of_json(stored: str | None) -> tuple[uuid.UUID, ...]:
    """Returns the ids of a queued question's files."""
    return msgspec.json.decode(stored, type=tuple[uuid.UUID, ...]) if stored else ()


def is_running() -> sa.ColumnElement[bool]:
    """Returns the condition that a generation has not ended, and its process lives."""
    return sa.and_(col(Generation.ended_at).is_(None), col(Generation.lease_until) > database_now())


def runs_in(user_id: object, dialog_id: object) -> sa.ColumnElement[bool]:
    """Returns the condition that a generation runs in a dialog of a user."""
    return sa.and_(
        is_running(),
        col(Generation.user_id) == user_id,
        col(Generation.dialog_id) == dialog_id,
    )


async def check_position(session: AsyncSession, dialog: Dialog, position: TurnPosition) -> None:
    """Checks that a turn may be committed at `position`.

    Raises:
        Conflict: an answer in the dialog is running.
        Moved: the dialog has grown since `position` was read.
    """
    if position.branches:
        return
    running = await session.scalar(
        sa.select(col(Generation.message_id)).where(runs_in(dialog.user_id, dialog.id)).limit(1)
    )
    if running is not None:
        raise Conflict(code="answer_running")
    if dialog.leaf_id != position.leaf_id:
        raise Moved
