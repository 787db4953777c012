"""Bodies of dialogs, their messages and the history."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from genai_app.api.bodies import RequestBody, Text
from genai_app.models import Message
from genai_app.services.dialogs.history import Pair, details_of


class TitleBody(RequestBody):
    """The new title of a dialog."""

    title: Annotated[Text, Field(max_length=10_000, examples=["Holidays"])]


class DialogItem(BaseModel):
    """A dialog. `key_id`: the API key that began it; left out if it was begun on the web page or
    with an access token."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    created_at: datetime
    updated_at: datetime
    key_id: Annotated[UUID | None, Field(exclude_if=lambda key_id: key_id is None)] = None


class DialogItems(BaseModel):
    """A page of dialogs, the last used first."""

    items: list[DialogItem]
    next_cursor: str | None


class DialogMessage(BaseModel):
    """A message in the dialog's tree. All answers to one question have the same `parent_id`."""

    id: UUID
    parent_id: UUID | None
    role: str
    text: str
    status: str
    source: str | None
    model: str | None
    error_code: str | None
    error_reason: Annotated[
        str | None, Field(description="The model server's own reason, if it refused the question.")
    ] = None
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
            error_reason=details_of(row).get("reason"),
            created_at=row.created_at,
        )


class DialogMessages(BaseModel):
    """A page of messages, the oldest first."""

    items: list[DialogMessage]
    next_cursor: str | None


class HistoryItem(BaseModel):
    """A question with one of its answers. `id`: the answer's id."""

    id: UUID
    prompt: str
    response: str
    source: str | None
    timestamp: datetime
    dialog_id: UUID
    status: str
    error_code: str | None = None
    error_reason: str | None = None

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
            error_code=pair.error_code,
            error_reason=pair.details.get("reason"),
        )


class HistoryPage(BaseModel):
    """A page of questions with their answers, newest first."""

    items: list[HistoryItem]
    next_cursor: str | None
