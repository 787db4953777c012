"""Fields of a chat: what asks for nothing is taken, what cannot be done is refused by its name."""

import json
import re
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from genai_app.i18n import LOCALES
from tests.conftest import OpenApi
from tests.fakes import raw_http
from tests.fakes.api_client import checked_error
from tests.fakes.app_process import AppProcess
from tests.fakes.handlers import http_paths
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import asked, question

MODEL = "fake-model"
CHAT = "/v1/chat/completions"
PART = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
NOTHING: dict[str, Any] = {
    "response_format": {"type": "text"},
    "tools": [],
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "functions": [],
    "function_call": "auto",
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "service_tier": "auto",
    "n": 1,
    "metadata": {"trace": "1"},
    "store": True,
    "user": "u-1",
    "safety_identifier": "s-1",
    "prompt_cache_key": "k-1",
    "stop": [],
    "modalities": ["text"],
    "verbosity": "medium",
    "stream_options": {"include_usage": None},
}
NULLS = (
    *("response_format", "tools", "tool_choice", "parallel_tool_calls", "functions", "logprobs"),
    *("function_call", "top_logprobs", "logit_bias", "service_tier", "n", "metadata", "store"),
    *("user", "safety_identifier", "prompt_cache_key", "stop", "modalities", "verbosity", "audio"),
    *("stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"),
    *("seed", "presence_penalty", "frequency_penalty", "reasoning_effort", "prediction", "top_k"),
    *("web_search_options", "min_p", "repetition_penalty", "chat_template_kwargs", "moderation"),
)
EARLIER: list[dict[str, Any]] = [
    {"role": "developer", "content": [PART], "name": None},
    {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Hi"}]},
    {
        "role": "assistant",
        "content": "Hello.",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "tool_calls": [],
        "function_call": None,
        "reasoning_content": "They greet.",
    },
    {"role": "assistant", "content": None, "refusal": "I will not."},
]
# as these programs send them
PROGRAMS: dict[str, dict[str, Any]] = {
    "nulls": dict.fromkeys(NULLS),
    "neutral": NOTHING,
    "langchain": {"n": 1, "temperature": 0.7, "stream": False, "parallel_tool_calls": True},
    "langchain.js, n8n": {
        **{"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0, "n": 1},
        **{"stream": True, "stream_options": {"include_usage": True}, "logit_bias": {}},
    },
    "llamaindex": {"temperature": 0.1, "max_tokens": None, "stream": False, "logprobs": False},
    "continue.dev": {
        **{"max_tokens": 64, "temperature": 0.01, "stream": True, "stop": [], "tools": []},
        **{"prediction": None, "tool_choice": "auto"},
    },
    "librechat": {
        **{"stream": True, "user": "65f", "top_p": 1, "presence_penalty": 0, "tools": None},
        **{"stream_options": {"include_usage": True}, "stop": ""},
    },
    "open webui": {"stream": True, "metadata": {"variables": {"a": 1}}, "stop": None, "seed": None},
}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"response_format": {"type": "json_object"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.type"),
    ({"logprobs": True}, "logprobs"),
    ({"logprobs": 0}, "logprobs"),
    (
        {"stream": True, "stream_options": {"continuous_usage_stats": 0}},
        "stream_options.continuous_usage_stats",
    ),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logit_bias": {"50256": -100}}, "logit_bias"),
    ({"n": 2}, "n"),
    ({"modalities": ["text", "audio"]}, "modalities[1]"),
    ({"reasoning_effort": "xhigh"}, "reasoning_effort"),
    ({"chat_template_kwargs": {"a": {}}}, "chat_template_kwargs.a"),
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {"str": 5}}]}, "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    ({"messages": [{"role": "user", "content": "x", "canary": 1}]}, "messages[0].canary"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": ["a", 5]}, "stop[1]"),
    ({"stop": 5}, "stop"),
    ({"temperature": "warm"}, "temperature"),
    ({"temperature": 3}, "temperature"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"seed": 2**70}, "seed"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"canary": 1}, "canary"),
]
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
INSIDE = ("functools", "function-", "Input should", "pydantic", "lambda", "<", "object at", "list[")


@pytest.fixture
async def api(open_api: OpenApi) -> httpx.AsyncClient:
    return await open_api()


@pytest.mark.parametrize("name", PROGRAMS)
async def test_what_asks_for_nothing_is_taken(
    name: str, api: httpx.AsyncClient, app: AppProcess, model: ModelServer
) -> None:
    """By OpenAI's own client; and the model server is sent none of it."""
    token = api.headers["authorization"].removeprefix("Bearer ")
    text = question("tokens=2")
    more = {key: value for key, value in PROGRAMS[name].items() if key != "stream"}
    messages: Any = [*EARLIER, {"role": "user", "content": [{"type": "text", "text": text}]}]
    async with AsyncOpenAI(base_url=f"{app.url}/v1", api_key=token, max_retries=0) as client:
        create = client.chat.completions.create
        if PROGRAMS[name].get("stream"):
            chunks = [
                chunk
                async for chunk in await create(
                    model=MODEL, messages=messages, stream=True, extra_body=more
                )
            ]
            said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        else:
            answer = await create(model=MODEL, messages=messages, extra_body=more)
            said = answer.choices[0].message.content or ""
    assert said == "w0 w1 "
    sent = asked(model, text)[0]
    real = {"temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens"}
    assert set(sent.parameters) <= {"model", "stream", "stream_options", *real}
    assert [each["role"] for each in sent.messages] == ["system", *EARLIER_ROLES]


EARLIER_ROLES = ["user", "assistant", "assistant", "user"]


@pytest.mark.parametrize("locale", LOCALES)
async def test_what_cannot_be_done_is_refused_by_its_name(
    locale: str, api: httpx.AsyncClient, model: ModelServer
) -> None:
    """Not ignored: an answer without the tools would look like one with them. 400 as of OpenAI, in
    the caller's language, with nothing of the validator."""
    before = len(model.answers)
    sound = [{"type": "text", "text": "What is here?"}, SOUND]
    cases = [
        *REFUSED,
        ({"messages": [{"role": "user", "content": sound}]}, "messages[0].content[1].type"),
    ]
    for more, param in cases:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]} | more
        answer = await api.post(CHAT, json=body, headers={"accept-language": locale})
        error = checked_error(answer, 400, "invalid_input")
        assert (error["param"], error["type"]) == (param, "invalid_request_error")
        assert param in error["message"]
        assert bool(re.search("(?i)пол[еюя]", error["message"])) == (locale == "ru")
        assert not [word for word in INSIDE if word in json.dumps(error)], error
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["content-language"] == locale
    assert len(model.answers) == before


@pytest.mark.parametrize(
    ("wish", "locale"),
    [
        ("", "ru"),
        ("en-US,en;q=0.9", "en"),
        ("de, ru;q=0.3, en;q=0.7", "en"),
        ("en;q=0.2, *;q=0.5", "ru"),
        ("en;q=x, \u00e9", "ru"),
        ("de", "ru"),
    ],
)
async def test_one_language_for_a_request(wish: str, locale: str, api: httpx.AsyncClient) -> None:
    """Accept-Language, else GENAI_LOCALE."""
    headers = httpx.Headers({"accept-language": wish}, encoding="latin-1")
    for answer in (
        await api.get("/dialogs/x", headers=headers),
        await api.get("/v1/nothing", headers=headers),
        await api.post("/ask", json={"prompt": 5}, headers=headers),
    ):
        message = answer.json()["error"]["message"]
        assert any("а" <= letter <= "я" for letter in message.lower()) == (locale == "ru"), message


async def test_a_program_is_not_told_of_the_page(api: httpx.AsyncClient) -> None:
    """Programs have no field, no button and no page to reload."""
    long = {"prompt": "x" * 100_001}
    found = [await api.post("/ask", json=long), await api.post("/ask", json={"prompt": " "})]
    found.append(await api.post("/ask", json={"prompt": question("status=503")}))
    for answer in found:
        text = answer.json()["error"]["message"]
        assert not [word for word in ("в поле", "кнопк", "странице", "Введите") if word in text]


WRONG: list[Any] = [None, 5, "x", [], [5], {}, {"canary-<b>": 1}, True, 1.5, "\ud800"]


async def test_no_body_shows_the_inside(api: httpx.AsyncClient, app: AppProcess) -> None:
    """Every route with a body, with values of every wrong kind in every field: a path, a sentence
    that names it, and nothing of the program."""
    schema = (await api.get("/openapi.json")).json()
    count = 0
    for path, methods in http_paths():
        for method in methods & {"POST", "PATCH", "PUT"}:
            known = schema["paths"].get(path, {}).get(method.lower(), {})
            content = known.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            names = _fields(schema, content["schema"])
            bodies = [*WRONG, *({name: value} for name in names for value in WRONG)]
            for body in bodies:
                answer = await api.request(
                    method,
                    path.replace("{", "").replace("}", ""),
                    content=json.dumps(body),
                    headers={"content-type": "application/json", "accept-language": "en"},
                )
                if answer.status_code not in (400, 422):
                    continue
                count += 1
                error = answer.json()["error"]
                shown = error["message"].replace(error["param"] or "\0", "")
                assert not [word for word in INSIDE if word in shown], (path, body, error)
                assert not [word for word in INSIDE[:5] if word in (error["param"] or "")]
    assert count > 100


def _fields(schema: dict[str, Any], node: dict[str, Any]) -> set[str]:
    """Names of the fields of a body, of all its kinds."""
    if reference := node.get("$ref"):
        node = schema["components"]["schemas"][reference.rpartition("/")[2]]
    found = set(node.get("properties", {}))
    for each in [*node.get("anyOf", []), *node.get("oneOf", [])]:
        found |= _fields(schema, each)
    return found


@pytest.mark.parametrize(
    "length", [{"content-length": "9000000"}, {"transfer-encoding": "chunked"}]
)
async def test_a_stranger_sends_no_long_body(length: dict[str, str], app: AppProcess) -> None:
    """He is refused by his headers alone: pictures of strangers would fill the memory."""
    answer = await raw_http.ask(app, "POST", CHAT, length | {"content-type": "application/json"})
    assert answer.status == 401
