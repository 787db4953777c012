"""The client of the model servers, over real sockets, against a scripted server."""

import asyncio
import re
from contextlib import aclosing

import pytest
import structlog

from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import Finish, TextDelta
from genai_app.settings.settings import load_settings
from tests import corpora
from tests.fakes.model_reading import TURNS, MakeLlm, read, read_until_error
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Close, End, Hang, Hold, Raw, Say, Step
from tests.fakes.model_wire import MODEL, OpenAiWire, TgiWire, event

pytest_plugins = ("tests.fakes.model_fixtures",)


async def test_answer_and_its_request(fake: ModelServer, make_llm: MakeLlm) -> None:
    """What is sent to vLLM, and what comes back."""
    client = make_llm(f"{fake.url}/v1/", api_key="key-of-the-model-server")

    items = [item async for item in client.stream(TURNS, model="m", max_tokens=7, temperature=0.0)]

    (record,) = fake.requests
    assert record.path == "/v1/chat/completions"
    assert record.headers["authorization"] == "Bearer key-of-the-model-server"
    assert record.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert record.parameters == {
        "model": "m",
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    *pieces, finish = items
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert text == record.sent_text == "Hello, this is the scripted model."
    assert finish == Finish("stop", prompt_tokens=3, completion_tokens=8, model=MODEL)


async def test_one_piece_for_one_read(fake: ModelServer, make_llm: MakeLlm) -> None:
    """A burst of chunks costs the followers one update."""
    fake.script(Say(("a", "b", "c"), together=True), End())

    items = [item async for item in make_llm().stream(TURNS, max_tokens=9)]

    assert items[0] == TextDelta("abc", tokens=3)


@pytest.mark.parametrize("kind", ["openai", "tgi"])
async def test_text_comes_unchanged(fake: ModelServer, make_llm: MakeLlm, kind: str) -> None:
    """Only a lone surrogate, which no UTF-8 can hold, becomes U+FFFD."""
    samples = corpora.load("unicode")
    fake.script(Say(samples), End())

    text, _ = await read(make_llm(kind=kind))

    assert text == re.sub("[\ud800-\udfff]", "\ufffd", "".join(samples))


async def test_a_character_cut_between_reads(fake: ModelServer, make_llm: MakeLlm) -> None:
    """Four bytes of one emoji in two reads."""
    data = OpenAiWire(1, prompt_tokens=1).token("a😀b")
    middle = data.index("😀".encode()) + 2
    fake.script(Say(("x",)), Raw(data[:middle]), Hold(), Raw(data[middle:]), End())
    text = ""

    async for item in make_llm().stream(TURNS, max_tokens=9):
        fake.release()
        text += item.text if isinstance(item, TextDelta) else ""

    assert text == "xa😀b"


def chunk(content: str) -> bytes:
    return OpenAiWire(1, prompt_tokens=1).token(content).strip()


GOOD = chunk("good")
NULLS = b'{"id":null,"usage":null,"error":null,"choices":[{"delta":{"content":null}}]}'
MALFORMED = {
    "half json": GOOD + b'\n\ndata: {"choices": [{"del\n\n',
    "junk line": GOOD + b"\n\njunk\n\ndata: junk\n\n",
    "comments": b": ping\n\n: \n" + GOOD + b"\n: after\n\n",
    "crlf": GOOD + b"\r\n\r\n",
    "cr": GOOD + b"\r\r",
    "no space": GOOD.replace(b"data: ", b"data:") + b"\n\n",
    "multi-line": GOOD.replace(b',"choices"', b',\ndata: "choices"') + b"\n\n",
    "nulls": b"data: " + NULLS + b"\n\n" + GOOD + b"\n\n",
    "no choices": b'data: {"choices": null}\n\ndata: {}\n\n' + GOOD + b"\n\n",
    "wrong types": b'data: {"choices": 5}\n\ndata: []\n\ndata: 1\n\n' + GOOD + b"\n\n",
    "bad utf-8": GOOD + b'\n\ndata: \xff{"choices":[]}\n\n',
    "too deep": GOOD + b"\n\ndata: " + b"[" * 5000 + b"\n\n",
    "empty event": b"data:\n\n" + GOOD + b"\n\n",
}


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_events(fake: ModelServer, make_llm: MakeLlm, name: str, size: int) -> None:
    """Good data is kept; what cannot be read is logged once, without its content."""
    fake.script(Raw(MALFORMED[name], size=size), End())

    with structlog.testing.capture_logs() as logs:
        text, finish = await read(make_llm())

    assert text == "good"
    assert finish.reason == "stop"
    bad = name in ("half json", "junk line", "wrong types", "bad utf-8", "too deep")
    assert [entry["event"] for entry in logs] == ["llm.bad_event"] * bad
    assert "junk" not in str(logs)


async def test_too_many_malformed_events(fake: ModelServer, make_llm: MakeLlm) -> None:
    """More than three end the answer; what came before is kept, what comes after is not."""
    fake.script(Say(("kept",)), Raw(b"data: {\n\n" * 4 + GOOD + b"\n\n"), End())

    text, error = await read_until_error(make_llm())

    assert (text, error.code) == ("kept", "model_failed")


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (b"data: [DONE]\n\n", "stop"),
        (event({"choices": [{"finish_reason": "length"}]}), "length"),
        (event({"choices": [{"finish_reason": "moon_phase"}]}) + b"data: [DONE]\n\n", "stop"),
        (event({"choices": [{"finish_reason": "stop"}]}) + b"data: [DONE]", "stop"),
    ],
)
async def test_ends_of_an_answer(
    fake: ModelServer, make_llm: MakeLlm, end: bytes, reason: str
) -> None:
    """[DONE] or a finish reason is an end, one without the other too."""
    fake.script(Say(("text",)), Raw(end))

    text, finish = await read(make_llm())

    assert (text, finish.reason, finish.model) == ("text", reason, MODEL)


@pytest.mark.parametrize("after", [(), (Close(),), (Hang(),)])
async def test_a_finished_answer_is_not_lost(
    fake: ModelServer, make_llm: MakeLlm, after: tuple[Step, ...]
) -> None:
    """The connection breaks, or hangs, between the finish reason and [DONE]."""
    fake.script(Say(("text",)), Raw(event({"choices": [{"finish_reason": "stop"}]})), *after)

    text, finish = await read(make_llm(idle_timeout_s=0.2))

    assert (text, finish.reason) == ("text", "stop")


async def test_thinking_is_no_text_but_life(fake: ModelServer, make_llm: MakeLlm) -> None:
    """A reasoning model may think longer than the first-token deadline."""
    thought = event({"choices": [{"delta": {"reasoning": "hm"}}]})
    fake.script(Raw(thought), Hold(), Say(("text",)), End())
    client = make_llm(first_token_timeout_s=0.3)
    answer = asyncio.create_task(read(client))

    await asyncio.sleep(0.5)  # the time itself is what is tested
    fake.release()

    assert (await answer)[0] == "text"


async def test_connections_are_used_again(fake: ModelServer, make_llm: MakeLlm) -> None:
    """Ten answers in a row need no new connection."""
    client = make_llm()

    for _ in range(10):
        await read(client)

    assert fake.connections == 1


@pytest.mark.parametrize("kind", ["openai", "tgi"])
@pytest.mark.parametrize("way", ["close", "cancel", "close a waiting one"])
async def test_stop_closes_the_connection(
    fake: ModelServer, make_llm: MakeLlm, way: str, kind: str
) -> None:
    """Mid-answer; the server sees the disconnect within a second."""
    fake.script(Say(("a",)), Hang())
    items = make_llm(kind=kind).stream(TURNS, max_tokens=9)
    assert await anext(items) == TextDelta("a", 1)

    if way == "close":
        await items.aclose()
    else:
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await items.aclose()

    assert await asyncio.to_thread(fake.answers[0].wait_aborted, 1.0)


async def test_stop_before_the_first_token(fake: ModelServer, make_llm: MakeLlm) -> None:
    """The model still reads the prompt; twice is as once."""
    fake.script(Hang())
    task = asyncio.create_task(read(make_llm()))
    assert await asyncio.to_thread(fake.wait_answers, 1)

    task.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await asyncio.to_thread(fake.answers[0].wait_aborted, 1.0)
    assert len(fake.answers) == 1


async def test_stop_after_the_end(fake: ModelServer, make_llm: MakeLlm) -> None:
    """Closing a finished stream, and closing it again, is nothing."""
    async with aclosing(make_llm().stream(TURNS, max_tokens=9)) as items:
        assert [item async for item in items]
    await items.aclose()

    assert fake.answers[0].aborted_at is None


async def test_tgi_answer_and_its_request(fake: ModelServer, make_llm: MakeLlm) -> None:
    """TGI: a plain prompt out, special tokens left out, its reasons in our words."""
    client = make_llm(kind="tgi")

    items = [item async for item in client.stream(TURNS, max_tokens=7, temperature=0.5)]

    record = fake.answers[0]
    assert record.path == "/generate_stream"
    assert record.parameters == {
        "inputs": "System: Be brief.\n\nUser: Hello\n\nAssistant:",
        "parameters": {
            "max_new_tokens": 7,
            "return_full_text": False,
            "temperature": 0.5,
            "do_sample": True,
        },
    }
    *pieces, finish = items
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert text == "Hello, this is the scripted model."
    assert finish == Finish("stop", prompt_tokens=6, completion_tokens=8, model=MODEL)


async def test_tgi_length(fake: ModelServer, make_llm: MakeLlm) -> None:
    fake.script(Raw(TgiWire(1, prompt_tokens=1).token("a")), End("length"))

    text, finish = await read(make_llm(kind="tgi"))

    assert (text, finish.reason) == ("a", "length")


@pytest.mark.parametrize("kind", ["openai", "tgi"])
async def test_the_name_is_asked_once(fake: ModelServer, make_llm: MakeLlm, kind: str) -> None:
    client = make_llm(kind=kind)

    assert [await client.model_name() for _ in range(3)] == [MODEL] * 3
    assert len(fake.requests) == 1


async def test_the_name_of_the_settings(fake: ModelServer, make_llm: MakeLlm) -> None:
    client = make_llm(model="theirs")

    assert await client.model_name() == "theirs"
    await read(client)
    assert fake.requests[0].parameters["model"] == "theirs"


async def test_no_server_at_all() -> None:
    with pytest.raises(ValueError, match="no model server"):
        LlmClient(load_settings())


async def test_events_larger_than_the_bound(fake: ModelServer, make_llm: MakeLlm) -> None:
    """An endless line does not fill the memory."""
    fake.script(Say(("kept",)), Hold(), Raw(b"data: " + b"x" * 2_000_000), Hang())
    client = make_llm()

    text, error = await read_until_error(client, fake.release)

    assert (text, error.code) == ("kept", "model_failed")
