"""What clients send and get as JSON, but for the OpenAI way (openai_bodies.py).

An unknown key is refused: a mistyped `max_token` that is silently ignored costs somebody a day.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from genai_app.models import MAX_PROMPT_CHARS, Message, Rating, Reason
from genai_app.models import Dialog as DialogRow
from genai_app.services.feedback import MAX_COMMENT_CHARS, Opinion
from genai_app.services.history import Pair
from genai_app.text import clean_text

MAX_ID_CHARS = 64
MAX_MODEL_CHARS = 200
MAX_TOKENS = 1_000_000
AN_ID = "01a20915-1c28-7661-bc06-a2be6ac9cb6a"


def _cleaned(value: object) -> object:
    return clean_text(value) if isinstance(value, str) else value


# before pydantic, which refuses a lone surrogate as no text at all
Text = Annotated[str, BeforeValidator(_cleaned)]
# not UUID: what is no id names nothing, and is not found as any unknown id
Id = Annotated[Text, Field(max_length=MAX_ID_CHARS, examples=[AN_ID])]
Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_TOKENS)]
Temperature = Annotated[float, Field(strict=True, ge=0, le=2)]
ModelName = Annotated[Text, Field(min_length=1, max_length=MAX_MODEL_CHARS)]


class Sent(BaseModel):
    """A body from outside."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class AskBody(Sent):
    prompt: Annotated[
        Text,
        Field(
            min_length=1,
            description=f"The question, at most {MAX_PROMPT_CHARS} characters.",
            examples=["What is our holiday policy?"],
        ),
    ]
    dialog_id: Annotated[Id | None, Field(description="Go on with this dialog.")] = None
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    model: ModelName | None = None
    stream: Annotated[Switch, Field(description="Server-sent events instead of one answer.")] = (
        False
    )
    client_id: Annotated[
        UUID | None,
        Field(description="Made by the client; the same again gives the same answer, once."),
    ] = None


class AgainBody(Sent):
    stream: Switch = False


class FeedbackBody(Sent):
    rating: Annotated[Rating | None, Field(examples=["down"])]
    reason: Annotated[Reason | None, Field(description="Why it is no good: only with `down`.")] = (
        None
    )
    comment: Annotated[
        Text | None, Field(max_length=MAX_COMMENT_CHARS, examples=["It has changed since May."])
    ] = None


class TitleBody(Sent):
    title: Annotated[Text, Field(max_length=10_000, examples=["Holidays"])]


class Usage(BaseModel):
    prompt_tokens: int | None
    completion_tokens: int | None


class Answer(BaseModel):
    """An answer. `status`: complete, truncated (the token limit was reached) or stopped."""

    response: Annotated[str, Field(examples=["28 days a year."])]
    source: Annotated[
        str,
        Field(description="model, cache or verified: a colleague wrote it", examples=["model"]),
    ]
    dialog_id: UUID
    message_id: UUID
    model: str | None
    usage: Usage
    status: Annotated[str, Field(examples=["complete"])]
    made_at: Annotated[
        datetime | None, Field(description="Of a cached or verified answer: when it was new.")
    ] = None


class Feedback(BaseModel):
    """What is kept. Empty texts for what was not said."""

    rating: Rating | None
    reason: str
    comment: str

    @classmethod
    def of(cls, given: Opinion | None) -> "Feedback":
        if given is None:
            return cls(rating=None, reason="", comment="")
        return cls(rating=given.rating, reason=given.reason, comment=given.comment)


class Dialog(BaseModel):
    id: UUID
    title: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: DialogRow) -> "Dialog":
        return cls(id=row.id, title=row.title, created_at=row.created_at, updated_at=row.updated_at)


class Dialogs(BaseModel):
    items: list[Dialog]
    next_cursor: str | None


class DialogMessage(BaseModel):
    """A node of the dialog's tree; answers of one question have the same `parent_id`."""

    id: UUID
    parent_id: UUID | None
    role: str
    text: str
    status: str
    source: str | None
    model: str | None
    error_code: str | None
    created_at: datetime

    @classmethod
    def of(cls, row: Message) -> "DialogMessage":
        return cls(
            id=row.id,
            parent_id=row.parent_id,
            role=row.author,
            text=row.text,
            status=row.status,
            source=row.source,
            model=row.model,
            error_code=row.error_code,
            created_at=row.created_at,
        )


class DialogMessages(BaseModel):
    items: list[DialogMessage]
    next_cursor: str | None


class HistoryItem(BaseModel):
    """A question and one answer of it; `id` is the answer's."""

    id: UUID
    prompt: str
    response: str
    source: str | None
    timestamp: datetime
    dialog_id: UUID
    status: str

    @classmethod
    def of(cls, pair: Pair) -> "HistoryItem":
        return cls(
            id=pair.answer_id,
            prompt=pair.question,
            response=pair.answer,
            source=pair.source,
            timestamp=pair.asked_at,
            dialog_id=pair.dialog_id,
            status=pair.status,
        )


class HistoryPage(BaseModel):
    items: list[HistoryItem]
    next_cursor: str | None


class Me(BaseModel):
    username: Annotated[str, Field(examples=["ivanov"])]
    full_name: str
    role: Annotated[str, Field(examples=["user"])]


class MyLimits(BaseModel):
    """`reset_at`: when the next request comes back; now, when all are free."""

    limit: int
    remaining: int
    reset_at: datetime


class Failure(BaseModel):
    code: Annotated[str, Field(examples=["not_found"])]
    message: Annotated[str, Field(examples=["Not found."])]
    type: Annotated[str, Field(examples=["invalid_request_error"])]
    param: str | None
    request_id: str | None


class ErrorBody(BaseModel):
    error: Failure


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a route; those of every authenticated route are in it."""
    return {
        status: {"model": ErrorBody, "description": MEANINGS[status]}
        for status in sorted({401, 422, 429, 500, 503, *statuses})
    }


MEANINGS = {
    400: "The body could not be read, or the context is too long",
    401: "No valid access token or API key",
    403: "Another role is needed",
    404: "Not found, or not yours",
    409: "It does not fit the present state: an answer is being written",
    413: "Too large",
    422: "A field is wrong; `param` names it",
    429: "Over the limit; Retry-After says how many seconds to wait",
    500: "Internal error",
    502: "The model server began and broke",
    503: "The model server or the database is away; Retry-After",
}
