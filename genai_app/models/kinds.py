"""The words that columns hold."""

from enum import StrEnum


class Role(StrEnum):
    """What a user may do. Each includes what stands before it."""

    USER = "user"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class Origin(StrEnum):
    """Who keeps the account. The same name in both is two accounts; they never merge."""

    LOCAL = "local"
    DIRECTORY = "directory"


class Author(StrEnum):
    """The role of a message, as chat models name it."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Status(StrEnum):
    """State of a message's text. All but RUNNING are final."""

    RUNNING = "running"
    COMPLETE = "complete"
    TRUNCATED = "truncated"  # the token limit was reached
    STOPPED = "stopped"  # the user stopped it
    INTERRUPTED = "interrupted"  # the process or the model server went away
    FAILED = "failed"  # the model server reported an error
    FILTERED = "filtered"  # the model server's content filter ended it


class Source(StrEnum):
    """Where an answer came from."""

    MODEL = "model"
    CACHE = "cache"
    VERIFIED = "verified"  # a colleague wrote it (models/review.py: VerifiedAnswer)


class Channel(StrEnum):
    """The door through which somebody came."""

    WEB = "web"
    API = "api"
    BOT = "bot"


class Rating(StrEnum):
    """What the user says of an answer."""

    UP = "up"
    DOWN = "down"


class Reason(StrEnum):
    """Why an answer is no good, as its user sees it."""

    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    UNCLEAR = "unclear"
    OUTDATED = "outdated"
    UNSAFE = "unsafe"
    OTHER = "other"


class ReviewState(StrEnum):
    """How far the review of a dialog is."""

    NEW = "new"
    TAKEN = "taken"
    JUDGED = "judged"
    CLOSED = "closed"


class Verdict(StrEnum):
    """What a reviewer says of an answer."""

    GOOD = "good"
    WRONG = "wrong"
    UNSAFE = "unsafe"
    NEEDS_KNOWLEDGE = "needs_knowledge"


class JobState(StrEnum):
    """State of an export. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
    USER_UNLOCK = "user_unlock"  # the pause after wrong passwords was lifted
    USER_RENAME = "user_rename"
    USER_PASSWORD = "user_password"  # noqa: S105 - a name
    ROLE_CHANGE = "role_change"
    LIMIT_CHANGE = "limit_change"
    LIMIT_HIT = "limit_hit"
    RECHECK = "recheck"
    DIRECTORY_LOST = "directory_lost"
    DIRECTORY_ALARM = "directory_alarm"  # a group or people cannot be found or read
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
    BACKUP = "backup"
    DRILL = "drill"  # a backup was restored on trial
    RESTORE = "restore"
    AUDIT_ACCEPT = "audit_accept"  # the end of the chain as it is, by an administrator's word


class Outcome(StrEnum):
    """Whether it was allowed."""

    DONE = "done"
    REFUSED = "refused"
