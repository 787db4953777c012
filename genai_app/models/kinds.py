"""The values of columns, as enumerations."""

from enum import StrEnum


class Role(StrEnum):
    """Rights of a user. Each role includes the rights of the ones before it."""

    USER = "user"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class Origin(StrEnum):
    """Origin of an account. The same name in both origins means two accounts, never merged."""

    LOCAL = "local"
    DIRECTORY = "directory"


class Author(StrEnum):
    """Author of a message, named as in the chat APIs of models."""

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


class Variant(StrEnum):
    """Wish of a user who asked for another answer to the same question."""

    SHORTER = "shorter"
    LONGER = "longer"


class TitledBy(StrEnum):
    """Author of a dialog's title."""

    QUESTION = "question"  # the first words of its first question
    MODEL = "model"
    USER = "user"


class Source(StrEnum):
    """Source of an answer."""

    MODEL = "model"
    CACHE = "cache"
    VERIFIED = "verified"  # a colleague wrote it (models/review.py: VerifiedAnswer)


class Channel(StrEnum):
    """Channel of a request or login."""

    WEB = "web"
    API = "api"
    TELEGRAM = "telegram"
    MATTERMOST = "mattermost"
    IMPORT = "import"  # of messages: they came with the export file of another chat


class Rating(StrEnum):
    """Rating of an answer by its user."""

    UP = "up"
    DOWN = "down"


class Reason(StrEnum):
    """Reason of a bad rating."""

    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    UNCLEAR = "unclear"
    OUTDATED = "outdated"
    UNSAFE = "unsafe"
    OTHER = "other"


class ReviewState(StrEnum):
    """State of the review of a dialog."""

    NEW = "new"
    TAKEN = "taken"
    JUDGED = "judged"
    CLOSED = "closed"


class Verdict(StrEnum):
    """Judgment of an answer by a reviewer."""

    GOOD = "good"
    WRONG = "wrong"
    UNSAFE = "unsafe"
    NEEDS_KNOWLEDGE = "needs_knowledge"


class JobState(StrEnum):
    """State of a job in the background. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """Actions that the audit records. `Outcome` says whether the action was carried out."""

    LOGIN = "login"
    LOGOUT = "logout"
    TOKEN_REFRESH = "token_refresh"  # noqa: S105 - a name
    SESSION_REVOKE = "session_revoke"
    KEY_CREATE = "key_create"
    KEY_REVOKE = "key_revoke"
    MESSENGER_CODE = "messenger_code"  # a code for a link was made
    MESSENGER_LINK = "messenger_link"
    MESSENGER_UNLINK = "messenger_unlink"
    MESSENGER_ACCESS = "messenger_access"  # use of the bot
    USER_ADD = "user_add"
    USER_DISABLE = "user_disable"
    USER_ENABLE = "user_enable"
    USER_UNLOCK = "user_unlock"  # the pause after wrong passwords was ended
    USER_RENAME = "user_rename"
    USER_PASSWORD = "user_password"  # noqa: S105 - a name
    ROLE_CHANGE = "role_change"
    LIMIT_CHANGE = "limit_change"
    LIMIT_HIT = "limit_hit"
    RECHECK = "recheck"
    DIRECTORY_LOST = "directory_lost"
    DIRECTORY_ALARM = "directory_alarm"  # a group or people cannot be found or read
    ACCESS = "access"  # use of a part that needs a role
    ADMIN_VIEW = "admin_view"  # a page of the administrators
    DIALOG_LIST = "dialog_list"  # a list or search over everybody's dialogs
    DIALOG_READ = "dialog_read"
    DIALOG_REVEAL = "dialog_reveal"  # the user of a dialog was shown, in pseudonymous review
    REVIEW_STATE = "review_state"
    REVIEW_NOTE = "review_note"
    VERDICT = "verdict"
    VERIFIED_WRITE = "verified_write"
    VERIFIED_RETIRE = "verified_retire"
    EXPORT = "export"
    EXPORT_DOWNLOAD = "export_download"
    IMPORT = "import"
    FILE_UPLOAD = "file_upload"
    FILE_DELETE = "file_delete"
    FILE_READ = "file_read"  # a reviewer opened a user's file
    HOLD = "hold"
    RETENTION = "retention"
    ERASE = "erase"
    SETTING_CHANGE = "setting_change"
    BACKUP = "backup"
    DRILL = "drill"  # a backup was restored on trial
    RESTORE = "restore"
    AUDIT_ACCEPT = "audit_accept"  # an administrator accepted the present end of the chain


class Outcome(StrEnum):
    """Outcome of an action."""

    DONE = "done"
    REFUSED = "refused"
