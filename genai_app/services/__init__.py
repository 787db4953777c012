"""The services of the product, in async Python without Reflex or HTTP.

composition.py builds `Services` once. States and routes get it by `services()`, because Reflex
creates the State objects itself and passes them no arguments.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genai_app.adapters.llm.client import LlmClient
    from genai_app.adapters.redis.client import Entries
    from genai_app.db.database import Database
    from genai_app.services.accounts.account_changes import AccountChanges
    from genai_app.services.accounts.api_keys import Keys
    from genai_app.services.accounts.directory_status import DirectoryStatus
    from genai_app.services.accounts.instructions import OwnInstructions
    from genai_app.services.accounts.login import Auth
    from genai_app.services.accounts.login_limits import LoginLimits
    from genai_app.services.accounts.people import People
    from genai_app.services.accounts.rechecks import Rechecks
    from genai_app.services.accounts.sessions import Sessions
    from genai_app.services.accounts.tokens import Tokens
    from genai_app.services.accounts.users import Users
    from genai_app.services.audit.chain import AuditChain
    from genai_app.services.audit.events import Audit
    from genai_app.services.audit.log import AuditLog
    from genai_app.services.chat.chat import Chat
    from genai_app.services.chat.queue_sender import QueueSender
    from genai_app.services.chat.queued_questions import QueuedQuestions
    from genai_app.services.chat.ready_answers import ReadyAnswers
    from genai_app.services.chat.titles import Titles
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
    from genai_app.services.stopping import Stopping
    from genai_app.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """All services that channels and commands call."""

    settings: "Settings"
    db: "Database"
    database_clock: "DatabaseClock"
    llm: "LlmClient"
    users: "Users"
    auth: "Auth"
    sessions: "Sessions"
    tokens: "Tokens"
    keys: "Keys"
    instructions: "OwnInstructions"
    login_limits: "LoginLimits"
    audit: "Audit"
    audit_chain: "AuditChain"
    audit_log: "AuditLog"
    limits: "Limits"
    cache: "AnswerCache"
    slots: "ModelSlots"
    generations: "Generations"
    chat: "Chat"
    queued_questions: "QueuedQuestions"
    queue_sender: "QueueSender"
    titles: "Titles"
    history: "History"
    dialog_changes: "DialogChanges"
    dialog_edits: "DialogEdits"
    folders: "Folders"
    sidebar: "Sidebar"
    people: "People"
    account_changes: "AccountChanges"
    overviews: "Overviews"
    search: "Search"
    feedback: "Feedbacks"
    verified: "Verified"
    verdicts: "Verdicts"
    ready_answers: "ReadyAnswers"
    review_admission: "Admission"
    reviews: "Reviews"
    review_work: "ReviewWork"
    reviewed_files: "ReviewedFiles"
    readers: "Readers"
    files: "Files"
    incoming_files: "IncomingFiles"
    exports: "Exports"
    imports: "Imports"
    retention: "Retention"
    stopping: "Stopping"
    messengers: "Messengers"
    directory_status: "DirectoryStatus | None" = None  # None without a directory
    rechecks: "Rechecks | None" = None  # None without a directory
    redis: "Entries | None" = None  # None without GENAI_REDIS_URL
    cache_redis: "Entries | None" = None  # None without GENAI_CACHE_REDIS_URL


_current: Services | None = None


def use(services: Services | None) -> None:
    """Sets the services of this process; None at its end."""
    global _current
    _current = services


def services() -> Services:
    """Returns the services of this process. Raises RuntimeError before the start."""
    if _current is None:
        raise RuntimeError("the services are not started")
    return _current
