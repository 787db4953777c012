"""Files over the raw socket: whatever ids a page sends, it sees its user's files only."""

import asyncio
import uuid
from typing import Any

import aiohttp
import pytest

from tests.conftest import OpenPage
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question

SECRET = "canary-of-the-file"


async def upload(page: PageClient, name: str = "secret.txt", text: str = SECRET) -> str:
    """Uploads a file as the page's script does, and waits until it is read. Returns its id."""
    form = aiohttp.FormData()
    form.add_field("file", text.encode(), filename=name, content_type="text/plain")
    async with aiohttp.ClientSession(cookie_jar=page.jar) as session:
        headers = {"Origin": page.url}
        async with session.post(f"{page.url}/files", data=form, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
            file_id = str((await answer.json())["id"])
    await page.send_event("draft_files_state.show", file_ids=[file_id])
    await page.wait_for(lambda: states(page) == ["done"])
    return file_id


def states(page: PageClient) -> list[str]:
    return [row["state"] for row in page.view("draft_files_state")["files"]]


def everything(page: PageClient) -> str:
    return "".join(frame.text for frame in page.frames)


async def test_strangers_see_nothing_and_change_nothing(open_page: OpenPage) -> None:
    alice, bob = await open_page("alice"), await open_page("bob")
    file_id = await upload(alice)
    await bob.send_event("draft_files_state.show", file_ids=[file_id])
    await bob.wait_for(lambda: states(bob) == ["gone"])
    await bob.send_event("preview_state.open", file_id=file_id, page=1)
    await bob.wait_for(lambda: bob.view("preview_state")["error_code"] == "file_gone")
    await bob.send_event("draft_files_state.discard", file_id=file_id)
    await bob.send_event("my_files_state.delete", file_id=file_id)
    await bob.wait_for(lambda: bob.view("my_files_state")["error_code"] == "not_found")
    text = question("tokens=3")
    await bob.send_event(
        "conversation_state.send",
        text=text,
        length=len(text),
        send_id=str(uuid.uuid4()),
        key="k",
        place="/",
        files=[file_id],
    )
    await bob.wait_for(lambda: bob.view("chat_state")["refused"] == "k")
    assert bob.messages() == []
    assert SECRET not in everything(bob)
    assert "secret.txt" not in everything(bob)
    await alice.send_event("preview_state.open", file_id=file_id, page=1)
    await alice.wait_for(lambda: SECRET in alice.view("preview_state")["shown"]["text"])


async def test_a_file_of_a_question_is_not_discarded(open_page: OpenPage) -> None:
    """Whoever removes a chip deletes what nobody asked about, and nothing else."""
    page = await open_page("alice")
    file_id, other = await upload(page), await upload(page, "other.txt", "other")
    text = question("tokens=3")
    await page.send_event(
        "conversation_state.send",
        text=text,
        length=len(text),
        send_id=str(uuid.uuid4()),
        files=[file_id],
    )
    await page.wait_for(lambda: page.messages() and not page.running)
    assert [row["name"] for row in page.messages()[0]["files"]] == ["secret.txt"]
    for each in (file_id, other):
        await page.send_event("draft_files_state.discard", file_id=each)
    await page.send_event("draft_files_state.show", file_ids=[file_id, other])
    await page.wait_for(lambda: states(page) == ["done", "gone"])


@pytest.mark.parametrize(
    "odd",
    [None, "x", 7, {}, [None], [7], ["x"], ["../../etc/passwd"], ["0" * 32] * 11, [[]]],
    ids=repr,
)
async def test_odd_ids_do_nothing(open_page: OpenPage, odd: Any) -> None:
    """Neither in the list of chips nor in a question."""
    page = await open_page("alice")
    text = question("tokens=3")
    if odd is not None:  # a question may name none
        await page.send_event(
            "conversation_state.send",
            text=text,
            length=len(text),
            send_id=str(uuid.uuid4()),
            files=odd,
        )
    await page.send_event("draft_files_state.show", file_ids=odd)
    await page.send_event("preview_state.open", file_id=odd, page=odd)
    await page.send_event("draft_files_state.discard", file_id=odd)
    await page.send_event("ui_state.toggle_sidebar")
    await page.wait_for(lambda: page.view("ui_state")["sidebar_open"])
    await asyncio.sleep(0)
    assert page.messages() == []
    assert page.view("draft_files_state")["files"] == []
