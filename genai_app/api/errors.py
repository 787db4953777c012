"""Renders every error as `{"error": {"code", "message", "type", "param", "request_id"}}`.

`type` has OpenAI's values, which its clients understand. A wrong value has the status 400 below
/v1, as in OpenAI's API, and 422 elsewhere. `message` is in the caller's language.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genai_app.access import Actor
from genai_app.api.budget import limit_headers
from genai_app.api.complaints import complaint
from genai_app.api.language import locale_of
from genai_app.errors import AppError, ContextTooLong, InvalidInput, ModelRefused
from genai_app.i18n import translate
from genai_app.services import services
from genai_app.services.limits.rate import Budget

log = structlog.get_logger()

BY_STATUS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    421: "misdirected",
    422: "invalid_input",
    429: "rate_limited",
}
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
DEFAULT_RETRY_AFTER_S = 5
# for errors that a repeated request does not cure; OpenAI's clients obey it
NO_RETRY = {"x-should-retry": "false"}


def error_type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return TYPES.get(status, "invalid_request_error")


def error_body(
    request_id: str | None, status: int, code: str, message: str, param: str | None = None
) -> dict[str, Any]:
    """Returns the body of an error, for a response or for an event of a stream."""
    return {
        "error": {
            "code": code,
            "message": message,
            "type": error_type(status),
            "param": param,
            "request_id": request_id,
        }
    }


def body_of(request: Request, error: AppError) -> dict[str, Any]:
    """Returns the body of an expected error, in the caller's language."""
    text = error.api_text(locale_of(request))
    param = error.params.get("param")
    return error_body(
        request.scope.get("request_id"),
        _status(request, error),
        error.code,
        text,
        param if isinstance(param, str) else None,
    )


def render(
    request: Request, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    always = {"cache-control": "no-store", "content-language": locale_of(request)}
    return JSONResponse(body, status, always | dict(headers or {}))


def _wrong_value(request: Request) -> int:
    return 400 if request.url.path.startswith("/v1/") else InvalidInput.status


def _status(request: Request, error: AppError) -> int:
    return _wrong_value(request) if error.status == InvalidInput.status else error.status


def install(app: FastAPI) -> None:
    """Adds handlers to `app` that render every error, also those of bugs, in this shape."""

    @app.exception_handler(AppError)
    async def _expected(request: Request, error: AppError) -> JSONResponse:
        headers = await _budget_headers(request, error.params.get("budget"))
        wait = error.retry_after_s or (DEFAULT_RETRY_AFTER_S if error.status == 503 else None)
        if wait is not None:
            headers["retry-after"] = str(wait)
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        if isinstance(error, InvalidInput | ModelRefused):
            headers |= NO_RETRY
        if isinstance(error, ContextTooLong | ModelRefused):
            headers |= await _current_limit_headers(request)  # the unit was returned meanwhile
        return render(request, _status(request, error), body_of(request, error), headers)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = complaint(error.errors(), error.body, locale_of(request))
        status = _wrong_value(request)
        body = error_body(
            request.scope.get("request_id"), status, "invalid_input", wrong.message, wrong.param
        )
        return render(request, status, body, await _budget_headers(request) | NO_RETRY)

    @app.exception_handler(HTTPException)
    async def _plain(request: Request, error: HTTPException) -> JSONResponse:
        code = BY_STATUS.get(error.status_code, "http_error")
        message = translate(locale_of(request), f"error.{code}")
        body = error_body(request.scope.get("request_id"), error.status_code, code, message)
        return render(request, error.status_code, body, error.headers)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        log.error("request.bug", path=request.url.path, exc_info=error)
        message = translate(locale_of(request), "error.internal")
        body = error_body(request.scope.get("request_id"), 500, "internal", message)
        return render(request, 500, body)


async def _budget_headers(request: Request, budget: object = None) -> dict[str, str]:
    """Returns the limit's headers of an authenticated caller; after a turn began, all headers of
    the turn's response."""
    of_turn: object = getattr(request.state, "headers", None)
    if isinstance(of_turn, dict):
        return dict(cast("dict[str, str]", of_turn))
    if isinstance(budget, Budget):
        return limit_headers(budget)
    return await _current_limit_headers(request)


async def _current_limit_headers(request: Request) -> dict[str, str]:
    """Returns the headers of the caller's present limit. Empty without an authenticated caller."""
    actor: object = getattr(request.state, "actor", None)
    if isinstance(actor, Actor):
        with suppress(AppError):
            return limit_headers(await services().limits.look(actor))
    return {}
