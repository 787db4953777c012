"""Login, logout and change of the password by HTML forms. The token is only in an HttpOnly cookie.

Scripts log in at api/account/tokens.py and log out here.
"""

from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

import structlog
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from genai_app.api.bearer import get_bearer
from genai_app.errors import AppError, InvalidInput, NotAuthenticated
from genai_app.services import services
from genai_app.services.accounts.current_actor import act_as
from genai_app.services.audit.events import client_address
from genai_app.web.addresses import login_address, safe_target
from genai_app.web.cookies import clear_session, session_token, set_session
from genai_app.web.origins import is_foreign

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)


@router.post("/login")
async def log_in(
    request: Request,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> RedirectResponse:
    """Starts a session and redirects to `next`. After a refusal, redirects to the form with the
    reason."""
    target = safe_target(next if next != "/" else _target_of_login_page(request))
    if is_foreign(request):
        log.warning("login.refused", code="foreign_origin")
        return _back("foreign_origin", target)
    settings = services().settings
    try:
        user = await services().auth.log_in(username, password)
        token = await services().sessions.start(
            user,
            address=client_address.get(),
            user_agent=request.headers.get("user-agent", ""),
        )
    except AppError as error:
        log.info("login.refused", code=error.code)
        return _back(error.code, target, error.retry_after_s)
    log.info("login.accepted", user=user.username)
    response = RedirectResponse(target, 303)
    set_session(
        response, token, ttl_s=settings.session_ttl_s, secure=settings.url.startswith("https:")
    )
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Ends the session of the bearer token, or without one the session of the cookie.

    With a bearer token the origin is not checked: a browser never sends one by itself, so another
    site cannot cause this request.
    """
    bearer = get_bearer(request)
    if bearer is not None:
        actor = await services().tokens.find_actor(bearer)
        if actor is None:
            raise NotAuthenticated
        await services().sessions.log_out(actor)
        log.info("logout", user=actor.username)
        return Response(status_code=204)
    if is_foreign(request):
        return RedirectResponse("/", 303)
    token = session_token(request.headers.get("cookie"))
    actor = await services().sessions.find_actor(token)
    if actor is not None:
        await services().sessions.log_out(actor)
        log.info("logout", user=actor.username)
    response = RedirectResponse("/login", 303)
    clear_session(response, secure=services().settings.url.startswith("https:"))
    return response


@router.post("/settings/password")
async def change_password(
    request: Request,
    current: Annotated[str, Form()] = "",
    new: Annotated[str, Form()] = "",
    repeat: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """Changes the password, and redirects to the settings page with the outcome.

    This is a form and not an event of the page, because the contents of events may be logged.
    """
    if is_foreign(request):
        return RedirectResponse("/settings?password=foreign_origin", 303)
    actor = await services().sessions.find_actor(session_token(request.headers.get("cookie")))
    if actor is None:
        return RedirectResponse("/login?next=%2Fsettings", 303)
    act_as(actor)
    outcome = "changed"
    try:
        if new != repeat:
            raise InvalidInput(code="passwords_differ")
        await services().auth.change_password(actor, current, new)
    except AppError as error:
        outcome = error.code
    log.info("password.change", user=actor.username, outcome=outcome)
    return RedirectResponse(f"/settings?{urlencode({'password': outcome})}#password", 303)


def _target_of_login_page(request: Request) -> str:
    """Returns `next` in the login page's own address, for a form that is posted before the page's
    socket is open."""
    query = parse_qs(urlsplit(request.headers.get("referer", "")).query)
    return query.get("next", ["/"])[0]


def _back(code: str, target: str, wait_s: int | None = None) -> RedirectResponse:
    return RedirectResponse(login_address(target, error=code, wait_s=wait_s), 303)
