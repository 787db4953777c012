"""OpenAI's chat API: its own clients work unchanged. Dialogs are kept as those of the page are."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from genai_app import clock
from genai_app.api.answering import (
    IdempotencyKey,
    bad_end,
    cache_use,
    client_id_of,
    known_model,
    turn_headers,
)
from genai_app.api.bodies import failures
from genai_app.api.budget import Asker, Reader
from genai_app.api.errors import body_of
from genai_app.api.openai_bodies import (
    ChatBody,
    Choice,
    Completion,
    ModelCard,
    ModelCards,
    OutputMessage,
    TokenUsage,
)
from genai_app.api.sse import ENCODER, EventStream, Following, data, whole
from genai_app.errors import AppError, InvalidInput
from genai_app.models import Status
from genai_app.services import services
from genai_app.services.answers import End
from genai_app.services.chat import Options, Turn

router = APIRouter(prefix="/v1", tags=["openai"])

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion; with `stream` its chunks, then [DONE]",
        "content": {
            "text/event-stream": {
                "example": 'data: {"id":"chatcmpl-...","object":"chat.completion.chunk",'
                '"choices":[{"index":0,"delta":{"content":"28"},"finish_reason":null}]}\n\n'
                "data: [DONE]\n\n",
            }
        },
    }
}


class ContextLengthExceeded(InvalidInput):
    """`context_too_long` as OpenAI's clients know it."""

    status = 400
    default_code = "context_length_exceeded"


@router.get("/models", responses=failures(), summary="List the models")
async def list_models(actor: Reader) -> ModelCards:
    return ModelCards(data=[_card(await services().llm.model_name())])


@router.get("/models/{model:path}", responses=failures(404), summary="Get a model")
async def get_model(model: str, actor: Reader) -> ModelCard:
    await known_model(model)
    return _card(model)


@router.post(
    "/chat/completions",
    response_model=Completion,
    responses=STREAMED | failures(400, 404, 409, 413, 502),
    summary="Complete a chat",
)
async def complete(
    body: ChatBody, request: Request, actor: Asker, idempotency_key: IdempotencyKey = None
) -> Response:
    """The messages before the last one go on with the dialog that they are, or begin a new one.
    `user`, `metadata` and `store` have no effect; `n` is 1."""
    question = body.question()
    read_cache, write_cache = cache_use(request)
    options = Options(
        model=await known_model(body.model),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        sampling=body.sampling(),
        read_cache=read_cache,
        write_cache=write_cache,
    )
    turn = await services().chat.ask(
        actor,
        question,
        client_id=client_id_of(idempotency_key),
        options=options,
        earlier=body.earlier(),
    )
    headers = request.state.headers = turn_headers(turn)
    increments = services().chat.follow_turn(turn)
    if not body.stream:
        text, end = await whole(increments)
        _check(end)
        answer = _completion(turn, body.model, text, end).model_dump_json()
        return Response(answer, 200, headers, "application/json")
    following = Following(increments)
    _check(await following.early_end())
    with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return _stream(request, turn, body.model, following, headers, with_usage=with_usage)


def _stream(
    request: Request,
    turn: Turn,
    model: str,
    following: Following,
    headers: dict[str, str],
    *,
    with_usage: bool,
) -> EventStream:
    chunk = _chunk_maker(turn, model, with_usage=with_usage)
    # all of a chunk but its text is the same for the whole answer
    before, after = chunk([_delta({"content": "\n"})]).rsplit(rb'"\n"', 1)

    def closing(_: str, end: End) -> bytes:
        error = _error(end)
        if error is not None:
            return data(body_of(request, error))
        events = b"data: " + chunk([_delta({}, finish_reason=_reason(end))]) + b"\n\n"
        if with_usage:
            events += b"data: " + chunk([], usage=_usage(end).model_dump()) + b"\n\n"
        return events

    return EventStream(
        following,
        opening=b"data: "
        + chunk([_delta({"role": "assistant", "content": "", "refusal": None})])
        + b"\n\n",
        before=before,
        after=after,
        closing=closing,
        headers=headers,
    )


def _chunk_maker(turn: Turn, model: str, *, with_usage: bool) -> Callable[..., bytes]:
    fixed = {
        "id": _completion_id(turn),
        "object": "chat.completion.chunk",
        "created": _now(),
        "model": model,
    }

    def chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        # with usage asked for, every chunk has the key
        more = {"usage": usage} if with_usage else {}
        return ENCODER.encode({**fixed, "choices": choices, **more})

    return chunk


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _completion(turn: Turn, model: str, text: str, end: End) -> Completion:
    choice = Choice(message=OutputMessage(content=text), finish_reason=_reason(end))
    return Completion(
        id=_completion_id(turn),
        created=_now(),
        model=end.model or model,
        choices=[choice],
        usage=_usage(end),
    )


def _usage(end: End) -> TokenUsage:
    prompt, answer = end.prompt_tokens or 0, end.completion_tokens or 0
    return TokenUsage(prompt_tokens=prompt, completion_tokens=answer, total_tokens=prompt + answer)


def _completion_id(turn: Turn) -> str:
    return f"chatcmpl-{turn.answer_id.hex}"


def _reason(end: End) -> str:
    return "length" if end.status is Status.TRUNCATED else "stop"


def _error(end: End) -> AppError | None:
    if end.error_code == "context_too_long":
        return ContextLengthExceeded(param="messages")
    return bad_end(end)


def _check(end: End | None) -> None:
    error = _error(end) if end is not None else None
    if error is not None:
        raise error


def _card(name: str) -> ModelCard:
    return ModelCard(id=name, created=0, owned_by="genai")


def _now() -> int:
    return int(clock.now().timestamp())
