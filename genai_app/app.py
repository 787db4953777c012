"""The composition root: settings -> services -> rx.App, routes, middleware. No logic."""

# Reflex's own signatures hold unknowns
# pyright: reportUnknownMemberType=false

import asyncio
import gc
import os
import socket
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import reflex as rx
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from genai_app import metrics
from genai_app.adapters.bus import Bus
from genai_app.adapters.demo_model import DemoModel
from genai_app.adapters.directory import Directory
from genai_app.adapters.llm import LlmClient
from genai_app.adapters.redis import Entries, limit_storage
from genai_app.api import errors
from genai_app.api.routes import ROUTERS
from genai_app.db import Database
from genai_app.i18n import translate
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
from genai_app.services import Services, use
from genai_app.services.audit import Audit
from genai_app.services.audit_chain import AuditChain
from genai_app.services.audit_log import AuditLog
from genai_app.services.auth import Auth
from genai_app.services.backup_files import watch_backups
from genai_app.services.cache import AnswerCache
from genai_app.services.chat import Chat
from genai_app.services.exports import Exports
from genai_app.services.feedback import Feedbacks
from genai_app.services.generation import Generations
from genai_app.services.given import Given
from genai_app.services.history import History
from genai_app.services.keys import Keys
from genai_app.services.limits import Limits
from genai_app.services.login_limits import LoginLimits
from genai_app.services.overview import Overviews
from genai_app.services.people import People
from genai_app.services.readers import Readers
from genai_app.services.rechecks import Rechecks
from genai_app.services.retention import Retention
from genai_app.services.review import Reviews
from genai_app.services.search import Search
from genai_app.services.sessions import Sessions
from genai_app.services.settings_audit import record_settings
from genai_app.services.slots import ModelSlots
from genai_app.services.staff import Staff
from genai_app.services.staff_login import StaffLogin
from genai_app.services.tokens import Tokens
from genai_app.services.usage import UsageCounter
from genai_app.services.users import Users
from genai_app.services.verdicts import Verdicts
from genai_app.services.verified import Verified
from genai_app.settings import Settings, load_settings
from genai_app.state.admin import AdminState
from genai_app.state.audit import AuditState
from genai_app.state.chat import ChatState, error_delta
from genai_app.state.exports import ExportsState
from genai_app.state.people import PeopleState
from genai_app.state.review_dialog import ReviewDialogState
from genai_app.state.session import LoginState
from genai_app.state.settings import SettingsState
from genai_app.state.ui import UiState
from genai_app.state.verified import VerifiedState
from genai_app.web.binding import EventDoor, open_sockets
from genai_app.web.body_limit import BodyLimit
from genai_app.web.client_address import ClientAddress
from genai_app.web.failures import handler_failed, page_failed
from genai_app.web.frontend import Frontend, built_directory
from genai_app.web.headers import SecurityHeaders, content_security_policy, inline_hashes
from genai_app.web.policy import Policy
from genai_app.web.session_watch import watch_sessions

API_VERSION = "0.1.0"
API_DESCRIPTION = (
    "Ask the company's assistant from scripts. Log in with POST /token, or make an API key, and"
    " send it as `Authorization: Bearer ...`. Clients of OpenAI's API use `/v1` unchanged."
)
# pages whose address a form posts to
PAGES_BESIDE_FORMS = ("/login", "/logout")


def build_services(
    settings: Settings, llm: LlmClient, directory: Directory | None = None
) -> Services:
    """Everything the channels call, wired. Opens no connection yet."""
    db = Database(settings.sqlalchemy_url)
    audit = Audit(db)
    sessions = Sessions(db, settings.secret, settings.session_ttl_s)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    counters = limit_storage(redis_url)
    login_limits = LoginLimits(db, counters)
    limits = Limits(
        db, counters, settings.rates, max_parallel=settings.max_parallel_answers, owner=owner
    )
    redis = Entries(redis_url) if redis_url else None
    cache_redis = Entries(settings.cache_url or "") if settings.cache_redis_url else None
    cache = AnswerCache(
        cache_redis or redis, scope=settings.cache_scope, ttl_s=settings.cache_ttl_s
    )
    slots = ModelSlots(
        llm.endpoints,
        redis_url,
        most=settings.llm_max_concurrency,
        timeout_s=settings.llm_queue_timeout_s,
    )
    generations = Generations(
        db,
        llm,
        cache,
        slots,
        owner=owner,
        sole_process=settings.embedded,
        bus=Bus(redis_url, owner) if redis_url else None,
        redis=redis,
    )
    keys = Keys(db, settings.secret)
    chain = AuditChain(db, settings.anchor_path, settings.secret)
    verified = Verified(db, days=settings.verified_days)
    verdicts = Verdicts(db, cache, verified)
    given = Given(cache, verified, verdicts, generations)
    rechecks = staff_login = None
    if directory is not None:
        staff = Staff(db, settings)
        rechecks = Rechecks(db, directory, staff, settings.ldap_recheck_s)
        staff_login = StaffLogin(
            directory, staff, rechecks, lockout_tries=settings.ldap_lockout_tries
        )
    return Services(
        settings=settings,
        db=db,
        llm=llm,
        users=Users(db),
        auth=Auth(db, login_limits, staff_login, local=settings.local_accounts),
        sessions=sessions,
        tokens=Tokens(db, sessions, settings.secret, settings.access_token_ttl_s),
        keys=keys,
        login_limits=login_limits,
        audit=audit,
        audit_chain=chain,
        audit_log=AuditLog(db, chain),
        limits=limits,
        cache=cache,
        slots=slots,
        generations=generations,
        chat=Chat(
            db,
            generations,
            limits,
            given,
            context_tokens=settings.llm_context_tokens,
            max_tokens=settings.llm_max_tokens,
            system_prompt=settings.system_prompt,
        ),
        history=History(db),
        people=People(db, sessions, keys, limits),
        overviews=Overviews(db, UsageCounter(db)),
        search=Search(db),
        feedback=Feedbacks(db),
        verified=verified,
        verdicts=verdicts,
        given=given,
        reviews=Reviews(db, audit, settings.secret, settings.review_mode, verdicts.on_verdict),
        readers=Readers(db),
        exports=Exports(db, settings, audit),
        retention=Retention(db, settings),
        rechecks=rechecks,
        redis=redis,
        cache_redis=cache_redis,
    )


async def announce_first_admin(services: Services) -> None:
    """Make the first administrator if there is none, and print a made password this one time."""
    settings = services.settings
    given = settings.admin_password.get_secret_value() if settings.admin_password else None
    made = await services.users.ensure_first_admin(settings.admin_username, given)
    if made is not None:
        text = translate(
            settings.locale, "start.first_admin", username=settings.admin_username, password=made
        )
        print(f"\n{text}", flush=True)


def watch_figures(services: Services) -> None:
    """Tell the metrics where to look."""
    metrics.watch(
        running=lambda: services.generations.running,
        sockets=lambda: len(open_sockets),
        connections_used=lambda: services.db.connections_used,
        connections_most=lambda: services.db.connections_most,
    )
    services.slots.watch()
    watch_backups(services.settings)


def settle_garbage_collector() -> None:
    """What is loaded by now stays: without this, a full collection stops all answers for 0.1 s
    every few seconds under load (docs/performance.md)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@asynccontextmanager
async def running_services() -> AsyncGenerator[None]:
    """Open what the product needs, in order; close it in the other."""
    settings = load_settings()
    demo = DemoModel() if settings.demo_model else None
    base_urls = [await demo.start()] if demo else None
    llm = LlmClient(settings, base_urls=base_urls)
    directory = Directory(settings) if settings.directory else None
    services = build_services(settings, llm, directory)
    use(services)
    if settings.local_accounts:
        await announce_first_admin(services)
    await record_settings(services.db, settings)
    await services.slots.open()
    await services.generations.open()
    await services.given.open()
    await services.exports.jobs.open()
    watch_figures(services)
    watches = [
        asyncio.create_task(watch_sessions(app), name="session watch"),
        asyncio.create_task(metrics.measure_loop(), name="loop lag"),
        asyncio.create_task(services.audit_chain.run(), name="audit seals"),
        asyncio.create_task(UsageCounter(services.db).run(), name="usage"),
        asyncio.create_task(services.retention.run(), name="retention"),
    ]
    if services.rechecks is not None:
        watches.append(asyncio.create_task(services.rechecks.run(), name="rechecks"))
    settle_garbage_collector()
    try:
        yield
    finally:
        for watch in watches:
            watch.cancel()
        if directory is not None:
            await directory.close()
        await services.exports.jobs.close()
        await services.generations.close()
        await services.slots.close()
        await services.given.close()
        await llm.aclose()
        await services.keys.close()
        await services.login_limits.close()
        await services.db.close()
        for each in (services.redis, services.cache_redis):
            if each:
                await each.aclose()
        if demo:
            await demo.stop()
        use(None)


def http_routes() -> FastAPI:
    api = FastAPI(
        title="GenAI assistant",
        version=API_VERSION,
        description=API_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(api)
    for each in ROUTERS:
        api.include_router(each)
    return api


def on_handler_error(exception: Exception) -> None:
    handler_failed(exception, error_delta("internal"))


app = rx.App(
    html_lang="ru",
    stylesheets=["/styles.css"],
    head_components=[
        rx.el.link(rel="icon", type="image/svg+xml", href="/favicon.svg"),
        rx.el.meta(name="robots", content="noindex"),
    ],
    toaster=None,
    backend_exception_handler=on_handler_error,
    frontend_exception_handler=page_failed,
    app_wraps={},
)
app.add_middleware(Policy(unavailable=error_delta("storage_unavailable")))
app.register_lifespan_task(running_services)
app.add_page(chat, route="/[[section]]/[[dialog]]", title="GenAI", on_load=ChatState.open)
app.add_page(login, route="/login", title="GenAI", on_load=LoginState.load)
app.add_page(settings_page, route="/settings", title="GenAI", on_load=SettingsState.open)
app.add_page(admin, route="/admin", title="GenAI", on_load=AdminState.open)
app.add_page(audit, route="/admin/audit", title="GenAI", on_load=AuditState.open)
app.add_page(people, route="/admin/users", title="GenAI", on_load=PeopleState.open)
app.add_page(verified_page, route="/admin/verified", title="GenAI", on_load=VerifiedState.open)
app.add_page(review, route="/admin/dialogs", title="GenAI", on_load=ReviewDialogState.open)
app.add_page(admin_exports, route="/admin/exports", title="GenAI", on_load=ExportsState.open)
app.add_page(not_found, route="404", title="GenAI", on_load=UiState.open)


def server() -> ASGIApp:
    """The whole product. Reflex keeps the event socket and the lifespan; requests never meet its
    layers, which cost each of them more than its route does."""
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
    # not a mount, which would take wrong methods of the API for pages
    api.router.default = pages
    csp = content_security_policy(inline_hashes(directory.glob("**/*.html")))
    settings = load_settings()
    https = settings.url.startswith("https:")
    requests = SecurityHeaders(BodyLimit(api), csp=csp, https=https)
    return ClientAddress(EventDoor(events, requests), settings.trusted_proxy_hops)
