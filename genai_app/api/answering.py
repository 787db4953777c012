"""What /ask and /v1 share: how a request becomes a turn, and a bad end of it an error."""

import re
import uuid
from typing import Annotated

from fastapi import Header, Request

from genai_app.api.budget import limit_headers
from genai_app.errors import (
    AppError,
    InvalidInput,
    ModelFailed,
    ModelUnavailable,
    NotFound,
    Unavailable,
)
from genai_app.models import Status
from genai_app.services import services
from genai_app.services.answers import End
from genai_app.services.chat import Turn

# of the ids that are made from texts; a change of it would make old texts new requests
NAMESPACE = uuid.UUID("4b2f8a52-5a0e-4b8f-9d0c-1f3c5f6f7a10")
MAX_KEY_CHARS = 255

ENDED_BADLY = (Status.FAILED, Status.INTERRUPTED)
MODEL_AWAY = {
    *("model_unavailable", "model_timeout", "model_auth", "model_unknown", "model_busy"),
    "demo_model_missing",
}
SERVER_AWAY = {"process_lost", "shutdown", "storage_unavailable"}

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=MAX_KEY_CHARS,
        description="Any text; the same again gives the same answer, once.",
    ),
]


def client_id_of(key: str | None) -> uuid.UUID | None:
    """The id that a header names: itself where it is a UUID, else one made of it."""
    if not key:
        return None
    if re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", key):
        return uuid.UUID(key)
    return uuid.uuid5(NAMESPACE, key)


def cache_use(request: Request) -> tuple[bool, bool]:
    """Whether the answer may come from the cache, and whether it may be kept there."""
    said = {part.strip() for part in request.headers.get("cache-control", "").lower().split(",")}
    return "no-cache" not in said, "no-store" not in said


async def known_model(name: str | None) -> str | None:
    """None for the model that answers anyway, so that the cache has one name for it.

    Raises NotFound for any other. While no server tells its name, whatever the caller says is
    tried: then the question is kept at least.
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
    """The error that an answer ended with; None for a good end."""
    if end.status not in ENDED_BADLY:
        return None
    code = end.error_code or "internal"
    if code == "context_too_long":
        return InvalidInput(code="context_too_long")
    if code in MODEL_AWAY:
        return ModelUnavailable(code=code)
    if code in SERVER_AWAY:
        return Unavailable(code=code)
    if code == "internal":
        return AppError(code="internal")
    return ModelFailed(code=code)
