"""Field types, the base class of request bodies, and the documented errors of all API routes.

Unknown fields are refused: a mistyped `max_token` that is silently ignored costs somebody a day.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from genai_app.text import clean_text

MAX_ID_CHARS = 64
MAX_MODEL_CHARS = 200
MAX_TOKENS = 1_000_000
AN_ID = "01a20915-1c28-7661-bc06-a2be6ac9cb6a"


def _cleaned(value: object) -> object:
    return clean_text(value) if isinstance(value, str) else value


# before pydantic's own check, which refuses a lone surrogate
Text = Annotated[str, BeforeValidator(_cleaned)]
# not of type UUID: a malformed id is "not found", like any unknown id
Id = Annotated[Text, Field(max_length=MAX_ID_CHARS, examples=[AN_ID])]
Switch = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_TOKENS)]
Temperature = Annotated[float, Field(strict=True, ge=0, le=2)]
ModelName = Annotated[Text, Field(min_length=1, max_length=MAX_MODEL_CHARS)]


# "" in a row means the same as null here
TextOrNull = Annotated[str | None, BeforeValidator(lambda text: text or None)]


class RowBody(BaseModel):
    """The base of answers that `model_validate` fills from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True)


class RequestBody(BaseModel):
    """The base of all request bodies."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


MEANINGS = {
    400: "The body cannot be read, the cursor belongs to another list, or the model server refuses"
    " the request. Below /v1 also: a field is wrong, or the context is too long",
    401: "No valid access token or API key",
    403: "Your role does not allow this",
    404: "Not found, or it belongs to another user",
    409: "Not possible in the present state, for example while an answer is being written",
    413: "The body or the question is too large",
    422: "A field is wrong; `param` names it",
    429: "Over the limit; the header Retry-After gives the seconds to wait",
    500: "Internal error",
    502: "The model server failed after it had begun to answer",
    503: "The model server or the database is unavailable; the header Retry-After gives the seconds"
    " to wait",
}


class Failure(BaseModel):
    """An error. `code` is stable and meant for programs; `message` is for people, in the language
    of `Accept-Language`; `param` is the path of the wrong field, or null."""

    code: Annotated[str, Field(examples=["not_found"])]
    message: Annotated[str, Field(examples=["Not found."])]
    type: Annotated[str, Field(examples=["invalid_request_error"])]
    param: str | None
    request_id: str | None


class ErrorBody(BaseModel):
    """The body of every error response."""

    error: Failure


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses` of a route: these statuses, and those of every authenticated
    route."""
    return {
        status: {"model": ErrorBody, "description": MEANINGS[status]}
        for status in sorted({401, 422, 429, 500, 503, *statuses})
    }
