"""The one shape of every error: `{"error": {"code", "message", "type", "param", "request_id"}}`."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from genai_app.errors import AppError
from genai_app.services import services

log = structlog.get_logger()

BY_STATUS = {
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "invalid_input",
    429: "rate_limited",
}


def render(
    request: Request,
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    retry_after_s: int | None = None,
) -> JSONResponse:
    headers = {"cache-control": "no-store"}
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    body = {
        "code": code,
        "message": message,
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": param,
        "request_id": request.scope.get("request_id"),
    }
    return JSONResponse({"error": body}, status, headers)


def install(app: FastAPI) -> None:
    """Make every failure of `app` come out in the one shape."""

    @app.exception_handler(AppError)
    async def _expected(request: Request, error: AppError) -> JSONResponse:
        text = error.user_text(services().settings.locale)
        wait = error.retry_after_s or (5 if error.status == 503 else None)
        return render(request, error.status, error.code, text, retry_after_s=wait)

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"][1:]) or None
        return render(request, 422, "invalid_input", first["msg"], param=param)

    @app.exception_handler(HTTPException)
    async def _plain(request: Request, error: HTTPException) -> JSONResponse:
        code = BY_STATUS.get(error.status_code, "http_error")
        return render(request, error.status_code, code, str(error.detail))

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        log.error("request.bug", path=request.url.path, exc_info=error)
        return render(request, 500, "internal", "Internal server error")
