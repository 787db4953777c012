"""`/token`: login of scripts and other programs. They exchange name and password for tokens
(docs/tokens.md)."""

from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from genai_app.api.bodies import failures
from genai_app.errors import AppError
from genai_app.models import Channel
from genai_app.services import services
from genai_app.services.accounts.tokens import TokenPair
from genai_app.services.audit.events import client_address

log = structlog.get_logger()
router = APIRouter(tags=["tokens"])


class Credentials(BaseModel):
    """The name and password of an account."""

    model_config = ConfigDict(extra="forbid")

    username: str
    password: str
    grant_type: Literal["password"] = "password"


class CredentialsForm(Credentials):
    """The same fields as OAuth2's password form. Its other fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class RefreshBody(BaseModel):
    """The refresh token of the last response."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str


class TokenAnswer(BaseModel):
    """A pair of tokens. `expires_in`: seconds until the access token expires."""

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
    """Takes OAuth2's password form, or the same fields as JSON. Returns an access token and a
    refresh token."""
    credentials = await _credentials(request)
    try:
        user = await services().auth.log_in(credentials.username, credentials.password, Channel.API)
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
    """Returns a new pair of tokens. A refresh token can be used once. Sent again within ten seconds
    it returns the same pair; later it ends the session."""
    return _answer(await services().tokens.refresh(body.refresh_token))


async def _credentials(request: Request) -> Credentials:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return Credentials.model_validate_json(await request.body())
        form = await request.form()
        return CredentialsForm.model_validate(dict(form))
    except ValidationError as error:
        errors = [
            {**item, "loc": ("body", *item["loc"])}
            for item in error.errors(include_input=False, include_context=False)
        ]
        raise RequestValidationError(errors) from None


def _answer(pair: TokenPair) -> TokenAnswer:
    return TokenAnswer(
        access_token=pair.access_token,
        expires_in=pair.expires_in,
        refresh_token=pair.refresh_token,
    )
