"""What each failure of a model server becomes: kept text, one code, a retry only where it helps."""

import socket
from collections.abc import Iterator

import pytest

from genai_app.adapters.llm.dialects import ChatTurn, TextDelta
from genai_app.errors import AppError, ContextTooLong, ModelFailed, ModelRefused, ModelUnavailable
from tests.fakes.model_reading import TURNS, MakeLlm, read, read_until_error
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import (
    Close,
    End,
    ErrorEvent,
    Hang,
    Hold,
    Raw,
    Reset,
    Say,
    Status,
    Step,
)
from tests.fakes.model_wire import MODEL, event

pytest_plugins = ("tests.fakes.model_fixtures",)

LONG_VLLM = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
LONG_TGI = "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500"
ROLES = "Conversation roles must alternate"
ANSWER = "Hello, this is the scripted model."


@pytest.fixture
def closed_port() -> Iterator[str]:
    """A URL that refuses: the port is taken and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (Status(400, LONG_VLLM), ContextTooLong, "context_too_long"),
        (Status(400, "too many tokens"), ContextTooLong, "context_too_long"),
        (Status(413, "over the context window"), ContextTooLong, "context_too_long"),
        (Status(422, LONG_TGI), ContextTooLong, "context_too_long"),
        (Status(422, body=b'{"object":"error","message":"context size"}'), ContextTooLong, None),
        (Status(400, ROLES), ModelRefused, "model_refused"),
        (Status(413, body=b"<html>Request Entity Too Large"), ModelRefused, "model_refused"),
        (Status(422, body=b'{"detail":[{"msg":"bad"}]}'), ModelRefused, "model_refused"),
        (Status(418), ModelRefused, "model_refused"),
        (Status(401), ModelUnavailable, "model_auth"),
        (Status(403), ModelUnavailable, "model_auth"),
        (Status(404, body=b'{"detail":"Not Found"}'), ModelUnavailable, "model_unknown"),
        (Status(404, "The model `x` does not exist."), ModelRefused, "model_unknown"),
        (Status(405), ModelUnavailable, "model_unavailable"),
        (Status(429), ModelUnavailable, "model_busy"),
        (Status(500), ModelUnavailable, "model_unavailable"),
        (Status(302), ModelUnavailable, "model_unavailable"),
        (Status(500, body=b"\xff" * 100_000), ModelUnavailable, "model_unavailable"),
    ],
)
async def test_refusals_are_told_apart_and_not_repeated(
    fake: ModelServer,
    make_llm: MakeLlm,
    status: Status,
    kind: type[AppError],
    code: str | None,
) -> None:
    """One request, one error."""
    fake.script(status)

    text, error = await read_until_error(make_llm())

    assert (text, type(error), error.code) == ("", kind, code or "context_too_long")
    assert len(error.detail) <= 310
    assert len(fake.answers) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (None, 5), ("Wed, 21 Oct 2026 07:28:00 GMT", 5), ("0", 1), ("-3", 5), ("9999", 600)],
)
async def test_busy_says_when_to_come_back(
    fake: ModelServer, make_llm: MakeLlm, header: str | None, seconds: int
) -> None:
    """Retry-After, in seconds, within reason."""
    fake.script(Status(429, retry_after=header))

    _, error = await read_until_error(make_llm())

    assert error.retry_after_s == seconds


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_one_retry_on_the_same_server(
    fake: ModelServer, make_llm: MakeLlm, status: int
) -> None:
    """The only server is asked twice, then the error is told."""
    client = make_llm()
    fake.script_once(Status(status))

    assert (await read(client))[0] == ANSWER

    fake.script(Status(status))
    _, error = await read_until_error(client)
    assert (error.code, error.status) == ("model_unavailable", 503)
    assert len(fake.answers) == 4


@pytest.mark.parametrize("step", [Reset(), Close(), Raw(b": nothing\n\n")])
async def test_cut_before_the_first_token_is_tried_again(
    fake: ModelServer, make_llm: MakeLlm, step: Step
) -> None:
    """Nothing was shown, so nothing can be doubled."""
    fake.script_once(step)

    assert (await read(make_llm()))[0] == ANSWER
    assert len(fake.answers) == 2


async def test_the_other_server_answers(
    fake: ModelServer, make_llm: MakeLlm, closed_port: str
) -> None:
    """Refused, then the next endpoint; the dead one is then left alone for a while."""
    client = make_llm(closed_port, fake.url, model=MODEL)

    assert [(await read(client))[0] for _ in range(3)] == [ANSWER] * 3


async def test_a_server_that_fails_hands_over(fake: ModelServer, make_llm: MakeLlm) -> None:
    """503 of one, the answer of the other."""
    with ModelServer() as failing:
        failing.script(Status(503))
        client = make_llm(failing.url, fake.url, model=MODEL)

        assert [(await read(client))[0] for _ in range(2)] == [ANSWER] * 2
        assert (len(failing.answers), len(fake.answers)) == (1, 2)


async def test_work_is_shared(fake: ModelServer, make_llm: MakeLlm) -> None:
    """Two endpoints, two answers at once: one each."""
    with ModelServer() as second:
        for each in (fake, second):
            each.script(Say(("a",)), Hang())
        client = make_llm(fake.url, second.url, model=MODEL)
        streams = [client.stream(TURNS, max_tokens=9) for _ in range(2)]

        for stream in streams:
            assert await anext(stream) == TextDelta("a", 1)

        assert (len(fake.answers), len(second.answers)) == (1, 1)
        for stream in streams:
            await stream.aclose()


async def test_refused_everywhere(make_llm: MakeLlm, closed_port: str) -> None:
    """Both tries in vain."""
    for client in (make_llm(closed_port, model=MODEL), make_llm(closed_port)):
        _, error = await read_until_error(client)
        assert isinstance(error, ModelUnavailable)
        assert error.code == "model_unavailable"
        with pytest.raises(ModelUnavailable):
            await client.check(client.endpoints[0])


async def test_no_such_host(make_llm: MakeLlm) -> None:
    """The name does not resolve."""
    _, error = await read_until_error(make_llm("http://no-such-host.invalid", model=MODEL))

    assert error.code == "model_unavailable"


async def test_tls_with_a_server_that_has_none(fake: ModelServer, make_llm: MakeLlm) -> None:
    url = fake.url.replace("http:", "https:")

    _, error = await read_until_error(make_llm(url, model=MODEL))

    assert error.code == "model_unavailable"


@pytest.mark.parametrize("step", [Reset(), Close()])
async def test_cut_in_the_middle(fake: ModelServer, make_llm: MakeLlm, step: Step) -> None:
    """The part that came is kept, and nobody asks again behind it."""
    fake.script(Say(("kept ", "text"), together=True), Hold(), step)

    text, error = await read_until_error(make_llm(), fake.release)

    assert (text, type(error), error.code) == ("kept text", ModelFailed, "model_interrupted")
    assert len(fake.answers) == 1


@pytest.mark.parametrize("kind", ["openai", "tgi"])
async def test_end_without_a_finish(fake: ModelServer, make_llm: MakeLlm, kind: str) -> None:
    """A body that ends well says nothing about the answer."""
    fake.script(Say(("half an",)))

    text, error = await read_until_error(make_llm(kind=kind))

    assert (text, error.code) == ("half an", "model_interrupted")


async def test_broken_chunks_of_http(fake: ModelServer, make_llm: MakeLlm) -> None:
    """The server falls out of HTTP itself."""
    fake.script(Say(("kept",)), Hold(), Raw(b"x", size=1), Close())

    text, error = await read_until_error(make_llm(), fake.release)

    assert (text, error.code) == ("kept", "model_interrupted")


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "boom", "type": "InternalServerError", "code": 500}},
        {"error": {"message": "boom", "type": None, "param": None, "code": "500"}},
        {"error": "boom"},
        {"object": "error", "message": "boom", "type": "BadRequestError", "code": 400},
    ],
)
async def test_error_event(fake: ModelServer, make_llm: MakeLlm, said: dict[str, object]) -> None:
    """The text in the same read is kept; no retry, before the first token or after."""
    fake.script(Say(("kept",)), Raw(event(said)), End())
    text, error = await read_until_error(make_llm())
    assert (text, error.code, error.detail) == ("kept", "model_failed", "boom")

    fake.script(Raw(event(said)), End())
    text, error = await read_until_error(make_llm())
    refused = said.get("code") == 400  # before the first token it means what a status means
    assert (text, error.code) == ("", "model_refused" if refused else "model_failed")
    assert len(fake.answers) == 2


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        ("Request failed during generation", "generation", "model_failed"),
        (LONG_TGI, "validation", "context_too_long"),
        ("Model is overloaded", "overloaded", "model_busy"),
    ],
)
async def test_tgi_error_event(
    fake: ModelServer, make_llm: MakeLlm, message: str, kind: str, code: str
) -> None:
    """TGI refuses inside a stream that it began with 200."""
    fake.script(ErrorEvent(message, kind=kind))

    _, error = await read_until_error(make_llm(kind="tgi"))

    assert error.code == code


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_server_gives_up(fake: ModelServer, make_llm: MakeLlm, reason: str) -> None:
    """VLLM's finish reasons that are none."""
    fake.script(Say(("kept",)), End(reason))

    text, error = await read_until_error(make_llm())

    assert (text, error.code) == ("kept", "model_interrupted")


@pytest.mark.parametrize(
    "message",
    [
        "cannot answer: my private question about salaries",
        "[{'msg': 'bad', 'input': {'messages': [{'content': 'my private question about salar",
    ],
)
async def test_the_prompt_is_never_in_the_detail(
    fake: ModelServer, make_llm: MakeLlm, message: str
) -> None:
    """N7: the detail goes to the log."""
    fake.script(Status(400, message))
    turns = [ChatTurn("user", "my private question about salaries")]

    with pytest.raises(ModelRefused) as caught:
        await anext(make_llm().stream(turns, max_tokens=9))

    assert "private" not in caught.value.detail + str(caught.value.params)


async def test_a_name_that_is_gone_is_asked_again(fake: ModelServer, make_llm: MakeLlm) -> None:
    """The model server was restarted with another model."""
    client = make_llm()
    fake.script_once(Status(404, "The model `old` does not exist."))

    _, error = await read_until_error(client)
    assert error.code == "model_unknown"
    assert (await read(client))[0] == ANSWER

    assert [each.path for each in fake.requests].count("/v1/models") == 2
