"""OpenAI's own client, unchanged, against /v1."""

import uuid
from collections.abc import AsyncGenerator

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from genai_app.db.database import Database
from genai_app.models import Channel
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import checked_error
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Status as Refuse
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions, message_row

MODEL = "fake-model"


def openai_client(app: AppProcess, token: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{app.url}/v1", api_key=token, max_retries=0)


@pytest.fixture
async def api(open_api: OpenApi) -> httpx.AsyncClient:
    return await open_api()


@pytest.fixture
async def client(app: AppProcess, api: httpx.AsyncClient) -> AsyncGenerator[AsyncOpenAI]:
    token = api.headers["authorization"].removeprefix("Bearer ")
    async with openai_client(app, token) as made:
        yield made


async def test_models(client: AsyncOpenAI) -> None:
    assert [each.id async for each in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_a_chat(client: AsyncOpenAI, app_db: Database) -> None:
    """The shape, and the rows that any other channel would have made."""
    text = question("tokens=3")
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}]
    )
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "w0 w1 w2 ")
    assert (choice.finish_reason, answer.object, answer.model) == ("stop", "chat.completion", MODEL)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3
    row = await message_row(app_db, str(uuid.UUID(answer.id.removeprefix("chatcmpl-"))))
    assert (row.text, row.channel) == ("w0 w1 w2 ", Channel.API)


@pytest.mark.parametrize("with_usage", [False, True])
async def test_a_stream(with_usage: bool, client: AsyncOpenAI) -> None:
    """The role first, then text, the reason, and usage in a chunk without choices."""
    more = {"stream_options": {"include_usage": True}} if with_usage else {}
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question("text=unicode,delay=0.002")}],
        stream=True,
        **more,  # type: ignore[arg-type]
    )
    chunks = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0].choices[0].delta.role == "assistant"
    if with_usage:
        last = chunks.pop()
        assert last.choices == []
        assert last.usage is not None
        assert last.usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in chunks)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["stop"]
    assert len(chunks) > 4


async def test_the_token_limit_is_a_reason(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question("tokens=2,reason=length")}]
    )
    assert answer.choices[0].finish_reason == "length"


async def test_a_conversation_is_one_dialog(
    client: AsyncOpenAI, model: ModelServer, app_db: Database
) -> None:
    """The client sends all again; the product knows what it has, and keeps one dialog."""
    first, second = question("tokens=2"), question("tokens=2")
    messages: list = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": first}]},
    ]
    answer = await client.chat.completions.create(model=MODEL, messages=messages)
    messages += [answer.choices[0].message, {"role": "user", "content": second}]
    await client.chat.completions.create(model=MODEL, messages=messages)
    rows = [(await list_questions(app_db, text))[0] for text in (first, second)]
    assert rows[0].dialog_id == rows[1].dialog_id
    told = [(each["role"], each["content"]) for each in asked(model, second)[0].messages]
    assert told[-3:] == [("user", first), ("assistant", "w0 w1 "), ("user", second)]
    assert ("system", "Be brief.") in told or any("Be brief." in text for _, text in told)


async def test_parameters_reach_the_model(client: AsyncOpenAI, model: ModelServer) -> None:
    text = question("tokens=1")
    await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": text}],
        temperature=0.3,
        top_p=0.5,
        stop=["END"],
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        max_completion_tokens=50,
        n=1,
        user="me",
        metadata={"a": "b"},
        store=False,
    )
    told = asked(model, text)[0].parameters
    wanted = {"temperature": 0.3, "top_p": 0.5, "stop": ["END"], "seed": 7}
    wanted |= {"presence_penalty": 0.1, "frequency_penalty": 0.2, "max_tokens": 50}
    assert wanted.items() <= told.items()
    assert not {"user", "metadata", "store", "n"} & set(told)


async def test_error_classes(
    app: AppProcess, client: AsyncOpenAI, model: ModelServer, app_db: Database
) -> None:
    """Each failure is the class of error that a caller of OpenAI catches."""
    ask = client.chat.completions.create
    async with openai_client(app, "nobody") as stranger:
        with pytest.raises(openai.AuthenticationError) as nobody:
            await stranger.models.list()
    assert nobody.value.type == "authentication_error"
    with pytest.raises(openai.NotFoundError) as unknown:
        await ask(model="gpt-none", messages=[{"role": "user", "content": "x"}])
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    text = question()
    model.script_once(Refuse(400, "This model's maximum context length is 10 tokens."))
    with pytest.raises(openai.BadRequestError) as long:
        await ask(model=MODEL, messages=[{"role": "user", "content": text}])
    assert (long.value.code, long.value.type) == (
        "context_length_exceeded",
        "invalid_request_error",
    )
    assert await list_questions(app_db, text)
    with pytest.raises(openai.BadRequestError) as tools:
        await ask(model=MODEL, messages=[{"role": "user", "content": "x"}], n=2)
    assert tools.value.param == "n"
    with pytest.raises(openai.BadRequestError) as last:
        await ask(model=MODEL, messages=[{"role": "assistant", "content": "x"}])
    assert last.value.param == "messages[0].role"
    with pytest.raises(openai.InternalServerError) as away:
        await ask(model=MODEL, messages=[{"role": "user", "content": question("status=503")}])
    assert away.value.status_code == 503
    stream = await ask(
        model=MODEL, messages=[{"role": "user", "content": question("error=2")}], stream=True
    )
    with pytest.raises(openai.APIError) as broke:
        _ = [chunk async for chunk in stream]
    assert broke.value.code == "model_failed"


async def test_rate_limit_error(start_app: StartApp, open_api: OpenApi) -> None:
    app = start_app(rate_limit="1/minute")
    api = await open_api("alice", at=app)
    token = api.headers["authorization"].removeprefix("Bearer ")
    async with openai_client(app, token) as client:
        raw = client.chat.completions.with_raw_response
        message = {"role": "user", "content": question("tokens=1")}
        answer = await raw.create(model=MODEL, messages=[message])  # type: ignore[list-item]
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError) as limited:
            await raw.create(model=MODEL, messages=[message])  # type: ignore[list-item]
    assert limited.value.type == "rate_limit_error"
    assert int(limited.value.response.headers["retry-after"]) > 0
    assert limited.value.response.headers["x-ratelimit-remaining-requests"] == "0"


async def test_unknown_paths_below_v1(api: httpx.AsyncClient) -> None:
    """The one shape, never a page."""
    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in ("/v1", "/v1/", "/v1/embeddings", "/v1/chat", "/v1//models", "/v1/%00"):
            checked_error(await api.request(method, path), 404, "not_found")
    checked_error(await api.put("/v1/models"), 405, "method_not_allowed")
