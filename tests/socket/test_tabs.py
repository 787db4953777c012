"""All open pages of a user follow what is done to his dialogs, wherever it is done."""

import asyncio
import uuid

import pytest

from tests.cast import PASSWORDS
from tests.conftest import OpenPage, StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question
from tests.fakes.services import RedisServer

FOLLOWED_S = 2.0


async def seen(page: PageClient, test, within_s: float = FOLLOWED_S) -> None:
    await page.wait_for(test, within_s)


async def test_a_page_follows_its_other_tabs(open_page: OpenPage) -> None:
    """Question, another answer, the arrows between answers, and a page of no dialog."""
    first = await open_page("alice")
    answer = await first.ask(question("tokens=3"))
    dialog_id = first.dialog_id
    second = await open_page("alice", f"/c/{dialog_id}")
    settings = await open_page("alice", "/settings")
    await second.ask(question("tokens=3"))
    await seen(first, lambda: len(first.messages()) == 4 and not first.running)
    assert first.messages() == second.messages()
    await first.send_event("conversation_state.regenerate", answer_id=first.messages()[-1]["id"])
    await seen(second, lambda: second.messages()[-1]["sibling"] == 2)
    await second.wait_for(lambda: not second.running)
    await second.send_event(
        "conversation_state.choose_answer", answer_id=second.messages()[-1]["siblings"][0]
    )
    await seen(first, lambda: first.messages()[-1]["sibling"] == 1)
    await second.send_event("conversation_state.regenerate", answer_id=answer["id"])
    await seen(first, lambda: len(first.messages()) == 2)
    await first.wait_for(lambda: not first.running)
    name = f"name {uuid.uuid4()}"
    await second.send_event("dialogs_state.rename", dialog_id=dialog_id, title=name)
    for page in (first, settings):
        await seen(page, lambda page=page: name in page.titles())
    await seen(first, lambda: first.view("chat_state")["title"] == name)
    await settings.send_event("dialogs_state.delete", dialog_id=dialog_id)
    await seen(first, lambda: first.error_code == "dialog_not_found")
    assert first.messages() == []
    assert name not in second.titles() or await second.round_trip() >= 0


async def test_nobody_follows_somebody_elses_dialogs(open_page: OpenPage) -> None:
    """N7. Bob's page gets no frame for what Alice does."""
    bob = await open_page("bob")
    alice, other = await open_page("alice"), await open_page("alice")
    await bob.round_trip()
    begin = len(bob.frames)
    await alice.ask(question("tokens=3", words="canary-tabs"))
    await seen(other, lambda: any("canary-tabs" in title for title in other.titles()))
    await bob.round_trip()
    frames = [each.text for each in bob.frames[begin:] if "tab_state.beat" not in each.text]
    assert not any("canary-tabs" in text or "part_0" in text for text in frames)


@pytest.mark.parametrize("channel", ["page", "api"])
@pytest.mark.parametrize("redis", ["there", "gone"])
async def test_a_page_at_another_process_follows(
    channel: str, redis: str, start_app: StartApp, open_page: OpenPage, redis_server: RedisServer
) -> None:
    """The answer grows there too; once Redis is lost the database is enough."""
    one = start_app("postgresql", redis_url=redis_server.url)
    two = start_app(
        "postgresql",
        redis_url=redis_server.url,
        database_url=one.database_url,
        secret_key=one.settings["secret_key"],
    )
    here = await open_page("alice", at=one)
    await here.ask(question("tokens=3"))
    if redis == "gone":
        redis_server.kill()
    there = await open_page("alice", f"/c/{here.dialog_id}", at=two)
    text = question("tokens=20,delay=0.05")
    if channel == "page":
        await here.begin(text)
    else:
        async with client_of(one, await new_token(one, "alice", PASSWORDS["alice"])) as client:
            body = {"prompt": text, "dialog_id": here.dialog_id}
            asking = asyncio.create_task(client.post("/ask", json=body))
            await seen(there, lambda: len(there.messages()) == 4)
            await asking
    await seen(there, lambda: len(there.messages()) == 4)
    await there.wait_for(lambda: not there.running)
    assert there.messages()[-1]["text"].startswith("w0 w1")
    await there.send_event("dialogs_state.delete", dialog_id=there.dialog_id)
    await seen(here, lambda: here.error_code == "dialog_not_found")
