"""Bodies of dialogs, their messages and the history."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from genai_app.api.ask.used_files import AttachedFile, CitedFile, UsedFile, cited_files
from genai_app.api.bodies import Id, RequestBody, RowBody, Switch, Text, TextOrNull
from genai_app.models import Attachment, Message
from genai_app.services.dialogs.edits import DialogEdit
from genai_app.services.dialogs.history import Pair, details_of
from genai_app.services.files.usage import files_used


class DialogPatch(RequestBody):
    """Changes to a dialog. A field that is left out keeps its value. `folder_id`: null takes the
    dialog out of its folder."""

    title: Annotated[Text, Field(max_length=10_000, examples=["Holidays"])] = ""
    folder_id: Id | None = None
    pinned: Switch = False
    archived: Switch = False

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("at least one field is needed")
        return self

    def edit(self) -> DialogEdit:
        """Returns the changes of the fields that were sent."""
        return DialogEdit(**{name: getattr(self, name) for name in self.model_fields_set})


class DialogItem(RowBody):
    """A dialog. `key_id`: the API key that began it; left out if it was begun on the web page or
    with an access token."""

    id: UUID
    title: str
    created_at: datetime
    updated_at: datetime
    folder_id: UUID | None
    pinned: bool
    archived: bool
    key_id: Annotated[UUID | None, Field(exclude_if=lambda key_id: key_id is None)] = None


class DialogItems(BaseModel):
    """A page of dialogs, the last used first."""

    items: list[DialogItem]
    next_cursor: str | None


def _uses(stored: object) -> object:
    return files_used(stored) if stored is None or isinstance(stored, str) else stored


UsedFiles = Annotated[list[UsedFile], BeforeValidator(_uses)]


class DialogMessage(RowBody):
    """A message in the dialog's tree. All answers to one question have the same `parent_id`, and so
    have all questions that were asked at one point; the first questions have none. `variant`:
    `shorter` or `longer`, of an answer that was asked for in that way."""

    id: UUID
    parent_id: UUID | None
    role: Annotated[str, Field(validation_alias="author")]
    text: str
    status: str
    source: str | None
    model: str | None
    variant: str | None
    reasoning: Annotated[
        TextOrNull, Field(description="The model's thoughts before the answer, if it sent any.")
    ] = None
    error_code: str | None
    error_reason: Annotated[
        str | None, Field(description="The model server's own reason, if it refused the question.")
    ] = None
    created_at: datetime
    attachments: Annotated[
        list[AttachedFile], Field(description="Files of a question, in their order.")
    ] = []
    files_used: Annotated[
        UsedFiles, Field(description="What the model was given of files, of an answer.")
    ] = []
    citations: Annotated[
        list[CitedFile], Field(description="Where an answer names files and pages.")
    ] = []

    @classmethod
    def of(cls, row: Message, files: Sequence[Attachment] = ()) -> Self:
        message = cls.model_validate(row)
        message.error_reason = details_of(row).get("reason")
        message.attachments = [AttachedFile.of(each) for each in files]
        message.citations = cited_files(row.text, files_used(row.files_used))
        return message


class DialogMessages(BaseModel):
    """A page of messages, the oldest first."""

    items: list[DialogMessage]
    next_cursor: str | None


class HistoryItem(RowBody):
    """A question with one of its answers. `id`: the answer's id."""

    id: Annotated[UUID, Field(validation_alias="answer_id")]
    prompt: Annotated[str, Field(validation_alias="question")]
    response: Annotated[str, Field(validation_alias="answer")]
    source: str | None
    timestamp: Annotated[datetime, Field(validation_alias="asked_at")]
    dialog_id: UUID
    status: str
    error_code: str | None = None
    error_reason: str | None = None

    @classmethod
    def of(cls, pair: Pair) -> Self:
        item = cls.model_validate(pair)
        item.error_reason = pair.details.get("reason")
        return item


class HistoryPage(BaseModel):
    """A page of questions with their answers, newest first."""

    items: list[HistoryItem]
    next_cursor: str | None
