"""What the product does, in plain async Python that knows no Reflex, HTTP or bot.

`Services` is built once: in app.py, and in the tests' fixture. States and routes reach it by
`services()`, because Reflex makes the State objects itself and hands nothing in.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_app.adapters.llm import LlmClient
    from genai_app.adapters.redis import Entries
    from genai_app.db import Database
    from genai_app.services.audit import Audit
    from genai_app.services.audit_chain import AuditChain
    from genai_app.services.audit_log import AuditLog
    from genai_app.services.auth import Auth
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
    from genai_app.services.slots import ModelSlots
    from genai_app.services.tokens import Tokens
    from genai_app.services.users import Users
    from genai_app.services.verdicts import Verdicts
    from genai_app.services.verified import Verified
    from genai_app.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the channels call."""

    settings: "Settings"
    db: "Database"
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
    people: "People"
    overviews: "Overviews"
    search: "Search"
    feedback: "Feedbacks"
    verified: "Verified"
    verdicts: "Verdicts"
    given: "Given"
    reviews: "Reviews"
    readers: "Readers"
    exports: "Exports"
    retention: "Retention"
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
