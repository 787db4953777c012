"""OpenAI's chat API, for which OpenAI's clients work unchanged. Dialogs are saved like those of the
page."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from genai_app import clock
from genai_app.access import Actor
from genai_app.api.ask.answering import (
    FINISH_REASONS,
    IdempotencyKey,
    bad_end,
    cache_use,
    client_id_of,
    failed_event,
    requested_model,
    turn_headers,
)
from genai_app.api.ask.stream import ENCODER, Collected, EventStream, Following, whole
from genai_app.api.bearer import CallerFirst
from genai_app.api.bodies import failures
from genai_app.api.budget import Asker, Reader
from genai_app.api.openai.bodies import (
    ChatBody,
    Choice,
    Completion,
    ModelCard,
    ModelCards,
    OutputMessage,
    TokenDetails,
    TokenUsage,
)
from genai_app.api.openai.images import MAX_IMAGES
from genai_app.errors import AppError, ContextTooLong
from genai_app.services import services
from genai_app.services.chat.placement import Options
from genai_app.services.chat.turns import Turn
from genai_app.services.files.incoming import IncomingFile
from genai_app.services.generation.checkpoints import End

# pictures make long bodies
router = APIRouter(prefix="/v1", tags=["openai"], route_class=CallerFirst)

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion. With `stream`, its chunks and then `[DONE]`",
        "content": {
            "text/event-stream": {
                "example": 'data: {"id":"chatcmpl-...","object":"chat.completion.chunk",'
                '"choices":[{"index":0,"delta":{"content":"28"},"finish_reason":null}]}\n\n'
                "data: [DONE]\n\n",
            }
        },
    }
}


class ContextLengthExceeded(ContextTooLong):
    """The error `context_too_long` with OpenAI's code and status."""

    status = 400
    default_code = "context_length_exceeded"


@router.get("/models", responses=failures(), summary="List the models")
async def list_models(actor: Reader) -> ModelCards:
    """Returns the model that is served, as a list of one."""
    return ModelCards(data=[_card(await services().llm.model_name())])


@router.get("/models/{model:path}", responses=failures(404), summary="Get a model")
async def get_model(model: str, actor: Reader) -> ModelCard:
    """Returns the model if it is served."""
    await requested_model(model)
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
    """Answers the last message. If the messages before it are one of your dialogs, that dialog is
    continued; else a new one begins. Fields with their default value have no effect. With
    `store: false` the call is saved for review only, like a dialog that its user deleted
    immediately. Pictures are taken as `data:` URLs alone, from messages of the user; the last eight
    of a request are shown to a model that sees."""
    question = body.question()
    read_cache, write_cache = cache_use(request)
    options = Options(
        model=await requested_model(body.model),
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        sampling=body.sampling(),
        read_cache=read_cache,
        write_cache=write_cache,
        keep=body.store is not False,
    )
    none: list[list[IncomingFile]] = [[] for _ in body.messages]
    images = await asyncio.to_thread(body.images) if body.has_images else none
    turn = await services().chat.ask(
        actor,
        question,
        client_id=client_id_of(idempotency_key),
        options=options,
        earlier=body.earlier(images),
        attachments=await _stored(actor, images),
        hashes=tuple(each.sha256.hex() for each in images[-1]),
    )
    headers = request.state.headers = turn_headers(turn)
    increments = services().chat.follow_turn(turn)
    if not body.stream:
        collected, end = await whole(increments)
        _check(end)
        answer = _completion(turn, body.model, collected, end).model_dump_json()
        return Response(answer, 200, headers, "application/json")
    following = Following(increments)
    _check(await following.early_end())
    with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return _stream(request, turn, body.model, following, headers, with_usage=with_usage)


async def _stored(actor: Actor, images: list[list[IncomingFile]]) -> list[UUID]:
    """Returns the ids of the last pictures of a request, once they are read."""
    last = [image for each in reversed(images) for image in each][:MAX_IMAGES]
    if not last:
        return []
    return [row.id for row in await services().incoming_files.take(actor, last)]


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
    # only the text differs between the chunks of an answer
    text = _around(chunk([_delta({"content": "\n"})]))
    reasoning = _around(chunk([_delta({"reasoning_content": "\n"})]))

    def closing(_: Collected, end: End) -> bytes:
        error = _error(end)
        if error is not None:
            return failed_event(request, turn, error)
        events = b"data: " + chunk([_delta({}, finish_reason=_reason(end))]) + b"\n\n"
        if with_usage:
            events += b"data: " + chunk([], usage=_usage(end).model_dump()) + b"\n\n"
        return events

    return EventStream(
        following,
        opening=b"data: "
        + chunk([_delta({"role": "assistant", "content": "", "refusal": None})])
        + b"\n\n",
        text=text,
        reasoning=reasoning,
        closing=closing,
        headers=headers,
    )


def _around(chunk: bytes) -> tuple[bytes, bytes]:
    """Returns what stands before and after the text in a chunk whose text is a line break."""
    before, after = chunk.rsplit(rb'"\n"', 1)
    return before, after


def _chunk_maker(turn: Turn, model: str, *, with_usage: bool) -> Callable[..., bytes]:
    fixed = {
        "id": _completion_id(turn),
        "object": "chat.completion.chunk",
        "created": _now(),
        "model": model,
    }

    def chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        # as in OpenAI's API, with `include_usage` every chunk has this key
        more = {"usage": usage} if with_usage else {}
        return ENCODER.encode({**fixed, "choices": choices, **more})

    return chunk


def _delta(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _completion(turn: Turn, model: str, collected: Collected, end: End) -> Completion:
    reasoning = collected.reasoning or None
    message = OutputMessage(content=collected.text, reasoning_content=reasoning)
    choice = Choice(message=message, finish_reason=_reason(end))
    return Completion(
        id=_completion_id(turn),
        created=_now(),
        model=end.model or model,
        choices=[choice],
        usage=_usage(end),
    )


def _usage(end: End) -> TokenUsage:
    prompt, answer = end.prompt_tokens or 0, end.completion_tokens or 0
    thoughts = (
        None
        if end.reasoning_tokens is None
        else TokenDetails(reasoning_tokens=end.reasoning_tokens)
    )
    return TokenUsage(
        prompt_tokens=prompt,
        completion_tokens=answer,
        total_tokens=prompt + answer,
        completion_tokens_details=thoughts,
    )


def _completion_id(turn: Turn) -> str:
    return f"chatcmpl-{turn.answer_id.hex}"


def _reason(end: End) -> str:
    return FINISH_REASONS.get(end.status, "stop")


def _error(end: End) -> AppError | None:
    if end.error_code == "context_too_long":
        return ContextLengthExceeded(param="messages", **end.details)
    return bad_end(end)


def _check(end: End | None) -> None:
    error = _error(end) if end is not None else None
    if error is not None:
        raise error


def _card(name: str) -> ModelCard:
    return ModelCard(id=name, created=0, owned_by="genai")


def _now() -> int:
    return int(clock.now().timestamp())
