"""How long a model server is waited for, and that it is let go then. Time itself is tested here."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from genai_app.adapters.llm import client as llm
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import Finish, TextDelta
from genai_app.errors import AppError, ModelUnavailable
from tests.fakes.model_reading import TURNS, MakeLlm, read_until_error
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hang, Hold, Raw, Say, Step, Wait
from tests.fakes.model_wire import MODEL

pytest_plugins = ("tests.fakes.model_fixtures",)

PINGS: tuple[Step, ...] = (Wait(0.05), Raw(b":\n\n")) * 40


async def read_in_time(client: LlmClient) -> tuple[str, AppError]:
    """`read_until_error`, where the error is to come within 1.5 s."""
    async with asyncio.timeout(1.5):
        return await read_until_error(client)


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A URL that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A URL whose packets get no answer: the queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        address = listening.getsockname()
        fillers = [socket.socket() for _ in range(2)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("steps", [(Hang(),), (Say(()), Hang()), (Say(("",)), Hang())])
async def test_first_token_deadline(
    fake: ModelServer, make_llm: MakeLlm, steps: tuple[Step, ...]
) -> None:
    """No token in time, whether a status came or not; the connection is closed."""
    fake.script(*steps)

    text, error = await read_in_time(make_llm(first_token_timeout_s=0.2))

    assert (text, type(error), error.code) == ("", ModelUnavailable, "model_timeout")
    assert await asyncio.to_thread(fake.answers[0].wait_aborted, 1.0)
    assert len(fake.answers) == 1


@pytest.mark.parametrize("noise", [(), PINGS])
async def test_idle_deadline(fake: ModelServer, make_llm: MakeLlm, noise: tuple[Step, ...]) -> None:
    """Silence after the first token; comments of a proxy or server are silence too."""
    fake.script(Say(("kept",)), *noise, Hang())

    text, error = await read_in_time(make_llm(idle_timeout_s=0.2))

    assert (text, error.code) == ("kept", "model_interrupted")
    assert await asyncio.to_thread(fake.answers[0].wait_aborted, 1.0)


async def test_a_slow_reader_is_not_the_servers_silence(
    fake: ModelServer, make_llm: MakeLlm
) -> None:
    """The one who reads may take longer than the idle deadline."""
    fake.script(Say(("a",)), Hold(), Say(("b",)), End())
    stream = make_llm(idle_timeout_s=0.2, first_token_timeout_s=0.2).stream(TURNS, max_tokens=9)
    assert await anext(stream) == TextDelta("a", 1)

    await asyncio.sleep(0.4)  # the time itself is what is tested
    fake.release()

    assert isinstance([item async for item in stream][-1], Finish)


async def test_total_deadline(fake: ModelServer, make_llm: MakeLlm) -> None:
    """An endless answer ends."""
    fake.script(Say(("more ",) * 10_000, delay_s=0.01), End())

    text, error = await read_in_time(make_llm(total_timeout_s=0.4))

    assert text.startswith("more ")
    assert error.code == "model_total_timeout"
    assert await asyncio.to_thread(fake.answers[0].wait_aborted, 1.0)


async def test_total_deadline_before_the_first_token(fake: ModelServer, make_llm: MakeLlm) -> None:
    fake.script(Hang())

    _, error = await read_in_time(make_llm(total_timeout_s=0.2))

    assert error.code == "model_total_timeout"


async def test_connect_deadline(make_llm: MakeLlm, black_hole: str) -> None:
    """Packets that vanish cost the connect deadline, twice, and no more."""
    client = make_llm(black_hole, model=MODEL, connect_timeout_s=0.2)

    _, error = await read_in_time(client)

    assert error.code == "model_unavailable"


async def test_check_waits_two_seconds_at_most(
    make_llm: MakeLlm, silent_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/readyz says so when the server hangs."""
    assert llm.CHECK_TIMEOUT_S == 2.0
    monkeypatch.setattr(llm, "CHECK_TIMEOUT_S", 0.1)

    client = make_llm(silent_port, model=MODEL)
    with pytest.raises(ModelUnavailable):
        await client.check(client.endpoints[0])
