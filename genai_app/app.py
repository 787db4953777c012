"""The Reflex app: its pages, routes and middleware around the services of composition.py."""

# Reflex's own signatures contain unknown types
# pyright: reportUnknownMemberType=false

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import reflex as rx
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from genai_app import metrics
from genai_app.api import errors
from genai_app.api.hosts import HostCheck
from genai_app.api.routes import ROUTERS
from genai_app.components.chat.early import EARLY_SEND
from genai_app.components.theme import EARLY_THEME
from genai_app.components.titles import chat_title, titled
from genai_app.composition import run_until_closed, running_services
from genai_app.pages.admin import admin
from genai_app.pages.admin_exports import admin_exports
from genai_app.pages.audit import audit
from genai_app.pages.chat import chat
from genai_app.pages.login import login
from genai_app.pages.not_found import not_found
from genai_app.pages.people import people
from genai_app.pages.review import review
from genai_app.pages.settings import settings_page
from genai_app.pages.verified import verified_page
from genai_app.rights import handler_name
from genai_app.services import services
from genai_app.settings.settings import load_settings
from genai_app.site_map import (
    AUDIT,
    CHAT,
    EXPORTS,
    LOGIN,
    NOT_FOUND,
    OVERVIEW,
    PEOPLE,
    REVIEW,
    SETTINGS,
    VERIFIED,
)
from genai_app.state.account.settings import SettingsState
from genai_app.state.admin.admin import AdminState
from genai_app.state.admin.audit import AuditState
from genai_app.state.admin.people import PeopleState
from genai_app.state.chat.conversation import ConversationState
from genai_app.state.chat.dialog import error_delta
from genai_app.state.exports import ExportsState
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.verified import VerifiedState
from genai_app.state.session import LoginState
from genai_app.state.tab import TabState
from genai_app.state.ui import UiState
from genai_app.web.binding import EventDoor
from genai_app.web.body_limit import BodyLimit
from genai_app.web.client_address import ClientAddress
from genai_app.web.failures import handler_failed, page_failed
from genai_app.web.frontend import Frontend, built_directory
from genai_app.web.headers import SecurityHeaders, content_security_policy, inline_hashes
from genai_app.web.heartbeat import beat_sockets
from genai_app.web.policy import Policy
from genai_app.web.session_watch import watch_sessions
from genai_app.web.sockets import open_sockets

API_VERSION = "0.1.0"
API_DESCRIPTION = (
    "Ask the company's assistant from scripts. Log in with POST /token, or make an API key, and"
    " send it as `Authorization: Bearer ...`. Clients of OpenAI's API use `/v1` unchanged."
)
# pages with the same path as a form's POST route
PAGES_BESIDE_FORMS = ("/login", "/logout")


def _watch_figures() -> None:
    """Gives the metrics access to the services' figures."""
    metrics.watch(
        running=lambda: services().generations.running,
        sockets=lambda: len(open_sockets),
        connections_used=lambda: services().db.connections_used,
        connections_most=lambda: services().db.connections_most,
    )


@asynccontextmanager
async def lifespan() -> AsyncGenerator[None]:
    """Runs the services, the heartbeat of open pages and the watch over their sessions."""
    async with running_services(load_settings()), AsyncExitStack() as opened:
        _watch_figures()
        run_until_closed(opened, "session watch", watch_sessions(app))
        run_until_closed(opened, "heartbeat", beat_sockets(app, TabState.get_full_name()))
        yield


def http_routes() -> FastAPI:
    """Returns the API with all routers and the renderer of errors."""
    api = FastAPI(
        title="GenAI assistant",
        version=API_VERSION,
        description=API_DESCRIPTION,
        openapi_url=None,  # api/docs.py says who may read it
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(api)
    for each in ROUTERS:
        api.include_router(each)
    return api


def on_handler_error(exception: Exception) -> None:
    """Logs the bug, and shows an error on the page."""
    handler_failed(exception, error_delta("internal"))


app = rx.App(
    html_lang="ru",
    stylesheets=["/styles.css"],
    head_components=[
        rx.el.link(rel="icon", type="image/svg+xml", href="/favicon.svg"),
        rx.el.link(rel="apple-touch-icon", href="/icon-192.png"),
        # with cookies: a proxy before the product may want its own
        rx.el.link(
            rel="manifest",
            href="/manifest.webmanifest",
            custom_attrs={"crossOrigin": "use-credentials"},
        ),
        rx.el.meta(name="robots", content="noindex"),
        rx.el.script(EARLY_THEME),
        rx.el.script(EARLY_SEND),
    ],
    toaster=None,
    backend_exception_handler=on_handler_error,
    frontend_exception_handler=page_failed,
    app_wraps={},
)
PAGES = (
    (CHAT, chat, ConversationState.open),
    (LOGIN, login, LoginState.load),
    (SETTINGS, settings_page, SettingsState.open),
    (OVERVIEW, admin, AdminState.open),
    (REVIEW, review, ReviewDialogState.open),
    (VERIFIED, verified_page, VerifiedState.open),
    (PEOPLE, people, PeopleState.open),
    (AUDIT, audit, AuditState.open),
    (EXPORTS, admin_exports, ExportsState.open),
    (NOT_FOUND, not_found, UiState.open),
)
for info, layout, on_load in PAGES:
    title = chat_title() if info is CHAT else titled(info.title)
    app.add_page(layout, route=info.route, title=title, on_load=on_load)
opening = frozenset(handler_name(on_load.fn) for _, _, on_load in PAGES)
app.add_middleware(Policy(unavailable=error_delta("storage_unavailable"), opening=opening))
app.register_lifespan_task(lifespan)


def server() -> ASGIApp:
    """Returns the whole product as one ASGI app.

    Reflex gets the event socket and the lifespan only. HTTP requests bypass its layers, which would
    cost more time than the routes themselves.
    """
    events = app()
    directory = built_directory()
    if directory is None:  # while the front end itself is being built
        return events
    api = http_routes()
    pages = Frontend(directory)
    for path in PAGES_BESIDE_FORMS:
        api.router.routes.append(
            Route(path, pages, methods=["GET", "HEAD"], include_in_schema=False)
        )
    # not a mount, which would answer wrong methods of API routes with pages
    api.router.default = pages
    csp = content_security_policy(inline_hashes(directory.glob("**/*.html")))
    settings = load_settings()
    https = settings.url.startswith("https:")
    requests = SecurityHeaders(HostCheck(BodyLimit(api)), csp=csp, https=https)
    return ClientAddress(EventDoor(events, requests), settings.trusted_proxy_hops)
