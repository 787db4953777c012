"""Files on the review page over the raw socket: who may open one, and what of it is seen where."""

import uuid
from typing import Any

import pytest

from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question
from tests.socket.test_files import SECRET, upload
from tests.socket.test_review_page import REASON, events, opened

NAME = "petrova-passport.txt"


async def sent(page: PageClient) -> tuple[str, str]:
    """A question with a file. Returns the ids of the dialog and of the file."""
    file_id, text = await upload(page, NAME), question("tokens=3")
    await page.send_event(
        "conversation_state.send",
        text=text,
        length=len(text),
        send_id=str(uuid.uuid4()),
        files=[file_id],
    )
    await page.wait_for(lambda: page.messages() and not page.running)
    return page.dialog_id, file_id


def brought(page: PageClient) -> str:
    return "".join(frame.text for frame in page.frames)


def preview(page: PageClient) -> dict[str, Any]:
    return page.view("review_file_state")


async def test_each_opening_is_audited_and_shown_to_its_user(
    open_page: OpenPage, app: AppProcess
) -> None:
    alice = await open_page("alice")
    dialog_id, file_id = await sent(alice)
    page = await open_page("rita", "/admin/dialogs")
    view = await opened(page, dialog_id)
    (file,) = view["messages"][0]["files"]
    assert (file["name"], file["can_open"]) == (NAME, True)
    assert [each["id"] for each in view["messages"][1]["used"]] == [file_id]
    assert SECRET not in brought(page)
    for looks in (1, 2):
        await page.send_event("review_file_state.open", file_id=file_id, page=1)
        await page.round_trip()
        assert SECRET in preview(page)["shown"]["text"]
        await page.send_event("review_file_state.turn", step=1)
        await page.round_trip()
        seen = [each for each in await events(app, "file_read") if each.target == dialog_id]
        assert [(each.actor_name, each.details) for each in seen] == [
            ("rita", f"file={file_id}")
        ] * looks
    content = f"/admin/api/dialogs/{dialog_id}/files/{file_id}/content"
    async with page.http("GET", content) as answer:
        assert (answer.status, SECRET in await answer.text()) == (200, True)
    async with page.http("GET", content, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
        assert answer.status == 401
    await alice.open("/settings")
    readers = alice.view("readers_state")["readers"][:4]
    assert [each["action"] for each in readers] == ["file_read"] * 3 + ["dialog_read"]
    assert {each["name"] for each in readers} == {"Рита Орлова"}
    await page.open("/admin/dialogs")
    assert preview(page)["shown"]["text"] == ""


async def test_a_user_gets_nothing(open_page: OpenPage, app: AppProcess) -> None:
    """Neither Bob nor, in her review, Alice; and a reviewer none of another dialog."""
    alice = await open_page("alice")
    dialog_id, file_id = await sent(alice)
    bob, rita = await open_page("bob"), await open_page("rita", "/admin/dialogs")
    for page in (bob, rita):
        await page.send_event("review_dialog_state.show", dialog_id=dialog_id)
        await page.round_trip()
    await bob.send_event("review_file_state.open", file_id=file_id, page=1)
    await bob.send_event("review_file_state.turn", step=1)
    await bob.round_trip()
    content = f"/admin/api/dialogs/{dialog_id}/files/{file_id}/content"
    for query in ("", "?thumbnail=true", "?picture=0"):
        async with bob.http("GET", content + query) as answer:
            assert answer.status == 403
    assert SECRET not in brought(bob)
    assert NAME not in brought(bob)
    other = await upload(alice, "other.txt", "not sent")
    for odd in (other, str(uuid.uuid4())):
        await rita.send_event("review_file_state.open", file_id=odd, page=1)
        await rita.wait_for(lambda: preview(rita)["error_code"] == "file_gone")
    for odd in ("x", "", None, 7, [file_id]):
        await rita.send_event("review_file_state.open", file_id=odd, page=odd)
        await rita.send_event("review_file_state.turn", step=odd)
    await rita.round_trip()
    assert preview(rita)["shown"]["file"]["id"] == ""
    assert [each for each in await events(app, "file_read") if each.target == dialog_id] == []


async def test_after_a_reveal_only(start_app: StartApp, open_page: OpenPage) -> None:
    app = start_app(review_mode="pseudonymous")
    dialog_id, file_id = await sent(await open_page("alice", at=app))
    page = await open_page("rita", "/admin/dialogs", at=app)
    view = await opened(page, dialog_id)
    assert view["messages"][0]["files"][0]["name"] == "*.txt"
    await page.send_event("review_file_state.open", file_id=file_id, page=1)
    await page.wait_for(lambda: preview(page)["error_code"] == "reveal_first")
    content = f"/admin/api/dialogs/{dialog_id}/files/{file_id}/content"
    async with page.http("GET", content) as answer:
        assert answer.status == 403
    assert SECRET not in brought(page)
    assert NAME not in brought(page)
    assert await events(app, "file_read") == []
    await page.send_event("review_work_state.reveal", form={"reason": REASON})
    await page.wait_for(lambda: view["messages"][0]["files"][0]["name"] == NAME)
    await page.send_event("review_file_state.open", file_id=file_id, page=1)
    await page.wait_for(lambda: SECRET in preview(page)["shown"]["text"])
    (event,) = await events(app, "file_read")
    assert event.actor_name == "rita"


@pytest.mark.parametrize("who", ["rita", "carol"])
async def test_where_review_is_off_nobody_opens_one(
    who: str, start_app: StartApp, open_page: OpenPage
) -> None:
    """An administrator neither."""
    app = start_app(review_mode="off")
    dialog_id, file_id = await sent(await open_page("alice", at=app))
    page = await open_page(who, f"/admin/dialogs?dialog={dialog_id}", at=app)
    await page.send_event("review_dialog_state.show", dialog_id=dialog_id)
    await page.send_event("review_file_state.open", file_id=file_id, page=1)
    await page.round_trip()
    async with page.http(
        "GET", f"/admin/api/dialogs/{dialog_id}/files/{file_id}/content"
    ) as answer:
        assert answer.status == 403
    assert SECRET not in brought(page)
    assert NAME not in brought(page)
