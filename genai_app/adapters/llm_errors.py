"""What a refusal of a model server means, as a status, or as an event in its stream."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from genai_app.errors import AppError, InvalidInput, ModelFailed, ModelUnavailable

MAX_DETAIL_CHARS = 300
DEFAULT_RETRY_AFTER_S = 5
MAX_RETRY_AFTER_S = 600


class ServerError(msgspec.Struct):
    message: str | None = None
    type: str | None = None


class _ErrorBody(msgspec.Struct):
    error: ServerError | str | None = None
    message: str | None = None
    detail: Any = None
    error_type: str | None = None


def http_error(
    status: int, body: bytes, *, retry_after: str | None, prompt: Sequence[str] = ()
) -> AppError:
    """The error that an HTTP answer other than 200 stands for.

    Args:
        body: the begin of it, JSON of the server or anything of a proxy before it.
        retry_after: the header of that name.
        prompt: what was asked; it never stands in the error's detail.
    """
    message = _message(body)
    detail = f"{status}: {_quotable(message, prompt)}"
    if status in (401, 403):
        return ModelUnavailable(detail, code="model_auth")
    if status == 404:
        return ModelUnavailable(detail, code="model_unknown")
    if status == 429:
        return _busy(detail, _retry_after_s(retry_after))
    if status in (400, 413, 422) and _is_about_context(message):
        return InvalidInput(detail, code="context_too_long")
    if 400 <= status < 500:
        return ModelFailed(detail, code="model_refused")
    return ModelUnavailable(detail)


def event_error(message: str, kind: str | None, *, begun: bool, prompt: Sequence[str]) -> AppError:
    """The error that an error event stands for.

    TGI checks the prompt only after it said 200, so before the answer began such an event may mean
    what a status means elsewhere.
    """
    detail = _quotable(message, prompt)
    if not begun:
        if _is_about_context(message):
            return InvalidInput(detail, code="context_too_long")
        if kind == "overloaded":
            return _busy(detail, DEFAULT_RETRY_AFTER_S)
    return ModelFailed(detail)


def _busy(detail: str, retry_after_s: int) -> ModelUnavailable:
    return ModelUnavailable(detail, code="model_busy", retry_after_s=retry_after_s)


def _retry_after_s(header: str | None) -> int:
    if header is None or not re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return DEFAULT_RETRY_AFTER_S
    return min(max(int(header), 1), MAX_RETRY_AFTER_S)


def _message(body: bytes) -> str:
    try:
        said = msgspec.json.decode(body, type=_ErrorBody)
    except ValueError:
        return body.decode("utf-8", "replace")
    if isinstance(said.error, ServerError):
        return said.error.message or ""
    return said.error or said.message or str(said.detail or "")


def _is_about_context(message: str) -> bool:
    pattern = (
        r"\bcontext\b|maximum (\w+ )?length|too many tokens|prompt.{0,40} too long"
        r"|`inputs`.{0,60}\btokens\b"
    )
    return re.search(pattern, message, re.IGNORECASE) is not None


def _quotable(message: str, prompt: Sequence[str]) -> str:
    """The message for the log, without the prompt: vLLM repeats a body that it refuses."""
    message = re.split(r"""['"]input['"]\s*:""", message, maxsplit=1)[0]
    for text in prompt:
        for line in text.splitlines():
            words = line.strip()
            if len(words) >= 8 and (words[:40] in message or words[-40:] in message):
                return "(a message that repeats the prompt)"
    return message[:MAX_DETAIL_CHARS]
