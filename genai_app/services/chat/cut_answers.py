"""Answers that were cut and may go on: which ones, and how they begin to be written again."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.errors import Conflict
from genai_app.models import Generation, Message, MessageVerdict, Status, UsageMark
from genai_app.services.dialogs.branches import branch
from genai_app.services.generation.checkpoints import LEASE_END, Answers
from genai_app.services.generation.context import digest
from genai_app.services.generation.model_call import MAX_ANSWER_CHARS
from genai_app.services.generation.model_run import AnswerPart

CUT = (Status.TRUNCATED, Status.STOPPED, Status.INTERRUPTED)


def can_go_on(answer: Message) -> bool:
    """Returns whether an answer was cut in the middle of its text."""
    return answer.status in CUT and bool(answer.text.strip())


async def check_can_go_on(session: AsyncSession, answer: Message) -> None:
    """Raises Conflict unless the answer may go on: it was cut, nothing was asked below it, and no
    reviewer has judged its text."""
    if answer.status == Status.RUNNING:
        raise Conflict(code="answer_running")
    if answer.status in CUT and not answer.text.strip():
        raise Conflict(code="answer_is_empty")
    if not can_go_on(answer) or len(answer.text) >= MAX_ANSWER_CHARS:
        raise Conflict(code="answer_is_whole")
    replies = sa.exists().where(col(Message.parent_id) == answer.id)
    verdicts = sa.exists().where(
        col(MessageVerdict.message_id) == answer.id, col(MessageVerdict.verdict) != ""
    )
    has_replies, is_judged = (await session.execute(sa.select(replies, verdicts))).one()
    if has_replies:
        raise Conflict(code="answer_has_replies")
    if is_judged:
        raise Conflict(code="answer_is_judged")


async def digest_before(session: AsyncSession, answer: Message) -> bytes | None:
    """Returns the digest of the conversation before an answer that a client of the OpenAI API will
    send again; None where the client does not, or sends more than is stored."""
    if answer.context_hash is None:
        return None
    path = branch(answer.id, answer.depth + 1)
    rows = await session.execute(
        sa.select(col(Message.author), col(Message.text))
        .join(path, col(Message.id) == path.c.id)
        .order_by(path.c.n.desc())
    )
    *earlier, last = [ChatTurn(author, text) for author, text in rows]
    before = digest(earlier)
    return before if digest([last], before) == answer.context_hash else None


def part_of(answer: Message) -> AnswerPart:
    """Returns what a run that goes on with the answer finds there."""
    return AnswerPart(
        answer.text,
        answer.model,
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.first_token_at,
        answer.reasoning,
        answer.reasoning_ms,
        answer.reasoning_tokens,
    )


async def run_again(session: AsyncSession, answers: Answers, answer: Message) -> None:
    """Sets a cut answer to running, with a new generation in place of the one that ended."""
    now = clock.now()
    answer.status = Status.RUNNING
    answer.error_code = answer.error_details = None
    answer.context_hash = None  # of a text that it will not have any more
    answer.paused_ms = (answer.paused_ms or 0) + _milliseconds(answer.finished_at, now)
    answer.finished_at = None
    session.add(answer)
    lease = answers.lease(
        {"id": answer.id, "dialog_id": answer.dialog_id, "user_id": answer.user_id}
    )
    await session.flush()
    await session.execute(
        sa.update(Generation)
        .where(col(Generation.message_id) == answer.id)
        .values(lease | {"lease_until": LEASE_END})
        .execution_options(synchronize_session=False)
    )
    hour = col(UsageMark.hour)
    await session.execute(
        sa.update(UsageMark)
        .where(hour <= answer.created_at, hour > answer.created_at - timedelta(hours=1))
        .values(counted_at=hour)  # the statistics of its hour are to be counted again
        .execution_options(synchronize_session=False)
    )


def _milliseconds(since: datetime | None, now: datetime) -> int:
    pause = now - since if since is not None else timedelta()
    return min(max(round(pause.total_seconds() * 1000), 0), 2**31 - 1)
