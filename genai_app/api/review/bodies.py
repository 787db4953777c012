"""Bodies of the review, and of the list that shows users who read their dialogs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from genai_app.api.bodies import RequestBody, RowBody, Text, TextOrNull
from genai_app.api.dialogs.bodies import DialogMessage
from genai_app.models import (
    Attachment,
    Channel,
    Feedback,
    Message,
    MessageVerdict,
    Rating,
    ReviewState,
    Source,
    Status,
    Verdict,
)
from genai_app.services.review.listing import Filters
from genai_app.services.review.reviews import Reading

MAX_FILTER_CHARS = 10_000  # stemming.py and the service use less of it

FilterText = Annotated[str, Field(max_length=MAX_FILTER_CHARS)]
Ended = Literal[
    Status.COMPLETE,
    Status.TRUNCATED,
    Status.STOPPED,
    Status.INTERRUPTED,
    Status.FAILED,
    Status.FILTERED,
]


class FilterQuery(RequestBody):
    """Filters of the list. A missing filter selects all dialogs."""

    q: Annotated[FilterText, Field(description="Words in the messages")] = ""
    user: Annotated[
        FilterText,
        Field(description="A part of the user's name, or the id. A pseudonym if names are hidden"),
    ] = ""
    department: FilterText = ""
    model: Annotated[FilterText, Field(description="A part of the model's name")] = ""
    source: Source | None = None
    channel: Channel | None = None
    rating: Rating | None = None
    state: ReviewState | None = None
    verdict: Verdict | None = None
    status: Annotated[Ended | None, Field(description="How the last answer ended")] = None
    mine: Annotated[bool, Field(description="Only dialogs that I review")] = False
    since: Annotated[datetime | None, Field(description="The last question is not older")] = None
    until: Annotated[datetime | None, Field(description="The last question is older")] = None

    def filters(self) -> Filters:
        return Filters(
            query=self.q,
            user=self.user,
            department=self.department,
            model=self.model,
            source=self.source or "",
            channel=self.channel or "",
            rating=self.rating or "",
            state=self.state or "",
            verdict=self.verdict or "",
            status=self.status or "",
            mine=self.mine,
            since=_aware(self.since),
            until=_aware(self.until),
        )


def _aware(moment: datetime | None) -> datetime | None:
    """Without a zone it is UTC."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)


class ReasonBody(RequestBody):
    reason: Annotated[Text, Field(max_length=10_000, examples=["A complaint about this answer"])]


class VerdictBody(RequestBody):
    """A reviewer's verdict on an answer."""

    verdict: Verdict


class NoteBody(RequestBody):
    """A note for other reviewers."""

    text: Annotated[Text, Field(max_length=100_000)]


class ReviewedPerson(RowBody):
    """The user of a dialog. While names are hidden only `code`, a pseudonym, is set; the other
    fields are null until you reveal the dialog with a reason."""

    code: Annotated[str, Field(examples=["7F3A91C2"])]
    user_id: UUID | None
    username: TextOrNull
    full_name: TextOrNull


class ReviewExcerpt(RowBody):
    """A part of a message that contains the searched words. `hits`: start and end of each such
    word, in characters of `text`."""

    message_id: UUID
    role: Annotated[str, Field(validation_alias="author")]
    text: str
    hits: list[tuple[int, int]]


class ReviewDialog(RowBody):
    """A dialog in review. Channel, model, source and status are those of the last answer."""

    id: UUID
    title: str
    user: Annotated[ReviewedPerson, Field(validation_alias="person")]
    department: str
    channel: str
    model: str
    source: str
    status: str
    rating: TextOrNull
    verdict: TextOrNull
    state: str
    assignee: Annotated[TextOrNull, Field(validation_alias="assignee_name")]
    updated_at: datetime
    deleted: bool
    excerpt: ReviewExcerpt | None = None


class ReviewDialogs(BaseModel):
    """A page of dialogs."""

    items: list[ReviewDialog]
    next_cursor: str | None


class ReviewFeedback(RowBody):
    """The user's feedback on an answer."""

    rating: str
    reason: str
    comment: str


class ReviewVerdict(RowBody):
    """The last verdict on an answer."""

    verdict: str
    reviewer: Annotated[str, Field(validation_alias="reviewer_name")]
    created_at: datetime


class ReviewMessage(DialogMessage):
    """A message with the times of its first token and of its end, token counts, feedback and
    verdict."""

    first_token_at: datetime | None
    finished_at: datetime | None
    prompt_tokens: int | None
    completion_tokens: int | None
    feedback: ReviewFeedback | None = None
    verdict: ReviewVerdict | None = None

    @classmethod
    def with_opinions(
        cls,
        row: Message,
        feedback: Feedback | None = None,
        verdict: MessageVerdict | None = None,
        files: Sequence[Attachment] = (),
    ) -> "ReviewMessage":
        message = cls.of(row, files)
        if feedback:
            message.feedback = ReviewFeedback.model_validate(feedback)
        if verdict:
            message.verdict = ReviewVerdict.model_validate(verdict)
        return message


class ReviewMessages(BaseModel):
    """A page of messages of all branches, the oldest first."""

    items: list[ReviewMessage]
    next_cursor: str | None


class Note(RowBody):
    """A note of a reviewer on a dialog."""

    id: UUID
    author: Annotated[str, Field(validation_alias="author_name")]
    text: str
    created_at: datetime


class ReviewReading(BaseModel):
    """A dialog with the newest messages of its current branch, and the reviewers' notes."""

    dialog: ReviewDialog
    messages: list[ReviewMessage]
    has_older: bool
    notes: list[Note]

    @classmethod
    def of(cls, reading: Reading) -> "ReviewReading":
        return cls(
            dialog=ReviewDialog.model_validate(reading.dialog),
            messages=[
                ReviewMessage.with_opinions(
                    each,
                    reading.feedback.get(each.id),
                    reading.verdicts.get(each.id),
                    reading.files.get(each.id, ()),
                )
                for each in reading.messages
            ],
            has_older=reading.has_older,
            notes=[Note.model_validate(each) for each in reading.notes],
        )


class ReaderItem(RowBody):
    """An event that somebody saw a dialog of the caller. `action`: dialog_read, dialog_reveal,
    file_read or export."""

    at: datetime
    action: str
    name: str
    reason: TextOrNull
    dialog_id: UUID | None
    title: TextOrNull


class ReaderItems(BaseModel):
    """A page of events, newest first."""

    items: list[ReaderItem]
    next_cursor: str | None
