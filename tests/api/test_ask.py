"""POST /ask: one road with the page, whole and as a stream."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from genai_app.db.database import Database
from genai_app.models import Channel, Source, Status
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import LIMIT_HEADERS, a_uuid, checked_error, events_of
from tests.fakes.app_process import poll
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Status as Refuse
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions, message_row

LAST_KEYS = {"response", "source", "dialog_id", "message_id", "model", "usage"}


async def test_a_whole_answer(open_api: OpenApi, app_db: Database) -> None:
    """The contract's fields and headers, and the rows that the page would have made."""
    api = await open_api()
    text = question("tokens=3")
    answer = await api.post("/ask", json={"prompt": text})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) >= LAST_KEYS
    assert (body["response"], body["source"]) == ("w0 w1 w2 ", "model")
    assert body["usage"]["completion_tokens"] == 3
    assert answer.headers["x-genai-source"] == "model"
    assert "connection" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert all(answer.headers[name] for name in LIMIT_HEADERS)
    row = await message_row(app_db, body["message_id"])
    assert (row.text, row.status, row.channel) == (body["response"], Status.COMPLETE, Channel.API)
    (asked_row,) = await list_questions(app_db, text)
    assert (row.parent_id, str(row.dialog_id)) == (asked_row.id, body["dialog_id"])
    assert asked_row.channel == Channel.API


async def test_a_stream_says_the_same_piece_by_piece(open_api: OpenApi) -> None:
    """Deltas, then one object with everything, then [DONE]."""
    api = await open_api()
    answer = await api.post(
        "/ask", json={"prompt": question("text=unicode,delay=0.002"), "stream": True}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["connection"] == "close"  # it may end when its process stops
    assert answer.headers["cache-control"] == "no-store"
    assert all(answer.headers[name] for name in LIMIT_HEADERS)
    *deltas, last = events_of(answer.text)
    assert len(deltas) > 3
    assert all(set(each) == {"delta"} for each in deltas)
    assert "".join(each["delta"] for each in deltas) == last["response"]
    assert set(last) >= LAST_KEYS
    assert last["message_id"] == answer.headers["x-genai-message-id"]


async def test_a_dialog_goes_on(open_api: OpenApi, model: ModelServer) -> None:
    """`dialog_id` brings what was said before to the model."""
    api = await open_api()
    first, second = question("tokens=2"), question("tokens=2")
    begun = (await api.post("/ask", json={"prompt": first})).json()
    body = {"prompt": second, "dialog_id": begun["dialog_id"]}
    went_on = (await api.post("/ask", json=body)).json()
    assert went_on["dialog_id"] == begun["dialog_id"]
    said = [each["content"] for each in asked(model, second)[0].messages]
    assert said[-3:] == [first, "w0 w1 ", second]


@pytest.mark.parametrize("by", ["body", "uuid", "words"])
async def test_a_repeat_is_the_same_answer(
    by: str, open_api: OpenApi, model: ModelServer, app_db: Database
) -> None:
    """N4. Ten at once with one id: one question, one call, one answer, one unit of the limit."""
    api = await open_api()
    text, name = question("tokens=3,delay=0.02"), a_uuid()
    body = {"prompt": text} | ({"client_id": name} if by == "body" else {})
    key = {"uuid": name, "words": f"retry of {name}"}.get(by)
    headers = {"idempotency-key": key} if key else {}
    answers = await asyncio.gather(
        *(api.post("/ask", json=body, headers=headers) for _ in range(10))
    )
    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["message_id"] for each in answers}) == 1
    assert {each.json()["response"] for each in answers} == {"w0 w1 w2 "}
    assert len(asked(model, text)) == len(await list_questions(app_db, text)) == 1
    limits = (await api.get("/me/limits")).json()
    assert limits["limit"] - limits["remaining"] == 1
    other = await api.post("/ask", json=body | {"prompt": question()}, headers=headers)
    checked_error(other, 422, "client_id_reused")


async def test_the_cache_and_how_to_go_round_it(
    start_app: StartApp, open_api: OpenApi, model: ModelServer
) -> None:
    """no-cache asks the model again, no-store leaves nothing; `source` says where it came from."""
    api = await open_api("alice", at=start_app(cache_scope="company"))
    text = question("tokens=2")

    async def source(text: str, said: str = "") -> str:
        headers = {"cache-control": said} if said else {}
        answer = await api.post("/ask", json={"prompt": text}, headers=headers)
        assert answer.json()["source"] == answer.headers["x-genai-source"]
        return answer.json()["source"]

    assert await source(text, "no-store") == Source.MODEL
    assert await source(text) == Source.MODEL
    assert await source(text) == Source.CACHE
    assert await source(text, "max-age=0, no-cache") == Source.MODEL
    assert len(asked(model, text)) == 3
    hit = await api.post("/ask", json={"prompt": text, "stream": True})
    *deltas, last = events_of(hit.text)
    assert last["source"] == hit.headers["x-genai-source"] == "cache"
    assert "".join(each["delta"] for each in deltas) == last["response"]
    assert last["made_at"]


@pytest.mark.parametrize("stream", [False, True])
async def test_too_long_for_the_model(
    stream: bool, open_api: OpenApi, model: ModelServer, app_db: Database
) -> None:
    """A sentence, not a trace; the question is kept, and can be asked shorter at once."""
    api, text = await open_api(), question()
    model.script_once(Refuse(400, "This model's maximum context length is 10 tokens."))
    answer = await api.post("/ask", json={"prompt": text, "stream": stream})
    checked_error(answer, 422, "context_too_long")
    (row,) = await list_questions(app_db, text)
    dialog_id = answer.headers["x-genai-dialog-id"]
    assert str(row.dialog_id) == dialog_id
    shorter = await api.post("/ask", json={"prompt": "short", "dialog_id": dialog_id})
    assert shorter.status_code == 200


@pytest.mark.parametrize(
    ("directive", "status", "code"),
    [
        ("status=503", 503, "model_unavailable"),
        ("status=429", 503, "model_busy"),
        ("status=400", 400, "model_refused"),
        ("error=2", 502, "model_failed"),
        ("cut=2", 502, "model_interrupted"),
    ],
)
async def test_what_the_model_did_wrong(
    directive: str, status: int, code: str, open_api: OpenApi, app_db: Database
) -> None:
    """A status of its own, and the part that came is kept."""
    api = await open_api()
    answer = await api.post("/ask", json={"prompt": question(directive)})
    error = checked_error(answer, status, code)
    assert error["type"] == ("invalid_request_error" if status == 400 else "server_error")
    assert ("retry-after" in answer.headers) == (status == 503)
    row = await message_row(app_db, answer.headers["x-genai-message-id"])
    assert row.error_code == code


async def test_an_error_after_the_first_words(open_api: OpenApi) -> None:
    """The stream was 200 already: the error is its last event."""
    api = await open_api()
    answer = await api.post("/ask", json={"prompt": question("error=2"), "stream": True})
    assert answer.status_code == 200
    *_, last = events_of(answer.text)
    assert last["error"]["code"] == "model_failed"
    assert last["error"]["request_id"] == answer.headers["x-request-id"]


async def test_an_early_error_of_a_stream_is_a_status(open_api: OpenApi) -> None:
    """Nothing was said yet, so a client need not look into the stream."""
    api = await open_api()
    answer = await api.post("/ask", json={"prompt": question("status=503"), "stream": True})
    checked_error(answer, 503, "model_unavailable")


async def test_stop_and_answer_again(open_api: OpenApi, app_db: Database) -> None:
    """The text so far is kept; a second stop changes nothing; the new answer stands beside."""
    api = await open_api()
    body = {"prompt": question("tokens=200,delay=0.05"), "stream": True}
    async with api.stream("POST", "/ask", json=body) as answer:
        message_id = answer.headers["x-genai-message-id"]
        lines = aiter(answer.aiter_lines())
        assert (await anext(lines)).startswith('data: {"delta"')
        for _ in range(2):
            assert (await api.post(f"/messages/{message_id}/stop")).status_code == 204
        rest = [line async for line in lines]
    assert '"status":"stopped"' in rest[-4]
    row = await message_row(app_db, message_id)
    assert row.status == Status.STOPPED
    assert row.text
    again = await api.post(f"/messages/{message_id}/regenerate", json={"stream": True})
    new_id = again.headers["x-genai-message-id"] if again.status_code == 200 else ""
    assert (await api.post(f"/messages/{new_id}/stop")).status_code in (204, 404)
    assert (await message_row(app_db, new_id)).parent_id == row.parent_id


async def test_whoever_goes_away_finds_the_answer(
    open_api: OpenApi, app_db: Database, model: ModelServer
) -> None:
    """N2. The client hangs up after the first words; the answer is written to its end."""
    api = await open_api()
    body = {"prompt": question("tokens=20,delay=0.02"), "stream": True}
    async with api.stream("POST", "/ask", json=body) as answer:
        message_id = answer.headers["x-genai-message-id"]
        await anext(aiter(answer.aiter_lines()))
    record = asked(model, body["prompt"])[0]  # type: ignore[arg-type]
    assert await asyncio.to_thread(record.wait_ended)
    pages = await api.get("/history")
    while pages.json()["items"][0]["status"] == Status.RUNNING:
        pages = await api.get("/history")
    assert pages.json()["items"][0]["id"] == message_id
    assert pages.json()["items"][0]["response"].endswith("w19 ")


async def test_the_limit(start_app: StartApp, open_api: OpenApi) -> None:
    """Exactly N pass; every answer says what is left; looking takes nothing."""
    app = start_app(rate_limit="2/minute")
    api = await open_api("alice", at=app)
    left: list[str] = []
    for _ in range(2):
        answer = await api.post("/ask", json={"prompt": question("tokens=1")})
        left.append(answer.headers["x-ratelimit-remaining-requests"])
    assert left == ["1", "0"]
    refused = await api.post("/ask", json={"prompt": question()})
    assert checked_error(refused, 429, "rate_limited")["type"] == "rate_limit_error"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-reset-requests"] not in ("", "0s")
    assert (await api.get("/me/limits")).json()["remaining"] == 0
    assert (await (await open_api("bob", at=app)).get("/me/limits")).json()["remaining"] == 2


async def test_a_body_too_large_is_refused_while_it_comes(open_api: OpenApi) -> None:
    """10 MB without a length, and with one: 413 before anything reads it."""
    api = await open_api()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    headers = {"content-type": "application/json"}
    checked_error(await api.post("/ask", content=pieces(), headers=headers), 413, "too_large")
    whole = await api.post("/ask", content=b"x" * 2_000_000, headers=headers)
    checked_error(whole, 413, "too_large")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 422, "prompt"),
        ({"prompt": ""}, 422, "prompt"),
        ({"prompt": "  "}, 422, None),
        ({"prompt": 1}, 422, "prompt"),
        ({"prompt": "x" * 100_001}, 413, None),
        ({"prompt": "x", "max_tokens": 0}, 422, "max_tokens"),
        ({"prompt": "x", "max_tokens": "5"}, 422, "max_tokens"),
        ({"prompt": "x", "temperature": 3}, 422, "temperature"),
        ({"prompt": "x", "client_id": "no"}, 422, "client_id"),
        ({"prompt": "x", "nonsense": "m"}, 422, "nonsense"),
        ({"prompt": "x", "model": "nobody's"}, 404, "model"),
        ({"prompt": "x", "dialog_id": str(uuid.UUID(int=1))}, 404, None),
        ({"prompt": "x", "dialog_id": "'; --"}, 404, None),
        ([], 422, None),
    ],
)
async def test_what_is_wrong_is_named(
    body: object, status: int, param: str | None, open_api: OpenApi
) -> None:
    """Nothing is asked, and nothing is taken of the limit."""
    api = await open_api()
    assert checked_error(await api.post("/ask", json=body), status)["param"] == param
    limits = (await api.get("/me/limits")).json()
    assert limits["limit"] == limits["remaining"]


@pytest.mark.parametrize(
    "body",
    [b"", b'{"prompt": ', b"\xff\xfe", b"[" * 50_000, b'{"prompt": NaN}', b"prompt=x"],
)
async def test_a_body_that_is_no_json(body: bytes, open_api: OpenApi) -> None:
    """The one shape."""
    api = await open_api()
    answer = await api.post("/ask", content=body, headers={"content-type": "application/json"})
    checked_error(answer, answer.status_code)
    assert answer.status_code in (400, 422)


async def test_text_that_no_store_holds(open_api: OpenApi, app_db: Database) -> None:
    """NUL and a lone surrogate are seen as U+FFFD; nothing fails."""
    api = await open_api()
    mark = uuid.uuid4().hex
    body = f'{{"prompt": "\\ud800 \\u0000 {mark} fake:tokens=1"}}'.encode()
    answer = await api.post("/ask", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert await list_questions(app_db, f"\ufffd \ufffd {mark} fake:tokens=1")


async def test_two_hundred_streams_at_once(start_app: StartApp, open_api: OpenApi) -> None:
    """Each gets all of its own answer and nothing of another's."""
    app = start_app(rate_limit="1000/minute", cache_scope="off")
    api = await open_api("alice", at=app)
    api.timeout = 60  # type: ignore[assignment]

    async def one(number: int) -> None:
        words = f"mine {number} " * 5
        body = {"prompt": f"{words} fake:text=echo,delay=0.01", "stream": True}
        *deltas, last = events_of((await api.post("/ask", json=body)).text)
        assert "".join(each["delta"] for each in deltas) == last["response"] == body["prompt"]

    await asyncio.gather(*(one(number) for number in range(200)))
    assert poll(lambda: app.alive)
