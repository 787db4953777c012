"""The one shape of every error: `{"error": {"code", "message", "type", "param", "request_id"}}`.

`type` is one of OpenAI's, so that its clients tell the kinds apart.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genai_app.access import Actor
from genai_app.api.budget import limit_headers
from genai_app.errors import AppError
from genai_app.i18n import translate
from genai_app.services import services
from genai_app.services.limits import Budget

log = structlog.get_logger()

BY_STATUS = {
    400: "bad_request",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "invalid_input",
    429: "rate_limited",
}
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
DEFAULT_RETRY_AFTER_S = 5
MAX_PARAM_CHARS = 200


def error_type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return TYPES.get(status, "invalid_request_error")


def error_body(
    request_id: str | None, status: int, code: str, message: str, param: str | None = None
) -> dict[str, Any]:
    """The shape, for an answer of its own or for the middle of a stream."""
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
    """What a client is told of an expected failure."""
    text = error.user_text(services().settings.locale)
    param = error.params.get("param")
    return error_body(
        request.scope.get("request_id"),
        error.status,
        error.code,
        text,
        param if isinstance(param, str) else None,
    )


def render(
    request: Request, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(body, status, {"cache-control": "no-store"} | dict(headers or {}))


def install(app: FastAPI) -> None:
    """Make every failure of `app` come out in the one shape."""

    @app.exception_handler(AppError)
    async def _expected(request: Request, error: AppError) -> JSONResponse:
        headers = await _budget_headers(request, error.params.get("budget"))
        wait = error.retry_after_s or (DEFAULT_RETRY_AFTER_S if error.status == 503 else None)
        if wait is not None:
            headers["retry-after"] = str(wait)
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        return render(request, error.status, body_of(request, error), headers)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        message, param = _complaint(error.errors())
        body = error_body(request.scope.get("request_id"), 422, "invalid_input", message, param)
        return render(request, 422, body, await _budget_headers(request))

    @app.exception_handler(HTTPException)
    async def _plain(request: Request, error: HTTPException) -> JSONResponse:
        code = BY_STATUS.get(error.status_code, "http_error")
        message = translate(services().settings.locale, f"error.{code}")
        body = error_body(request.scope.get("request_id"), error.status_code, code, message)
        return render(request, error.status_code, body, error.headers)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        log.error("request.bug", path=request.url.path, exc_info=error)
        message = translate(services().settings.locale, "error.internal")
        body = error_body(request.scope.get("request_id"), 500, "internal", message)
        return render(request, 500, body)


def _complaint(found: Sequence[Any]) -> tuple[str, str | None]:
    """What is wrong with a body first of all, and where."""
    first = found[0]
    # a body of no JSON content type is taken for text
    as_text = first["loc"] == ("body",) and isinstance(first.get("input"), str | bytes)
    if first["type"] == "json_invalid" or as_text:
        return translate(services().settings.locale, "error.malformed_json"), None
    # a key may be any text of the caller's
    where = ".".join(str(part) for part in first["loc"][1:])[:MAX_PARAM_CHARS]
    where = where.encode("utf-8", "replace").decode()
    return str(first["msg"]), where or None


async def _budget_headers(request: Request, budget: object = None) -> dict[str, str]:
    """What the caller has left, where one is known; of a turn all that its answer would say."""
    told: object = getattr(request.state, "headers", None)
    if isinstance(told, dict):
        return dict(cast("dict[str, str]", told))
    actor: object = getattr(request.state, "actor", None)
    if budget is None and isinstance(actor, Actor):
        with suppress(AppError):
            budget = await services().limits.look(actor)
    return limit_headers(budget if isinstance(budget, Budget) else None)
