"""The part of a conversation that is sent to the model, and the digest of a conversation."""

import hashlib
import re
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.models import Author, Message
from genai_app.services.dialogs.branches import branch

MAX_CONTEXT_MESSAGES = 200
CHARS_PER_TOKEN = 2.5  # low on purpose: Russian text in current tokenizers has 2.5 to 4
# of the other scripts and of emoji a character is a token or more
_LETTERS = re.compile("[\\0-\u024f\u0370-\u04ff\u2010-\u2027]+")
TEMPLATE_TOKENS = 8  # what a chat template adds to each message
OWN_HEADING = "The user's own wishes for every answer. The instructions of the company come first:"


def estimate_tokens(text: str) -> int:
    """Returns an upper estimate without a tokenizer, which would cost the event loop what it
    saves."""
    others = len(_LETTERS.sub("", text))
    return int((len(text) - others) / CHARS_PER_TOKEN) + others + TEMPLATE_TOKENS


async def conversation(
    session: AsyncSession, parent: Message | None, question: str, budget: int
) -> tuple[Sequence[ChatTurn], int]:
    """Returns the newest messages from `question` up its branch that fit, oldest first, and how
    many were left out.

    Args:
        parent: the message that the question follows.
        budget: tokens for all of it.
    """
    turns = [ChatTurn(Author.USER, question)]
    if parent is None:
        return turns, 0
    left = budget - estimate_tokens(question)
    count = 1
    did_not_fit = False
    path = branch(parent.id, MAX_CONTEXT_MESSAGES - 1)
    rows = await session.execute(
        sa.select(
            *(col(Message.author), col(Message.text), col(Message.error_code), col(Message.id))
        )
        .join(path, col(Message.id) == path.c.id)
        .order_by(path.c.n)
    )
    for author, text, error_code, message_id in rows:  # newest first
        if not text or (did_not_fit and author == Author.USER):
            # an answer that failed before its first word says nothing, and a question that
            # the model could not take would not fit this time either
            did_not_fit = error_code == "context_too_long"
            count += not text
            continue
        left -= estimate_tokens(text)
        if left < 0:
            break
        count += 1
        if author == turns[-1].role == Author.USER:
            # templates of Mistral and Gemma refuse two questions in a row
            merged = f"{text}\n\n{turns[-1].content}"
            turns[-1] = ChatTurn(author, merged, made_of=(message_id, *turns[-1].made_of))
        else:
            turns.append(ChatTurn(author, text, made_of=(message_id,)))
    # an answer must not open the context: its question was cut off
    while len(turns) > 1 and turns[-1].role == Author.ASSISTANT:
        turns.pop()
        count -= 1
    turns.reverse()
    return turns, parent.depth + 2 - count


def own_instructions(turns: Sequence[ChatTurn], instructions: str) -> str:
    """Returns the user's own instructions as they stand in the prompt of `turns`; "" where a
    program began the conversation with instructions of its own, which take their place."""
    has_others = bool(turns) and turns[0].role == Author.SYSTEM
    return "" if has_others or not instructions else f"{OWN_HEADING}\n{instructions}"


def with_system_prompt(turns: Sequence[ChatTurn], prompt: str) -> Sequence[ChatTurn]:
    """Returns the turns with `prompt` first: the instructions of the company and the user. A
    client's own follow them in the same message, because templates allow one."""
    if not prompt:
        return turns
    if turns and turns[0].role == Author.SYSTEM:
        return [ChatTurn(Author.SYSTEM, f"{prompt}\n\n{turns[0].content}"), *turns[1:]]
    return [ChatTurn(Author.SYSTEM, prompt), *turns]


def digest(turns: Iterable[ChatTurn], before: bytes = b"") -> bytes:
    """Returns 32 bytes that stand for a conversation. `before`: the digest of the earlier turns."""
    value = before
    for turn in turns:
        sent = "".join(f"\n[{each}]" for each in turn.files)
        text = f"{turn.role}\n{turn.content}{sent}".encode("utf-8", "surrogatepass")
        value = hashlib.sha256(value + text).digest()
    return value
