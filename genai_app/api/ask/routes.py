"""`POST /ask`, and the routes that regenerate, stop or rate an answer."""

from typing import Any

from fastapi import APIRouter, Request, Response

from genai_app.api.ask.answering import (
    IdempotencyKey,
    bad_end,
    cache_use,
    check_end,
    client_id_of,
    failed_event,
    requested_model,
    turn_headers,
)
from genai_app.api.ask.bodies import (
    AgainBody,
    AnswerBody,
    AnswerUsage,
    AskBody,
    FeedbackBody,
    FeedbackItem,
    RestBody,
)
from genai_app.api.ask.stream import Collected, EventStream, Following, data, whole
from genai_app.api.ask.used_files import cited_files, used_files
from genai_app.api.bodies import failures
from genai_app.api.budget import Asker, Reader
from genai_app.services import services
from genai_app.services.chat.placement import Options
from genai_app.services.chat.reasoning import reasoning_parameters
from genai_app.services.chat.turns import Turn
from genai_app.services.generation.checkpoints import End

router = APIRouter(tags=["ask"])

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": 'The answer. With `stream`, events `{"delta": ...}` with the next part of'
        ' the text, before them `{"reasoning": ...}` where the model thinks, then an event with'
        " the whole answer, then `[DONE]`",
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
    response_model=AnswerBody,
    responses=STREAMED | failures(400, 404, 409, 413, 502),
    summary="Ask the assistant",
)
async def ask(
    body: AskBody, request: Request, actor: Asker, idempotency_key: IdempotencyKey = None
) -> Response:
    """Saves question and answer like those of the web page. The question is saved even if the model
    fails; the headers `x-genai-dialog-id` and `x-genai-message-id` of the error name it."""
    read_cache, write_cache = cache_use(request)
    options = Options(
        model=await requested_model(body.model),
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        sampling=reasoning_parameters(body.reasoning),
        read_cache=read_cache,
        write_cache=write_cache,
    )
    turn = await services().chat.ask(
        actor,
        body.prompt,
        client_id=body.client_id or client_id_of(idempotency_key),
        dialog_id=body.dialog_id,
        options=options,
        fork=body.fork,
        attachments=body.attachments,
    )
    return await _response(request, turn, stream=bool(body.stream))


@router.post(
    "/messages/{message_id}/regenerate",
    response_model=AnswerBody,
    responses=STREAMED | failures(400, 404, 409, 413, 502),
    summary="Answer the same question again",
)
async def regenerate(
    message_id: str, request: Request, actor: Asker, body: AgainBody | None = None
) -> Response:
    """Asks the model again. `message_id` is the id of an answer, which is kept beside the new
    one."""
    body = body or AgainBody()
    turn = await services().chat.regenerate(actor, message_id, body.variant)
    return await _response(request, turn, stream=bool(body.stream))


@router.post(
    "/messages/{message_id}/continue",
    response_model=AnswerBody,
    responses=STREAMED | failures(400, 404, 409, 413, 502),
    summary="Continue an answer that was cut",
)
async def continue_answer(
    message_id: str, request: Request, actor: Asker, body: RestBody | None = None
) -> Response:
    """Has the model go on with an answer that is `truncated`, `stopped` or `interrupted` and has
    some text. The message stays the same one and its text grows: `delta` events bring only what is
    new, `response` is the whole text, and `usage` is the sum over all runs. An answer with
    questions below it, or one that a reviewer has judged, cannot be continued (409)."""
    turn = await services().chat.continue_answer(actor, message_id)
    return await _response(request, turn, stream=body is not None and bool(body.stream))


@router.post(
    "/messages/{message_id}/stop",
    status_code=204,
    responses=failures(404),
    summary="End an answer that is being written",
)
async def stop(message_id: str, actor: Reader) -> None:
    """Stops the model and keeps the text so far. An answer that has already ended does not
    change."""
    await services().chat.stop(actor, message_id)


@router.post(
    "/messages/{message_id}/feedback",
    responses=failures(400, 404, 409, 413),
    summary="Say what you think of an answer",
)
async def give_feedback(message_id: str, body: FeedbackBody, actor: Reader) -> FeedbackItem:
    """Saves your feedback on one of your own answers that has ended. It replaces earlier feedback;
    `rating` null removes it."""
    opinion = await services().feedback.give(
        actor, message_id, body.rating, reason=body.reason, comment=body.comment
    )
    return FeedbackItem.of(opinion)


async def _response(request: Request, turn: Turn, *, stream: bool) -> Response:
    increments = services().chat.follow_turn(turn)
    headers = request.state.headers = turn_headers(turn)
    if not stream:
        collected, end = await whole(increments)
        check_end(end)
        body = _answer(turn, collected, end).model_dump_json()
        return Response(body, 200, headers, "application/json")
    following = Following(increments)
    check_end(await following.early_end())

    def closing(collected: Collected, end: End) -> bytes:
        error = bad_end(end)
        if error is not None:
            return failed_event(request, turn, error)
        return data(_answer(turn, collected, end).model_dump(mode="json"))

    return EventStream(
        following,
        text=(b'{"delta":', b"}"),
        reasoning=(b'{"reasoning":', b"}"),
        closing=closing,
        headers=headers,
    )


def _answer(turn: Turn, collected: Collected, end: End) -> AnswerBody:
    return AnswerBody(
        response=turn.kept + collected.text,
        reasoning=collected.reasoning or None,
        source=end.source,
        dialog_id=turn.dialog_id,
        message_id=turn.answer_id,
        model=end.model,
        usage=AnswerUsage(prompt_tokens=end.prompt_tokens, completion_tokens=end.completion_tokens),
        status=end.status,
        made_at=end.made_at,
        error_code=end.error_code,
        files_used=used_files(turn.files),
        citations=cited_files(turn.kept + collected.text, turn.files),
    )
