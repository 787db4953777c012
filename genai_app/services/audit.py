"""Who did what, and whether it was allowed: one row an event, in the transaction of the deed where
there is one. Never a password, a token, or what somebody asked or was told."""

import uuid
from contextvars import ContextVar
from enum import StrEnum

import structlog
from cachetools import TTLCache

from genai_app.access import Actor
from genai_app.db import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import AuditEvent, Channel, User
from genai_app.text import clean_text

log = structlog.stdlib.get_logger(__name__)

MAX_TARGET = 200
MIN_REASON = 10
MAX_REASON = 500
NEWS_S = 60.0

# The address of the client that this task serves; set by the door it came through.
client_address: ContextVar[str] = ContextVar("client_address", default="")


class Action(StrEnum):
    """What can be done. The past tense is left to `Outcome`."""

    LOGIN = "login"
    LOGOUT = "logout"
    TOKEN_REFRESH = "token_refresh"  # noqa: S105 - a name
    SESSION_REVOKE = "session_revoke"
    KEY_CREATE = "key_create"
    KEY_REVOKE = "key_revoke"
    USER_ADD = "user_add"
    USER_DISABLE = "user_disable"
    USER_ENABLE = "user_enable"
    USER_RENAME = "user_rename"
    USER_PASSWORD = "user_password"  # noqa: S105 - a name
    ROLE_CHANGE = "role_change"
    LIMIT_CHANGE = "limit_change"
    LIMIT_HIT = "limit_hit"
    RECHECK = "recheck"
    DIRECTORY_LOST = "directory_lost"
    ACCESS = "access"  # a door that only some roles may use
    ADMIN_VIEW = "admin_view"  # a page of the administrators
    DIALOG_LIST = "dialog_list"  # a list or search over everybody's dialogs
    DIALOG_READ = "dialog_read"
    DIALOG_REVEAL = "dialog_reveal"  # whose a dialog is, under GENAI_REVIEW_MODE=pseudonymous
    REVIEW_STATE = "review_state"
    REVIEW_NOTE = "review_note"
    VERDICT = "verdict"
    VERIFIED_WRITE = "verified_write"
    VERIFIED_RETIRE = "verified_retire"
    EXPORT = "export"
    EXPORT_DOWNLOAD = "export_download"
    HOLD = "hold"
    RETENTION = "retention"
    ERASE = "erase"
    SETTING_CHANGE = "setting_change"
    AUDIT_ACCEPT = "audit_accept"  # the end of the chain as it is, by an administrator's word


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"


def event(
    action: Action,
    outcome: Outcome = Outcome.DONE,
    *,
    by: Actor | User | str = "",
    target: str = "",
    channel: Channel | str = "",
    subject: uuid.UUID | None = None,
    why: str = "",
    **details: object,
) -> AuditEvent:
    """The row to add to a session.

    Args:
        by: who acts; a name where nobody is known by it, or the operator's command line.
        target: what it is done to, as an administrator would name it.
        subject: whose dialogs it is about; that user sees the event on `/settings`.
        why: the reason that the actor gave, in their own words.
        details: short facts such as `reason="disabled"`; no content of dialogs.
    """
    known = by if isinstance(by, Actor | User) else None
    actor_id = known.user_id if isinstance(known, Actor) else known.id if known else None
    name = by if isinstance(by, str) else by.username
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor_id=actor_id,
        actor_name=clean_text(name)[:MAX_TARGET],
        target=clean_text(target)[:MAX_TARGET],
        channel=channel or (known.channel if isinstance(known, Actor) else ""),
        address=client_address.get(),
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        subject_id=subject,
        reason=clean_text(why)[:MAX_REASON],
        details=" ".join(f"{key}={clean_text(str(value))[:100]}" for key, value in details.items()),
    )


class Audit:
    """Writes events that belong to no other transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._news: TTLCache[tuple[str, ...], bool] = TTLCache(10_000, NEWS_S)

    async def record_news(self, row: AuditEvent, *of: str) -> None:
        """Commit the first of a minute of these events: a program that knocks again and again must
        not fill the table. `of`: what makes two of them the same; by default who does what to whom.
        """
        same = of or (str(row.actor_id), row.actor_name, row.action, row.outcome, row.target)
        if same not in self._news:
            self._news[same] = True
            await self.record(row)

    async def record(self, row: AuditEvent) -> None:
        """Commit one event. A refusal stands although the database is away: then the log has it."""
        try:
            async with self._db.write() as session:
                session.add(row)
        except StorageUnavailable:
            log.error(
                "audit.lost",
                action=row.action,
                outcome=row.outcome,
                actor=row.actor_name,
                target=row.target,
                details=row.details,
            )
