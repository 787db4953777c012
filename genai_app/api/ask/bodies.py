"""Bodies of questions, answers and feedback."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from genai_app.api.ask.used_files import CitedFile, UsedFile
from genai_app.api.bodies import Count, Id, ModelName, RequestBody, Switch, Temperature, Text
from genai_app.models import MAX_PROMPT_CHARS, Rating, Reason, Variant
from genai_app.services.chat.placement import Fork
from genai_app.services.chat.reasoning import Effort
from genai_app.services.dialogs.feedback import MAX_COMMENT_CHARS, Opinion
from genai_app.services.files.files import MAX_ATTACHED


class AskBody(RequestBody):
    """A question to the assistant."""

    prompt: Annotated[
        Text,
        Field(
            min_length=1,
            description=f"The question, at most {MAX_PROMPT_CHARS} characters.",
            examples=["What is our holiday policy?"],
        ),
    ]
    dialog_id: Annotated[
        Id | None, Field(description="The dialog to continue. Without it a new dialog begins.")
    ] = None
    parent_id: Annotated[
        Id | None,
        Field(
            description="The id of an answer: the question becomes a new branch below it, beside"
            " those that are there. `null` with a `dialog_id`: a new first question of that dialog."
            " Without the field the question follows the end of the dialog's current branch."
        ),
    ] = None
    attachments: Annotated[
        list[Id],
        Field(
            max_length=MAX_ATTACHED,
            description="Ids of your files (`POST /files`) that are `ready`. Later questions of the"
            " dialog keep them.",
        ),
    ] = []
    max_tokens: Count | None = None
    temperature: Temperature | None = None
    model: ModelName | None = None
    reasoning: Annotated[
        Switch | Effort | None,
        Field(
            description="Whether the model thinks before it answers, or how much. Without effect on"
            " a model whose reasoning cannot be changed."
        ),
    ] = None
    stream: Annotated[
        Switch | None,
        Field(description="Send the answer as server-sent events while it is written."),
    ] = None
    client_id: Annotated[
        UUID | None,
        Field(
            description="A UUID that the client makes for this question. A repeated request with"
            " the same UUID returns the same answer and asks the model only once."
        ),
    ] = None

    @property
    def fork(self) -> Fork | None:
        """The point at which the question begins a branch; None if it begins none."""
        if "parent_id" not in self.model_fields_set:
            return None
        if self.parent_id is None and self.dialog_id is None:
            return None  # the first question of a new dialog
        return Fork(below=self.parent_id)


class RestBody(RequestBody):
    """Options of an answer that is continued."""

    stream: Switch | None = None


class AgainBody(RequestBody):
    """Options of a regenerated answer."""

    stream: Switch | None = None
    variant: Annotated[
        Variant | None,
        Field(
            description="How the new answer is to differ. The model is told so with this one call;"
            " the question stays as it is."
        ),
    ] = None


class FeedbackBody(RequestBody):
    """The caller's feedback on an answer. `rating` null removes it."""

    rating: Annotated[Rating | None, Field(examples=["down"])]
    reason: Annotated[
        Reason | None, Field(description="What is wrong with the answer. Only with `down`.")
    ] = None
    comment: Annotated[
        Text | None, Field(max_length=MAX_COMMENT_CHARS, examples=["It has changed since May."])
    ] = None


class AnswerUsage(BaseModel):
    """Tokens as the model server counted them; null for a verified answer."""

    prompt_tokens: int | None
    completion_tokens: int | None


class AnswerBody(BaseModel):
    """An answer. `status`: complete, truncated (the token limit was reached), filtered (by the
    model server's content filter) or stopped. `error_code`: `empty_answer` if the model returned no
    text, else null."""

    response: Annotated[str, Field(examples=["28 days a year."])]
    reasoning: Annotated[
        str | None, Field(description="The model's thoughts before the answer, if it sent any.")
    ] = None
    source: Annotated[
        str,
        Field(
            description="`model`, `cache` (an earlier answer to the same question) or `verified` (a"
            " reviewer wrote it).",
            examples=["model"],
        ),
    ]
    dialog_id: UUID
    message_id: UUID
    model: str | None
    usage: AnswerUsage
    status: Annotated[str, Field(examples=["complete"])]
    made_at: Annotated[
        datetime | None, Field(description="When a cached or verified answer was first written.")
    ] = None
    error_code: str | None = None
    files_used: Annotated[
        list[UsedFile], Field(description="What the model was given of the dialog's files.")
    ] = []
    citations: Annotated[
        list[CitedFile], Field(description="Where the answer names files and pages.")
    ] = []


class FeedbackItem(BaseModel):
    """The saved feedback. `reason` and `comment` are empty if there is none."""

    rating: Rating | None
    reason: str
    comment: str

    @classmethod
    def of(cls, opinion: Opinion | None) -> "FeedbackItem":
        if opinion is None:
            return cls(rating=None, reason="", comment="")
        return cls(rating=opinion.rating, reason=opinion.reason, comment=opinion.comment)
