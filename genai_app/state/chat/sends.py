"""Checks of a question that is sent from the page, whichever field it was written in."""

import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from genai_app.errors import AppError
from genai_app.models import MAX_PROMPT_CHARS
from genai_app.text import clean_text

MAX_KEY = 40

Answered = TypeVar("Answered")


def is_uuid(value: object) -> bool:
    """Returns whether a value is a UUID in its usual form."""
    if not isinstance(value, str) or len(value) != 36:
        return False
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def refusal_of(text: str, length: object, send_id: object) -> tuple[str, int]:
    """Returns the error code of a send that cannot be taken, and by how many characters its text is
    too long; ("", 0) of a good one."""
    if not isinstance(length, int) or not is_uuid(send_id):
        return "invalid_input", 0
    over_by = max(length, len(text)) - MAX_PROMPT_CHARS
    return ("prompt_too_long", over_by) if over_by > 0 else ("", 0)


async def ask_under(
    client_id: uuid.UUID, text: str, ask: Callable[[uuid.UUID], Awaitable[Answered]]
) -> Answered:
    """Asks under the id of the send. Where an earlier text has come under it, the page has sent
    another one since: that gets an id of its own, the same one if it is repeated."""
    try:
        return await ask(client_id)
    except AppError as error:
        if error.code != "client_id_reused":
            raise
        return await ask(uuid.uuid5(client_id, clean_text(text)))
