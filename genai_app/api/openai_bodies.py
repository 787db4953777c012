"""What a client of OpenAI's chat API sends and gets. Names and shapes are OpenAI's."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from genai_app.api.bodies import Count, ModelName, Sent, Switch, Temperature, Text
from genai_app.errors import InvalidInput
from genai_app.services.chat import ChatTurn

MAX_MESSAGES = 1000
MAX_STOPS = 4
Penalty = Annotated[float, Field(strict=True, ge=-2, le=2)]


class TextPart(Sent):
    type: Literal["text"]
    text: Text


class InputMessage(Sent):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart] | None = None
    name: Text | None = None
    # what our own answers and OpenAI's come with, and clients send back
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Sent):
    include_usage: Switch | None = None
    include_obfuscation: Switch | None = None  # there is none


class ChatBody(Sent):
    model: Annotated[ModelName, Field(examples=["qwen3-32b"])]
    messages: Annotated[
        list[InputMessage],
        Field(
            min_length=1,
            max_length=MAX_MESSAGES,
            examples=[[{"role": "user", "content": "What is our holiday policy?"}]],
        ),
    ]
    stream: Switch | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    stop: (
        Annotated[Text, Field(min_length=1, max_length=200)]
        | Annotated[
            list[Annotated[Text, Field(min_length=1, max_length=200)]],
            Field(max_length=MAX_STOPS),
        ]
        | None
    ) = None
    seed: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=1)] | None = None
    # accepted, without any effect
    user: Text | None = None
    metadata: dict[str, Text] | None = None
    store: Switch | None = None

    def question(self) -> str:
        """The last message, which must be the user's. Raises InvalidInput."""
        last = self.messages[-1]
        if last.role != "user":
            raise InvalidInput(code="last_message_not_user", param="messages")
        return last.text

    def earlier(self) -> Sequence[ChatTurn]:
        """All messages before the last."""
        return [
            ChatTurn("system" if each.role == "developer" else each.role, each.text)
            for each in self.messages[:-1]
        ]

    def sampling(self) -> tuple[tuple[str, object], ...]:
        """What the model server is told beside length and temperature, in a fixed order."""
        stop = tuple(self.stop) if isinstance(self.stop, list) else self.stop
        given: dict[str, object] = {
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "seed": self.seed,
            "stop": stop or None,
            "top_p": self.top_p,
        }
        return tuple((name, value) for name, value in given.items() if value is not None)


class ModelCard(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelCards(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class OutputMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: OutputMessage
    logprobs: None = None
    finish_reason: Annotated[str, Field(examples=["stop"])]


class TokenUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    id: Annotated[str, Field(examples=["chatcmpl-01a209151c287661bc06a2be6ac9cb6a"])]
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage
