"""Login and logout by the browser's own forms. Only an HttpOnly cookie knows the token.

Scripts log in at api/tokens.py and out here.
"""

from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

import structlog
from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from genai_app.api.bearer import get_bearer
from genai_app.errors import AppError, NotAuthenticated
from genai_app.services import services
from genai_app.services.audit import client_address
from genai_app.web.cookies import clear_session, session_token, set_session
from genai_app.web.frontend import is_page
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
    """Start a session and go to `next`; on a refusal back to the form with the reason."""
    target = safe_target(next if next != "/" else _asked_for(request))
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
        return _back(error.code, target)
    log.info("login.accepted", user=user.username)
    response = RedirectResponse(target, 303)
    set_session(
        response, token, ttl_s=settings.session_ttl_s, secure=settings.url.startswith("https:")
    )
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session everywhere it is open: that of the bearer's token, else that of the cookie.

    A browser sends a bearer by itself to nobody, so no foreign page can drive that way.
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


def _asked_for(request: Request) -> str:
    """`next` of the login page itself, for a form that was posted before its socket was open."""
    query = parse_qs(urlsplit(request.headers.get("referer", "")).query)
    return query.get("next", ["/"])[0]


def safe_target(target: str) -> str:
    """A page of ours, or home: `next` comes from the address and may name anything."""
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc and is_page(target) else "/"


def _back(code: str, target: str) -> RedirectResponse:
    query = {"error": code} | ({"next": target} if target != "/" else {})
    return RedirectResponse(f"/login?{urlencode(query)}", 303)
