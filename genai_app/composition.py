"""Builds the services from the settings, opens them in order and closes them in the reverse order.
Does not use Reflex: app.py adds the tasks of open pages."""

import asyncio
import gc
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypedDict

from genai_app import metrics
from genai_app.adapters.directory.client import Directory
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.demo import DemoModel
from genai_app.adapters.llm.endpoints import refusal_of
from genai_app.adapters.redis.bus import Bus
from genai_app.adapters.redis.client import Entries, LimitStorage, limit_storage
from genai_app.db.database import Database
from genai_app.services import Services, use
from genai_app.services.accounts.account_changes import AccountChanges
from genai_app.services.accounts.api_keys import Keys
from genai_app.services.accounts.directory_status import DirectoryStatus
from genai_app.services.accounts.first_admin import first_admin_notice
from genai_app.services.accounts.instructions import OwnInstructions
from genai_app.services.accounts.local_accounts import end_local_access
from genai_app.services.accounts.login import Auth
from genai_app.services.accounts.login_limits import LoginLimits
from genai_app.services.accounts.people import People
from genai_app.services.accounts.rechecks import Rechecks
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.accounts.staff import Staff
from genai_app.services.accounts.staff_login import StaffLogin
from genai_app.services.accounts.tokens import Tokens
from genai_app.services.accounts.users import Users
from genai_app.services.audit.chain import AuditChain
from genai_app.services.audit.events import Audit
from genai_app.services.audit.log import AuditLog
from genai_app.services.audit.settings_changes import record_settings
from genai_app.services.backup.store import watch_backups
from genai_app.services.chat.chat import Chat
from genai_app.services.chat.question_files import QuestionFiles
from genai_app.services.chat.queue_sender import QueueSender
from genai_app.services.chat.queued_questions import QueuedQuestions
from genai_app.services.chat.ready_answers import ReadyAnswers
from genai_app.services.chat.titles import Titles
from genai_app.services.cursors import Cursors
from genai_app.services.database_clock import DatabaseClock
from genai_app.services.dialogs.changes import DialogChanges
from genai_app.services.dialogs.edits import DialogEdits
from genai_app.services.dialogs.feedback import Feedbacks
from genai_app.services.dialogs.folders import Folders
from genai_app.services.dialogs.history import History
from genai_app.services.dialogs.search import Search
from genai_app.services.dialogs.sidebar import Sidebar
from genai_app.services.exports.exports import Exports
from genai_app.services.files.files import Files
from genai_app.services.files.incoming import IncomingFiles
from genai_app.services.generation.file_context import FileContext
from genai_app.services.generation.generations import Generations
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.imports.imports import Imports
from genai_app.services.limits.rate import Limits
from genai_app.services.messengers.messengers import Messengers
from genai_app.services.retention.retention import Retention
from genai_app.services.reuse.barred import Verdicts
from genai_app.services.reuse.cache import AnswerCache
from genai_app.services.reuse.verified import Verified
from genai_app.services.review.admission import Admission
from genai_app.services.review.files import ReviewedFiles
from genai_app.services.review.readers import Readers
from genai_app.services.review.reviews import Reviews
from genai_app.services.review.workflow import ReviewWork
from genai_app.services.statistics.overview import Overviews
from genai_app.services.statistics.usage import UsageCounter
from genai_app.services.stopping import Stopping
from genai_app.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class _Stores:
    """The database, Redis and the services that use the secret: shared by many other services.

    Args:
        owner: the name of this process in leases and messages.
    """

    db: Database
    redis_url: str | None
    redis: Entries | None
    cache_redis: Entries | None
    counters: LimitStorage
    cursors: Cursors
    sessions: Sessions
    keys: Keys
    audit: Audit
    owner: str

    @classmethod
    def of(cls, settings: Settings) -> "_Stores":
        """Returns the stores of the settings. Does not open connections."""
        db = Database(settings.sqlalchemy_url)
        url = settings.redis_url.get_secret_value() if settings.redis_url else None
        return cls(
            db=db,
            redis_url=url,
            redis=Entries(url) if url else None,
            cache_redis=Entries(settings.cache_url or "") if settings.cache_redis_url else None,
            counters=limit_storage(url),
            cursors=Cursors(settings.secret),
            sessions=Sessions(db, settings.secret, settings.session_ttl_s),
            keys=Keys(db, settings.secret),
            audit=Audit(db),
            owner=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
        )


def build_services(
    settings: Settings, llm: LlmClient, directory: Directory | None = None
) -> Services:
    """Returns all services. Does not open connections."""
    stores = _Stores.of(settings)
    answering = _build_answering(settings, stores, llm)
    dialog_changes, stopping = DialogChanges(stores.db), Stopping()
    queue_sender = QueueSender(
        stores.db,
        answering["chat"],
        answering["limits"],
        model_refusal=lambda: refusal_of(llm.endpoints, settings.llm_queue_timeout_s),
        is_stopping=lambda: stopping.begun,
        on_change=dialog_changes.look_soon,
    )
    titles = Titles(
        *(stores.db, llm, answering["slots"], answering["chat"].reasoning),
        by_model=settings.titles == "model",
        on_change=dialog_changes.look_soon,
    )
    answering["chat"].turn_ended = titles.note
    return Services(
        settings=settings,
        db=stores.db,
        database_clock=DatabaseClock(stores.db),
        llm=llm,
        sessions=stores.sessions,
        keys=stores.keys,
        instructions=OwnInstructions(stores.db),
        audit=stores.audit,
        history=History(stores.db, stores.cursors),
        dialog_changes=dialog_changes,
        queue_sender=queue_sender,
        titles=titles,
        queued_questions=QueuedQuestions(stores.db, answering["chat"], queue_sender.wake),
        dialog_edits=DialogEdits(stores.db),
        folders=Folders(stores.db),
        sidebar=Sidebar(stores.db),
        search=Search(stores.db, stores.cursors),
        feedback=Feedbacks(stores.db),
        readers=Readers(stores.db, stores.cursors),
        exports=Exports(stores.db, settings, stores.audit),
        imports=Imports(stores.db, settings),
        retention=Retention(stores.db, settings),
        stopping=stopping,
        redis=stores.redis,
        cache_redis=stores.cache_redis,
        **_build_logins(settings, stores, directory),
        **answering,
        **_build_oversight(settings, stores, answering["limits"], answering["verdicts"]),
    )


class _Logins(TypedDict):
    """Fields of Services that check logins."""

    users: Users
    auth: Auth
    tokens: Tokens
    login_limits: LoginLimits
    directory_status: DirectoryStatus | None
    rechecks: Rechecks | None


def _build_logins(settings: Settings, stores: _Stores, directory: Directory | None) -> _Logins:
    db = stores.db
    login_limits = LoginLimits(db, stores.counters)
    status = rechecks = staff_login = None
    if directory is not None:
        staff = Staff(db, settings)
        status = DirectoryStatus(db, directory)
        rechecks = Rechecks(db, directory, status, staff, settings.ldap_recheck_s)
        staff_login = StaffLogin(
            directory, status, staff, lockout_tries=settings.ldap_lockout_tries
        )
    return {
        "users": Users(db),
        "auth": Auth(db, login_limits, staff_login, local=settings.local_accounts),
        "tokens": Tokens(db, stores.sessions, settings.secret, settings.access_token_ttl_s),
        "login_limits": login_limits,
        "directory_status": status,
        "rechecks": rechecks,
    }


class _Answering(TypedDict):
    """Fields of Services that answer questions."""

    limits: Limits
    cache: AnswerCache
    slots: ModelSlots
    generations: Generations
    chat: Chat
    verified: Verified
    verdicts: Verdicts
    ready_answers: ReadyAnswers
    files: Files
    incoming_files: IncomingFiles
    messengers: Messengers


def _build_answering(settings: Settings, stores: _Stores, llm: LlmClient) -> _Answering:
    db, cursors, owner = stores.db, stores.cursors, stores.owner
    limits = Limits(
        db, stores.counters, settings.rates, max_parallel=settings.max_parallel_answers, owner=owner
    )
    cache = AnswerCache(
        stores.cache_redis or stores.redis, scope=settings.cache_scope, ttl_s=settings.cache_ttl_s
    )
    slots = ModelSlots(
        llm.endpoints,
        stores.redis_url,
        most=settings.llm_max_concurrency,
        timeout_s=settings.llm_queue_timeout_s,
    )
    bus = Bus(stores.redis_url, owner) if stores.redis_url else None
    generations = Generations(
        db, llm, cache, slots, owner=owner, sole_process=settings.embedded, bus=bus
    )
    verified = Verified(db, cursors, days=settings.verified_days)
    verdicts = Verdicts(db, cache, verified)
    ready_answers = ReadyAnswers(cache, verified, verdicts, generations)
    files = Files(db, settings, cursors, stores.counters)
    incoming, history = IncomingFiles(db, files), History(db, cursors)
    context = FileContext(files.contents, generations.models, settings.secret, settings.locale)
    chat = Chat(
        db,
        generations,
        limits,
        ready_answers,
        QuestionFiles(db, files, context),
        context_tokens=settings.llm_context_tokens,
        max_tokens=settings.llm_max_tokens,
        system_prompt=settings.system_prompt,
        reasoning=settings.llm_reasoning,
    )
    return {
        "limits": limits,
        "cache": cache,
        "slots": slots,
        "generations": generations,
        "chat": chat,
        "verified": verified,
        "verdicts": verdicts,
        "ready_answers": ready_answers,
        "files": files,
        "incoming_files": incoming,
        "messengers": Messengers(db, settings, chat, history, incoming, owner=owner),
    }


class _Oversight(TypedDict):
    """Fields of Services for reviewers and administrators."""

    audit_chain: AuditChain
    audit_log: AuditLog
    people: People
    account_changes: AccountChanges
    overviews: Overviews
    review_admission: Admission
    reviews: Reviews
    review_work: ReviewWork
    reviewed_files: ReviewedFiles


def _build_oversight(
    settings: Settings, stores: _Stores, limits: Limits, verdicts: Verdicts
) -> _Oversight:
    db, cursors = stores.db, stores.cursors
    names_hidden = settings.review_mode == "pseudonymous"
    admission = Admission(stores.audit, settings.review_mode)
    chain = AuditChain(db, settings.anchor_path, settings.secret)
    return {
        "audit_chain": chain,
        "audit_log": AuditLog(db, chain, cursors, names_hidden=names_hidden),
        "people": People(
            db, cursors, stores.sessions, stores.keys, limits, names_hidden=names_hidden
        ),
        "account_changes": AccountChanges(db),
        "overviews": Overviews(db, UsageCounter(db), names_hidden=names_hidden),
        "review_admission": admission,
        "reviews": Reviews(db, admission, settings.secret, settings.review_mode),
        "reviewed_files": ReviewedFiles(db, admission, settings.secret, settings.review_mode),
        "review_work": ReviewWork(db, admission, verdicts.on_verdict),
    }


@asynccontextmanager
async def running_services(settings: Settings) -> AsyncGenerator[Services]:
    """Opens all services in order. At the end, or when one fails to open, closes the opened ones in
    the reverse order."""
    async with AsyncExitStack() as opened:
        demo = DemoModel() if settings.demo_model else None
        base_urls = None
        if demo is not None:
            opened.push_async_callback(demo.stop)
            base_urls = [await demo.start()]
        directory = Directory(settings) if settings.directory else None
        services = build_services(settings, LlmClient(settings, base_urls=base_urls), directory)
        use(services)
        opened.callback(use, None)
        _close_at_the_end(opened, services)
        await services.database_clock.measure()  # before any time is stored
        if settings.local_accounts:
            if notice := await first_admin_notice(services.users, settings):
                print(f"\n{notice}", flush=True)
        else:
            await end_local_access(services.db)
        await record_settings(services.db, settings)
        for each in (
            services.slots,
            services.generations,
            services.ready_answers,
            services.files.jobs,
            services.exports.jobs,
            services.imports.jobs,
        ):
            opened.push_async_callback(each.close)
            await each.open()
        if directory is not None:
            opened.push_async_callback(directory.close)
        services.slots.watch()
        watch_backups(services.settings)
        opened.push_async_callback(services.messengers.close)
        for name, work in _background_work(services).items():
            run_until_closed(opened, name, work)
        _settle_garbage_collector()
        yield services


def _close_at_the_end(opened: AsyncExitStack, services: Services) -> None:
    """Registers the closing of services that open by themselves at their first use."""
    for redis in (services.cache_redis, services.redis):
        if redis is not None:
            opened.push_async_callback(redis.aclose)
    for each in (services.db, services.login_limits, services.keys):
        opened.push_async_callback(each.close)
    opened.push_async_callback(services.llm.aclose)


def _background_work(services: Services) -> Mapping[str, Coroutine[Any, Any, None]]:
    """Returns the tasks that run as long as the product, as {name: coroutine}."""
    work = {
        "dialog changes": services.dialog_changes.run(),
        "queued questions": services.queue_sender.run(),
        "titles": services.titles.run(),
        "loop lag": metrics.measure_loop(),
        "database clock": services.database_clock.run(),
        "audit seals": services.audit_chain.run(),
        "usage": UsageCounter(services.db).run(),
        "retention": services.retention.run(),
        "messengers": services.messengers.run(),
    }
    if services.rechecks is not None:
        work["rechecks"] = services.rechecks.run()
    return work


def run_until_closed(opened: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` as a task. Closing `opened` cancels the task and waits for its end."""
    task = asyncio.create_task(work, name=name)

    async def cancel() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    opened.push_async_callback(cancel)


def _settle_garbage_collector() -> None:
    """Excludes the objects that exist now from garbage collection. Without this, under load a full
    collection pauses all answers for 0.1 s every few seconds (docs/performance.md)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
