"""Bodies of OpenAI's chat API. Names and shapes are OpenAI's."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from genai_app.api.bodies import Count, ModelName, RequestBody, Switch, Temperature, Text
from genai_app.api.openai.images import ImagePart, TextPart, image_of
from genai_app.errors import InvalidInput
from genai_app.services.chat.placement import ChatTurn
from genai_app.services.chat.reasoning import EFFORT, TEMPLATE, Effort
from genai_app.services.files.incoming import IncomingFile

MAX_MESSAGES = 1000
MAX_STOPS = 4
Penalty = Annotated[float, Field(strict=True, ge=-2, le=2)]


# only values that mean the same as a missing field; others would ask for features that do not exist
Nothing = Annotated[list[Any], Field(max_length=0)]
# 0 == False in Python, but not in JSON: as text it is refused
Off = Annotated[
    Literal[False], BeforeValidator(lambda value: value if isinstance(value, bool) else str(value))
]
TemplateValue = Switch | int | float | Annotated[Text, Field(max_length=200)] | None
NoEffect = Annotated[str, Field(max_length=1000)]


MessagePart = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class InputMessage(RequestBody):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[MessagePart] | None = None
    name: Text | None = None
    # fields of answers, which clients send back
    refusal: Text | None = None
    reasoning: Text | None = None
    reasoning_content: Text | None = None
    annotations: list[Any] | None = None
    cache_control: dict[str, Any] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Nothing | None = None
    tool_call_id: None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or self.refusal or ""

    def images(self, path: str) -> list[IncomingFile]:
        """Returns the pictures of a message; of messages that are not the user's there are none.

        Raises InvalidInput, TooLarge: see image_of.
        """
        if not isinstance(self.content, list):
            return []
        images = [
            image_of(part, f"{path}.content[{number}]")
            for number, part in enumerate(self.content)
            if isinstance(part, ImagePart)
        ]
        if images and self.role != "user":
            raise InvalidInput(code="image_not_of_user", param=f"{path}.content")
        return images


class StreamOptions(RequestBody):
    """Options of a stream. `include_usage`: send an extra chunk with the token usage at the end."""

    include_usage: Switch | None = None
    include_obfuscation: Switch | None = None  # without effect: nothing is obfuscated
    continuous_usage_stats: Off | None = None


class TextFormat(RequestBody):
    """The default response format."""

    type: Literal["text"]


class ChatBody(RequestBody):
    """A request of OpenAI's chat API. The last message must be the user's."""

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
        Annotated[Text, Field(max_length=200)]
        | Annotated[
            list[Annotated[Text, Field(min_length=1, max_length=200)]],
            Field(max_length=MAX_STOPS),
        ]
        | None
    ) = None
    seed: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    reasoning_effort: Annotated[
        Literal["none"] | Effort | None,
        Field(description="How much the model thinks before it answers, where that can be set"),
    ] = None
    chat_template_kwargs: Annotated[
        dict[Annotated[str, Field(max_length=100)], TemplateValue] | None,
        Field(
            max_length=20,
            description="vLLM's: variables of the model's chat template",
            examples=[{"enable_thinking": False}],
        ),
    ] = None
    store: Annotated[
        Switch | None,
        Field(description="`false`: saved for review only, not in your list of dialogs"),
    ] = None
    # accepted without any effect
    user: NoEffect | None = None
    metadata: dict[str, Any] | None = None
    service_tier: NoEffect | None = None
    safety_identifier: NoEffect | None = None
    prompt_cache_key: NoEffect | None = None
    prompt_cache_retention: NoEffect | None = None
    # accepted with the values that ask for nothing
    n: Annotated[int, Field(strict=True, ge=1, le=1)] | None = None
    response_format: TextFormat | None = None
    tools: Nothing | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: Switch | None = None
    functions: Nothing | None = None
    function_call: Literal["none", "auto"] | None = None
    logprobs: Off | None = None
    top_logprobs: Annotated[int, Field(strict=True, ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    modalities: list[Literal["text"]] | None = None
    verbosity: Literal["medium"] | None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    moderation: None = None
    # vLLM's
    top_k: None = None
    min_p: None = None
    repetition_penalty: None = None

    def question(self) -> str:
        """Returns the text of the last message. Raises InvalidInput if it is not the user's."""
        last = self.messages[-1]
        if last.role != "user":
            path = f"messages[{len(self.messages) - 1}].role"
            raise InvalidInput(code="last_message_not_user", param=path)
        return last.text

    def earlier(self, images: Sequence[Sequence[IncomingFile]]) -> Sequence[ChatTurn]:
        """Returns all messages before the last. `images`: those of each message."""
        return [
            ChatTurn(
                "system" if each.role == "developer" else each.role,
                each.text,
                files=tuple(image.sha256.hex() for image in shown),
            )
            for each, shown in zip(self.messages[:-1], images, strict=False)
        ]

    def images(self) -> list[list[IncomingFile]]:
        """Returns the pictures of each message. Blocks where there are many. Raises InvalidInput,
        TooLarge."""
        return [each.images(f"messages[{n}]") for n, each in enumerate(self.messages)]

    @property
    def has_images(self) -> bool:
        """True where a message has a picture."""
        return any(
            isinstance(part, ImagePart)
            for each in self.messages
            if isinstance(each.content, list)
            for part in each.content
        )

    def sampling(self) -> tuple[tuple[str, object], ...]:
        """Returns the sampling parameters other than length and temperature, in a fixed order."""
        stop = tuple(self.stop) if isinstance(self.stop, list) else self.stop
        template: dict[str, object] = dict(self.chat_template_kwargs or {})
        effort = self.reasoning_effort
        if effort == "none":  # vLLM does not know the word
            effort, template = None, {"enable_thinking": False} | template
        parameters: dict[str, object] = {
            TEMPLATE: template or None,
            EFFORT: effort,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "seed": self.seed,
            "stop": stop or None,
            "top_p": self.top_p,
        }
        return tuple((name, value) for name, value in parameters.items() if value is not None)


class ModelCard(BaseModel):
    """A model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelCards(BaseModel):
    """The list of models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class OutputMessage(BaseModel):
    """The assistant's message."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: Annotated[
        str | None,
        Field(
            exclude_if=lambda reasoning: reasoning is None,
            description="The model's thoughts before the answer, if it sent any",
        ),
    ] = None
    refusal: None = None


class Choice(BaseModel):
    """The answer. There is always exactly one choice."""

    index: int = 0
    message: OutputMessage
    logprobs: None = None
    finish_reason: Annotated[str, Field(examples=["stop"])]


class TokenDetails(BaseModel):
    """The part of the tokens that the model thought with."""

    reasoning_tokens: int


class TokenUsage(BaseModel):
    """Tokens as the model server counted them; 0 for a verified answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: Annotated[
        TokenDetails | None, Field(exclude_if=lambda details: details is None)
    ] = None


class Completion(BaseModel):
    """A whole answer in OpenAI's shape."""

    id: Annotated[str, Field(examples=["chatcmpl-01a209151c287661bc06a2be6ac9cb6a"])]
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage
