"""Bodies of the review, and of the list that shows users who read their dialogs."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from genai_app.api.bodies import RequestBody, Text
from genai_app.api.dialogs.bodies import DialogMessage
from genai_app.models import (
    Channel,
    Feedback,
    Message,
    MessageVerdict,
    Rating,
    ReviewNote,
    ReviewState,
    Source,
    Status,
    Verdict,
)
from genai_app.services.review.listing import Excerpt, Filters, ReviewedDialog
from genai_app.services.review.names import DialogPerson
from genai_app.services.review.readers import DialogReader
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


class ReviewedPerson(BaseModel):
    """The user of a dialog. While names are hidden only `code`, a pseudonym, is set; the other
    fields are null until you reveal the dialog with a reason."""

    code: Annotated[str, Field(examples=["7F3A91C2"])]
    user_id: UUID | None
    username: str | None
    full_name: str | None

    @classmethod
    def of(cls, person: DialogPerson) -> "ReviewedPerson":
        return cls(
            code=person.code,
            user_id=person.user_id,
            username=person.username or None,
            full_name=person.full_name or None,
        )


class ReviewExcerpt(BaseModel):
    """A part of a message that contains the searched words. `hits`: start and end of each such
    word, in characters of `text`."""

    message_id: UUID
    role: str
    text: str
    hits: list[tuple[int, int]]

    @classmethod
    def of(cls, excerpt: Excerpt) -> "ReviewExcerpt":
        return cls(
            message_id=excerpt.message_id,
            role=excerpt.author,
            text=excerpt.text,
            hits=list(excerpt.hits),
        )


class ReviewDialog(BaseModel):
    """A dialog in review. Channel, model, source and status are those of the last answer."""

    id: UUID
    title: str
    user: ReviewedPerson
    department: str
    channel: str
    model: str
    source: str
    status: str
    rating: str | None
    verdict: str | None
    state: str
    assignee: str | None
    updated_at: datetime
    deleted: bool
    excerpt: ReviewExcerpt | None = None

    @classmethod
    def of(cls, dialog: ReviewedDialog) -> "ReviewDialog":
        return cls(
            id=dialog.id,
            title=dialog.title,
            user=ReviewedPerson.of(dialog.person),
            department=dialog.department,
            channel=dialog.channel,
            model=dialog.model,
            source=dialog.source,
            status=dialog.status,
            rating=dialog.rating or None,
            verdict=dialog.verdict or None,
            state=dialog.state,
            assignee=dialog.assignee_name or None,
            updated_at=dialog.updated_at,
            deleted=dialog.deleted,
            excerpt=ReviewExcerpt.of(dialog.excerpt) if dialog.excerpt else None,
        )


class ReviewDialogs(BaseModel):
    """A page of dialogs."""

    items: list[ReviewDialog]
    next_cursor: str | None


class ReviewFeedback(BaseModel):
    """The user's feedback on an answer."""

    rating: str
    reason: str
    comment: str

    @classmethod
    def of(cls, row: Feedback) -> "ReviewFeedback":
        return cls(rating=row.rating, reason=row.reason, comment=row.comment)


class ReviewVerdict(BaseModel):
    """The last verdict on an answer."""

    verdict: str
    reviewer: str
    created_at: datetime

    @classmethod
    def of(cls, row: MessageVerdict) -> "ReviewVerdict":
        return cls(verdict=row.verdict, reviewer=row.reviewer_name, created_at=row.created_at)


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
    ) -> "ReviewMessage":
        return cls(
            **DialogMessage.of(row).model_dump(),
            first_token_at=row.first_token_at,
            finished_at=row.finished_at,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            feedback=ReviewFeedback.of(feedback) if feedback else None,
            verdict=ReviewVerdict.of(verdict) if verdict else None,
        )


class ReviewMessages(BaseModel):
    """A page of messages of all branches, the oldest first."""

    items: list[ReviewMessage]
    next_cursor: str | None


class Note(BaseModel):
    """A note of a reviewer on a dialog."""

    id: UUID
    author: str
    text: str
    created_at: datetime

    @classmethod
    def of(cls, row: ReviewNote) -> "Note":
        return cls(id=row.id, author=row.author_name, text=row.text, created_at=row.created_at)


class ReviewReading(BaseModel):
    """A dialog with the newest messages of its current branch, and the reviewers' notes."""

    dialog: ReviewDialog
    messages: list[ReviewMessage]
    has_older: bool
    notes: list[Note]

    @classmethod
    def of(cls, reading: Reading) -> "ReviewReading":
        return cls(
            dialog=ReviewDialog.of(reading.dialog),
            messages=[
                ReviewMessage.with_opinions(
                    each, reading.feedback.get(each.id), reading.verdicts.get(each.id)
                )
                for each in reading.messages
            ],
            has_older=reading.has_older,
            notes=[Note.of(each) for each in reading.notes],
        )


class ReaderItem(BaseModel):
    """An event that somebody saw a dialog of the caller. `action`: dialog_read, dialog_reveal or
    export."""

    at: datetime
    action: str
    name: str
    reason: str | None
    dialog_id: UUID | None
    title: str | None

    @classmethod
    def of(cls, reader: DialogReader) -> "ReaderItem":
        return cls(
            at=reader.at,
            action=reader.action,
            name=reader.name,
            reason=reader.reason or None,
            dialog_id=reader.dialog_id,
            title=reader.title or None,
        )


class ReaderItems(BaseModel):
    """A page of events, newest first."""

    items: list[ReaderItem]
    next_cursor: str | None
