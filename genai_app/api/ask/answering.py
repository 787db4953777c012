"""Shared code of /ask and /v1: headers of requests and answers, and errors that an answer ended
with."""

import re
import uuid
from typing import Annotated

from fastapi import Header, Request

from genai_app.api.ask.stream import data
from genai_app.api.budget import limit_headers
from genai_app.api.errors import body_of
from genai_app.errors import (
    AppError,
    ContextTooLong,
    ModelFailed,
    ModelRefused,
    ModelUnavailable,
    NotFound,
    Unavailable,
)
from genai_app.models import Status
from genai_app.services import services
from genai_app.services.chat.turns import Turn
from genai_app.services.generation.checkpoints import End

# for UUIDs made from idempotency keys. A change would make repeated requests look like new ones
NAMESPACE = uuid.UUID("4b2f8a52-5a0e-4b8f-9d0c-1f3c5f6f7a10")
MAX_KEY_CHARS = 255

# `finish_reason` of OpenAI's API by status; "stop" for all others
FINISH_REASONS = {Status.TRUNCATED: "length", Status.FILTERED: "content_filter"}
ENDED_BADLY = (Status.FAILED, Status.INTERRUPTED)
MODEL_AWAY = {
    *("model_unavailable", "model_timeout", "model_auth", "model_unknown", "model_busy"),
    "demo_model_missing",
}
SERVER_AWAY = {"process_lost", "shutdown", "server_restarting", "storage_unavailable"}

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=MAX_KEY_CHARS,
        description="Any text that is unique for this question. A repeated request with the same"
        " text returns the same answer and asks the model only once.",
    ),
]


def client_id_of(key: str | None) -> uuid.UUID | None:
    """Returns the idempotency key as a UUID: itself if it is one, else a UUID made from its
    text."""
    if not key:
        return None
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", key):
        return uuid.UUID(key)
    return uuid.uuid5(NAMESPACE, key)


def cache_use(request: Request) -> tuple[bool, bool]:
    """Returns whether the cache may be read and whether it may be written, by `Cache-Control`."""
    header = request.headers.get("cache-control", "").lower()
    directives = {part.strip() for part in header.split(",")}
    return "no-cache" not in directives, "no-store" not in directives


async def requested_model(name: str | None) -> str | None:
    """Checks the model that a request names. Returns None for the model that is served, so that the
    cache has one name for it.

    While no model server can be reached, returns the name unchecked: the question is then saved,
    and its answer fails.

    Raises:
        NotFound: the servers do not have this model.
    """
    if name is None:
        return None
    try:
        served = await services().llm.model_name()
    except ModelUnavailable:
        return name
    if name != served:
        raise NotFound(code="model_not_found", param="model")
    return None


def turn_headers(turn: Turn) -> dict[str, str]:
    """Returns the response headers of an answer: its source, its ids and the caller's limit."""
    return {
        "x-genai-source": turn.source,
        "x-genai-dialog-id": str(turn.dialog_id),
        "x-genai-message-id": str(turn.answer_id),
        **limit_headers(turn.budget),
    }


def check_end(end: End | None) -> None:
    """Raises the error that an answer ended with."""
    error = bad_end(end) if end is not None else None
    if error is not None:
        raise error


def bad_end(end: End) -> AppError | None:
    """Returns the error that an answer ended with, or None if it ended well."""
    if end.status not in ENDED_BADLY:
        return None
    code = end.error_code or "internal"
    if code == "context_too_long":
        return ContextTooLong(**end.details)
    if code == "model_refused" or (code == "model_unknown" and end.details):
        return ModelRefused(code=code, reason=end.details.get("reason", ""))
    if code in MODEL_AWAY:
        return ModelUnavailable(code=code)
    if code in SERVER_AWAY:
        return Unavailable(code=code)
    if code == "internal":
        return AppError(code="internal")
    return ModelFailed(code=code)


def failed_event(request: Request, turn: Turn, error: AppError) -> bytes:
    """Returns the last event of a stream that failed: the error and the ids of dialog and
    message."""
    ids = {"dialog_id": str(turn.dialog_id), "message_id": str(turn.answer_id)}
    return data(body_of(request, error) | ids)
