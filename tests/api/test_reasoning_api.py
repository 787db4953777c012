"""The model's reasoning in the answers of the API, and the switch for it."""

from typing import Any

import pytest

from tests.conftest import OpenApi
from tests.fakes.api_client import events_of
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.fakes.questions import asked, question

THOUGHTS, TEXT = "t0 t1 t2 ", "w0 w1 "
CHAT = "/v1/chat/completions"


def chat_body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "fake-model", "messages": [{"role": "user", "content": text}], **more}


async def test_ask(open_api: OpenApi) -> None:
    """A field of its own, null for an answer without; the messages of the dialog have it too."""
    api = await open_api()
    body = (await api.post("/ask", json={"prompt": question("think=3,tokens=2")})).json()
    assert (body["response"], body["reasoning"]) == (TEXT, THOUGHTS)
    messages = (await api.get(f"/dialogs/{body['dialog_id']}/messages")).json()["items"]
    assert [each["reasoning"] for each in messages] == [None, THOUGHTS]
    plain = (await api.post("/ask", json={"prompt": question("tokens=2")})).json()
    assert plain["reasoning"] is None


async def test_ask_as_a_stream(open_api: OpenApi) -> None:
    """Thoughts in events of their own, before the text, and whole in the last object."""
    api = await open_api()
    text = question("think=3,tokens=2,delay=0.01")
    answer = await api.post("/ask", json={"prompt": text, "stream": True})
    *events, last = events_of(answer.text)
    assert "".join(each.get("reasoning", "") for each in events) == THOUGHTS
    assert "".join(each.get("delta", "") for each in events) == TEXT
    assert "delta" not in events[0]
    assert (last["response"], last["reasoning"]) == (TEXT, THOUGHTS)


async def test_thoughts_that_come_as_text(open_api: OpenApi, model: ModelServer) -> None:
    """A server that sends the closing tag alone: the end says what was what."""
    api = await open_api()
    model.script_once(Say(("I think.", "</think>", "\n\n", "Hello.")), End())
    answer = await api.post("/ask", json={"prompt": question(), "stream": True})
    last = events_of(answer.text)[-1]
    assert (last["response"], last["reasoning"]) == ("Hello.", "I think.")


async def test_openai(open_api: OpenApi) -> None:
    """`reasoning_content`, whole and as a stream, and its tokens; neither without thoughts."""
    api = await open_api()
    answer = (await api.post(CHAT, json=chat_body(question("think=3,tokens=2")))).json()
    message = answer["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (TEXT, THOUGHTS)
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}
    assert answer["usage"]["completion_tokens"] == 5

    more = {"stream": True, "stream_options": {"include_usage": True}}
    text = question("think=3,tokens=2,delay=0.01")
    *events, last = events_of((await api.post(CHAT, json=chat_body(text, **more))).text)
    deltas = [each["choices"][0]["delta"] for each in events]
    assert "".join(each.get("reasoning_content", "") for each in deltas) == THOUGHTS
    assert "".join(each.get("content") or "" for each in deltas) == TEXT
    assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}

    plain = (await api.post(CHAT, json=chat_body(question("tokens=2")))).json()
    assert "reasoning_content" not in plain["choices"][0]["message"]
    assert "completion_tokens_details" not in plain["usage"]


async def test_what_clients_send_back_is_not_sent_on(open_api: OpenApi, model: ModelServer) -> None:
    """A client that keeps the whole message goes on with the dialog; the model gets no thoughts."""
    api = await open_api()
    first, second = question("think=3,tokens=2"), question("tokens=2")
    begun = await api.post(CHAT, json=chat_body(first))
    earlier = [{"role": "user", "content": first}, begun.json()["choices"][0]["message"]]
    body = {"model": "fake-model", "messages": [*earlier, {"role": "user", "content": second}]}
    went_on = await api.post(CHAT, json=body)
    dialogs = [each.headers["x-genai-dialog-id"] for each in (begun, went_on)]
    assert dialogs[0] == dialogs[1]
    assert [each["content"] for each in asked(model, second)[0].messages][-3:] == [
        first,
        TEXT,
        second,
    ]


OFF = {"chat_template_kwargs": {"enable_thinking": False}}
ON = {"chat_template_kwargs": {"enable_thinking": True}}
SWITCHES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/ask", {"reasoning": False}, OFF),
    ("/ask", {"reasoning": True}, ON),
    ("/ask", {"reasoning": "high"}, ON | {"reasoning_effort": "high"}),
    ("/ask", {"reasoning": None}, {}),
    (CHAT, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
    (CHAT, {"reasoning_effort": "none"}, OFF),
    (CHAT, OFF, OFF),
    (
        CHAT,
        {"chat_template_kwargs": {"thinking": True}},
        {"chat_template_kwargs": {"thinking": True}},
    ),
]


@pytest.mark.parametrize(("path", "body", "sent"), SWITCHES)
async def test_the_switch(
    open_api: OpenApi, model: ModelServer, path: str, body: dict[str, Any], sent: dict[str, Any]
) -> None:
    api, text = await open_api(), question("tokens=1")
    whole = {"prompt": text, **body} if path == "/ask" else chat_body(text, **body)
    assert (await api.post(path, json=whole)).status_code == 200
    parameters = asked(model, text)[0].parameters
    names = ("chat_template_kwargs", "reasoning_effort")
    assert {name: parameters[name] for name in names if name in parameters} == sent


@pytest.mark.parametrize("value", ["loud", 1, [], {"a": 1}])
async def test_a_wrong_switch(open_api: OpenApi, value: object) -> None:
    api = await open_api()
    refused = await api.post("/ask", json={"prompt": "x", "reasoning": value})
    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == "reasoning"
