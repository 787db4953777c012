"""Login of scripts and other programs: a name and a password become tokens (docs/api.md)."""

from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from genai_app.api.bodies import failures
from genai_app.errors import AppError
from genai_app.models import Channel
from genai_app.services import services
from genai_app.services.audit import client_address
from genai_app.services.tokens import TokenPair

log = structlog.get_logger()
router = APIRouter(tags=["tokens"])


class Credentials(BaseModel):
    """Who logs in."""

    model_config = ConfigDict(extra="forbid")

    username: str
    password: str
    grant_type: Literal["password"] = "password"


class CredentialsForm(Credentials):
    """The same as OAuth2's password form, which may hold more that means nothing here."""

    model_config = ConfigDict(extra="ignore")


class RefreshBody(BaseModel):
    """The refresh token that came last."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str


class TokenAnswer(BaseModel):
    """`expires_in`: seconds that the access token may be shown."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a name
    expires_in: int
    refresh_token: str


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": model.model_json_schema()}


@router.post(
    "/token",
    responses=failures(400, 413),
    summary="Log in",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": _body(CredentialsForm),
                "application/json": _body(Credentials),
            },
        }
    },
)
async def log_in(request: Request) -> TokenAnswer:
    """Log in by OAuth2's password form, or by the same fields as JSON."""
    given = await _credentials(request)
    try:
        user = await services().auth.log_in(given.username, given.password, Channel.API)
        pair = await services().tokens.issue(
            user,
            address=client_address.get(),
            user_agent=request.headers.get("user-agent", ""),
        )
    except AppError as error:
        log.info("login.refused", code=error.code)
        raise
    log.info("login.accepted", user=user.username)
    return _answer(pair)


@router.post("/token/refresh", responses=failures(400, 413), summary="Get a new pair of tokens")
async def refresh(body: RefreshBody) -> TokenAnswer:
    """A new pair of tokens. A refresh token is good once: used again, it ends the session."""
    return _answer(await services().tokens.refresh(body.refresh_token))


async def _credentials(request: Request) -> Credentials:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return Credentials.model_validate_json(await request.body())
        form = await request.form()
        return CredentialsForm.model_validate(dict(form))
    except ValidationError as error:
        told = [
            {**item, "loc": ("body", *item["loc"])}
            for item in error.errors(include_input=False, include_context=False)
        ]
        raise RequestValidationError(told) from None


def _answer(pair: TokenPair) -> TokenAnswer:
    return TokenAnswer(
        access_token=pair.access_token,
        expires_in=pair.expires_in,
        refresh_token=pair.refresh_token,
    )
