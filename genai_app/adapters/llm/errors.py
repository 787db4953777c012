"""The meaning of a model server's refusal: a status, or an event in its stream.

A server that calls the request wrong (ModelRefused) is not the same as one that does not know us
or is not what we take it for (model_auth, model_unknown: our settings are wrong), and from one that
is busy or broken.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from genai_app.adapters.llm.reasons import clean_reason, without_prompt
from genai_app.errors import AppError, ContextTooLong, ModelFailed, ModelRefused, ModelUnavailable

MAX_DETAIL_CHARS = 300
DEFAULT_RETRY_AFTER_S = 5
MAX_RETRY_AFTER_S = 600
# of statuses from 400 to 499, those that say nothing of what was asked
NOT_OURS = (402, 405, 407, 408, 421, 425, 426)
REFUSAL_KINDS = {
    *("BadRequestError", "UnprocessableEntityError", "NotFoundError", "invalid_request_error"),
    "validation",
}


class ServerError(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: Any = None
    code: Any = None
    n_prompt_tokens: int | None = None  # llama.cpp's
    n_ctx: int | None = None


class _ErrorBody(msgspec.Struct):
    error: ServerError | str | None = None
    message: str | None = None
    detail: Any = None
    error_type: str | None = None


def http_error(
    status: int, body: bytes, *, retry_after: str | None, prompt: Sequence[str] = ()
) -> AppError:
    """Returns the error that an HTTP answer other than 200 stands for.

    Args:
        body: the begin of it, JSON of the server or anything of a proxy before it.
        retry_after: the header of that name.
        prompt: what was asked; it never stands in the error's detail or reason.
    """
    error, message = _parsed(body)
    detail = f"{status}: {without_prompt(message, prompt)[:MAX_DETAIL_CHARS]}"
    if status in (401, 403):
        return ModelUnavailable(detail, code="model_auth")
    if status == 404 and not _names_a_model(error):
        return ModelUnavailable(detail, code="model_unknown")
    if status == 429:
        return _busy(detail, _retry_after_s(retry_after))
    if status in (400, 413, 422) and is_about_context(message, error):
        return context_error(message, error, detail)
    if 400 <= status < 500 and status not in NOT_OURS:
        code = "model_unknown" if status == 404 else "model_refused"
        return ModelRefused(detail, code=code, reason=clean_reason(message, prompt))
    return ModelUnavailable(detail)


def event_error(error: ServerError, *, begun: bool, prompt: Sequence[str]) -> AppError:
    """Returns the error that an error event stands for.

    A server may look at the prompt only after it said 200, so before the answer began such an event
    may mean what a status means elsewhere.
    """
    message = error.message or ""
    detail = without_prompt(message, prompt)[:MAX_DETAIL_CHARS]
    if not begun:
        if is_about_context(message, error):
            return context_error(message, error, detail)
        if error.type == "overloaded":
            return _busy(detail, DEFAULT_RETRY_AFTER_S)
        if error.type in REFUSAL_KINDS or error.code in (400, 404, 413, 422):
            return ModelRefused(detail, reason=clean_reason(message, prompt))
    return ModelFailed(detail)


def is_about_context(message: str, error: ServerError) -> bool:
    """Returns whether a refusal says that prompt and answer are too long together."""
    if error.param == "input_tokens" or error.type == "exceed_context_size_error":
        return True
    pattern = (
        r"\bcontext (length|size|window)|maximum (\w+ )?length|too many tokens"
        r"|prompt.{0,40} too long|exceed\w*.{0,40}\bcontext\b|over the context"
        r"|`inputs`.{0,60}\btokens\b"
        r"|max(_completion)?_tokens.{0,60}(too large|exceed|greater)|`max_new_tokens`.{0,60}\b<="
    )
    return re.search(pattern, message, re.IGNORECASE) is not None


def context_error(message: str, error: ServerError, detail: str = "") -> ContextTooLong:
    """Returns the refusal of a prompt that is too long, with the numbers that it names.

    `window`: what the server takes, `asked`: tokens of the prompt; None where it does not say.
    """
    window, asked = error.n_ctx, error.n_prompt_tokens
    for pattern in WINDOW_PATTERNS:
        if window is None and (match := re.search(pattern, message, re.IGNORECASE)):
            window = int(match[1])
    for pattern in ASKED_PATTERNS:
        if asked is None and (match := re.search(pattern, message, re.IGNORECASE)):
            asked = int(match[1])
    return ContextTooLong(detail, window=window, asked=asked)


# vLLM, OpenAI, llama.cpp and TGI
WINDOW_PATTERNS = (
    r"maximum context length (?:is|of) (?:only )?(\d{1,9})",
    r"maximum model length (?:of|is) (\d{1,9})",
    r"context (?:size|window|length)\D{0,20}(\d{1,9})",
    r"must be <= (\d{1,9})\. Given: \d+ `inputs` tokens",
    r"`inputs` must have less than (\d{1,9}) tokens",
)
ASKED_PATTERNS = (
    r"\((\d{1,9}) in the messages",
    r"value=(\d{1,9})\)",
    r"has (\d{1,9}) input tokens",
    r"(?:prompt|request|input)\D{0,30}?(\d{1,9}) (?:input )?tokens",
    r"Given: (\d{1,9})",
    r"requested (\d{1,9}) tokens",
)


def _names_a_model(error: ServerError) -> bool:
    """Returns whether a 404 names a missing model rather than a wrong address."""
    return error.param == "model" or re.search(r"\bmodel\b", error.message or "") is not None


def _busy(detail: str, retry_after_s: int) -> ModelUnavailable:
    return ModelUnavailable(detail, code="model_busy", retry_after_s=retry_after_s)


def _retry_after_s(header: str | None) -> int:
    if header is None or not re.fullmatch(r"[0-9]{1,9}", header.strip()):
        return DEFAULT_RETRY_AFTER_S
    return min(max(int(header), 1), MAX_RETRY_AFTER_S)


def _parsed(body: bytes) -> tuple[ServerError, str]:
    """Returns what a body says: the server's own error where it is one, and the text."""
    try:
        body_ = msgspec.json.decode(body, type=_ErrorBody)
    except ValueError:
        text = body.decode("utf-8", "replace")
        return ServerError(), text
    if isinstance(body_.error, ServerError):
        return body_.error, body_.error.message or ""
    message = body_.error or body_.message or _detail_text(body_.detail)
    # of the older shape, in which there is no `error` around the message
    return ServerError(message=body_.error or body_.message, type=body_.error_type), message


def _detail_text(detail: Any) -> str:
    """Returns FastAPI's detail as text: it is one, or a list of what is wrong and where."""
    if isinstance(detail, list):
        texts = [str(each.get("msg", "")) for each in detail if isinstance(each, dict)]  # pyright: ignore
        return "; ".join(text for text in texts if text)
    return str(detail or "")
