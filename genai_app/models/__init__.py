"""All tables, and the enumerations of the values in their columns.

SQLModel does not validate table classes: services clean and check values before they create a row.
"""

from sqlmodel import SQLModel

from genai_app.models.accounts import ApiKey, LoginFailures, Session, User
from genai_app.models.audit import AuditEvent
from genai_app.models.columns import UtcDateTime, new_id
from genai_app.models.dialogs import (
    MAX_PROMPT_CHARS,
    Dialog,
    Folder,
    Generation,
    Message,
    QueuedQuestion,
)
from genai_app.models.files import Attachment, MessageAttachment
from genai_app.models.keeping import (
    BackgroundJob,
    Export,
    UsageHour,
    UsageLatency,
    UsageMark,
    UsagePerson,
)
from genai_app.models.kinds import (
    Action,
    Author,
    Channel,
    JobState,
    Origin,
    Outcome,
    Rating,
    Reason,
    ReviewState,
    Role,
    Source,
    Status,
    TitledBy,
    Variant,
    Verdict,
)
from genai_app.models.messengers import (
    MessengerAnswer,
    MessengerChat,
    MessengerCode,
    MessengerLink,
    MessengerPoller,
    MessengerUpdate,
)
from genai_app.models.review import (
    BarredAnswer,
    Feedback,
    MessageSearch,
    MessageVerdict,
    Review,
    ReviewNote,
    VerifiedAnswer,
)

__all__ = [
    "MAX_PROMPT_CHARS",
    "Action",
    "ApiKey",
    "Attachment",
    "AuditEvent",
    "Author",
    "BackgroundJob",
    "BarredAnswer",
    "Channel",
    "Dialog",
    "Export",
    "Feedback",
    "Folder",
    "Generation",
    "JobState",
    "LoginFailures",
    "Message",
    "MessageAttachment",
    "MessageSearch",
    "MessageVerdict",
    "MessengerAnswer",
    "MessengerChat",
    "MessengerCode",
    "MessengerLink",
    "MessengerPoller",
    "MessengerUpdate",
    "Origin",
    "Outcome",
    "QueuedQuestion",
    "Rating",
    "Reason",
    "Review",
    "ReviewNote",
    "ReviewState",
    "Role",
    "SQLModel",
    "Session",
    "Source",
    "Status",
    "TitledBy",
    "UsageHour",
    "UsageLatency",
    "UsageMark",
    "UsagePerson",
    "User",
    "UtcDateTime",
    "Variant",
    "Verdict",
    "VerifiedAnswer",
    "new_id",
]
