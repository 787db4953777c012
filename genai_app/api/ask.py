"""POST /ask and what else makes or ends an answer."""

from typing import Any

from fastapi import APIRouter, Request, Response

from genai_app.api.answering import (
    IdempotencyKey,
    bad_end,
    cache_use,
    check_end,
    client_id_of,
    known_model,
    turn_headers,
)
from genai_app.api.bodies import AgainBody, Answer, AskBody, Feedback, FeedbackBody, Usage, failures
from genai_app.api.budget import Asker, Reader
from genai_app.api.errors import body_of
from genai_app.api.sse import EventStream, Following, data, whole
from genai_app.services import services
from genai_app.services.answers import End
from genai_app.services.chat import Options, Turn

router = APIRouter(tags=["ask"])

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'The answer; with `stream` events `{"delta"}`, then the answer, then [DONE]',
        "content": {
            "text/event-stream": {
                "example": 'data: {"delta":"28 days"}\n\ndata: {"response":"28 days",...}\n\n'
                "data: [DONE]\n\n",
            }
        },
    }
}


@router.post(
    "/ask",
    response_model=Answer,
    responses=STREAMED | failures(400, 404, 409, 413, 502),
    summary="Ask the assistant",
)
async def ask(
    body: AskBody, request: Request, actor: Asker, idempotency_key: IdempotencyKey = None
) -> Response:
    """Question and answer are kept as those of the page are. The question is kept even where the
    model fails: the error's headers `x-genai-dialog-id` and `x-genai-message-id` say where."""
    read_cache, write_cache = cache_use(request)
    options = Options(
        model=await known_model(body.model),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        read_cache=read_cache,
        write_cache=write_cache,
    )
    turn = await services().chat.ask(
        actor,
        body.prompt,
        client_id=body.client_id or client_id_of(idempotency_key),
        dialog_id=body.dialog_id,
        options=options,
    )
    return await _answered(request, turn, stream=body.stream)


@router.post(
    "/messages/{message_id}/regenerate",
    response_model=Answer,
    responses=STREAMED | failures(400, 404, 409, 413, 502),
    summary="Answer the same question again",
)
async def regenerate(
    message_id: str, request: Request, actor: Asker, body: AgainBody | None = None
) -> Response:
    """`message_id` is an answer's. The old one stays beside the new one."""
    turn = await services().chat.regenerate(actor, message_id)
    return await _answered(request, turn, stream=body is not None and body.stream)


@router.post(
    "/messages/{message_id}/stop",
    status_code=204,
    responses=failures(404),
    summary="End an answer that is being written",
)
async def stop(message_id: str, actor: Reader) -> None:
    """Its text is kept. An answer that has ended stays as it is."""
    await services().chat.stop(actor, message_id)


@router.post(
    "/messages/{message_id}/feedback",
    responses=failures(400, 404, 409, 413),
    summary="Say what you think of an answer",
)
async def give_feedback(message_id: str, body: FeedbackBody, actor: Reader) -> Feedback:
    """Of one of your own answers that has ended. The last word counts; null takes it back."""
    given = await services().feedback.give(
        actor, message_id, body.rating, reason=body.reason, comment=body.comment
    )
    return Feedback.of(given)


async def _answered(request: Request, turn: Turn, *, stream: bool) -> Response:
    increments = services().chat.follow_turn(turn)
    headers = request.state.headers = turn_headers(turn)
    if not stream:
        text, end = await whole(increments)
        check_end(end)
        body = _answer(turn, text, end).model_dump_json()
        return Response(body, 200, headers, "application/json")
    following = Following(increments)
    check_end(await following.early_end())

    def closing(text: str, end: End) -> bytes:
        error = bad_end(end)
        if error is not None:
            return data(body_of(request, error))
        return data(_answer(turn, text, end).model_dump(mode="json"))

    return EventStream(following, before=b'{"delta":', after=b"}", closing=closing, headers=headers)


def _answer(turn: Turn, text: str, end: End) -> Answer:
    return Answer(
        response=text,
        source=end.source,
        dialog_id=turn.dialog_id,
        message_id=turn.answer_id,
        model=end.model,
        usage=Usage(prompt_tokens=end.prompt_tokens, completion_tokens=end.completion_tokens),
        status=end.status,
        made_at=end.made_at,
    )
