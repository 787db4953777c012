"""What the product does, in plain async Python that knows no Reflex, HTTP or bot.

`Services` is built once: in app.py, and in the tests' fixture. States and routes reach it by
`services()`, because Reflex makes the State objects itself and hands nothing in.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_app.adapters.llm.client import LlmClient
    from genai_app.adapters.redis.client import Entries
    from genai_app.db.database import Database
    from genai_app.services.accounts.administration import People
    from genai_app.services.accounts.api_keys import Keys
    from genai_app.services.accounts.login import Auth
    from genai_app.services.accounts.login_limits import LoginLimits
    from genai_app.services.accounts.rechecks import Rechecks
    from genai_app.services.accounts.sessions import Sessions
    from genai_app.services.accounts.tokens import Tokens
    from genai_app.services.accounts.users import Users
    from genai_app.services.audit.chain import AuditChain
    from genai_app.services.audit.events import Audit
    from genai_app.services.audit.log import AuditLog
    from genai_app.services.chat.chat import Chat
    from genai_app.services.chat.ready_answers import Given
    from genai_app.services.database_clock import DatabaseClock
    from genai_app.services.dialogs.changes import DialogChanges
    from genai_app.services.dialogs.feedback import Feedbacks
    from genai_app.services.dialogs.history import History
    from genai_app.services.dialogs.key_folders import KeyFolders
    from genai_app.services.dialogs.search import Search
    from genai_app.services.exports.exports import Exports
    from genai_app.services.generation.generations import Generations
    from genai_app.services.generation.slots import ModelSlots
    from genai_app.services.limits.rate import Limits
    from genai_app.services.retention.retention import Retention
    from genai_app.services.reuse.barred import Verdicts
    from genai_app.services.reuse.cache import AnswerCache
    from genai_app.services.reuse.verified import Verified
    from genai_app.services.review.admission import Admission
    from genai_app.services.review.readers import Readers
    from genai_app.services.review.reviews import Reviews
    from genai_app.services.review.workflow import ReviewWork
    from genai_app.services.statistics.overview import Overviews
    from genai_app.services.stopping import Stopping
    from genai_app.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the channels call."""

    settings: "Settings"
    db: "Database"
    database_clock: "DatabaseClock"
    llm: "LlmClient"
    users: "Users"
    auth: "Auth"
    sessions: "Sessions"
    tokens: "Tokens"
    keys: "Keys"
    login_limits: "LoginLimits"
    audit: "Audit"
    audit_chain: "AuditChain"
    audit_log: "AuditLog"
    limits: "Limits"
    cache: "AnswerCache"
    slots: "ModelSlots"
    generations: "Generations"
    chat: "Chat"
    history: "History"
    dialog_changes: "DialogChanges"
    key_folders: "KeyFolders"
    people: "People"
    overviews: "Overviews"
    search: "Search"
    feedback: "Feedbacks"
    verified: "Verified"
    verdicts: "Verdicts"
    given: "Given"
    review_admission: "Admission"
    reviews: "Reviews"
    review_work: "ReviewWork"
    readers: "Readers"
    exports: "Exports"
    retention: "Retention"
    stopping: "Stopping"
    rechecks: "Rechecks | None" = None  # None without a directory
    redis: "Entries | None" = None  # None without GENAI_REDIS_URL
    cache_redis: "Entries | None" = None  # None unless GENAI_CACHE_REDIS_URL sets it apart


_current: Services | None = None


def use(services: Services | None) -> None:
    """Make `services` the ones of this process; None when it shuts down."""
    global _current
    _current = services


def services() -> Services:
    """The services of this process. RuntimeError before the start."""
    if _current is None:
        raise RuntimeError("the services are not started")
    return _current
