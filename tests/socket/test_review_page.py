"""The review page over the raw socket: what its frames bring, and what they must not."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent
from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question

REASON = "Жалоба на грубый ответ"
NAMES = ("alice", "Алиса", "Петрова")
PARTS = ("alic", "Алис", "Петров", "етрова")  # none of them holds a name


def rows(page: PageClient) -> list[dict[str, Any]]:
    return page.view("review_list_state").get("rows", [])


def told(page: PageClient) -> str:
    return "".join(frame.text for frame in page.frames)


async def loaded(page: PageClient, name: str, **payload: Any) -> None:
    """Sends an event that leads to another address. Returns once the page there is loaded."""
    page.view("state")["is_hydrated"] = False
    await page.send_event(name, **payload)
    await page.wait_for(lambda: page.view("state")["is_hydrated"])


async def applied(page: PageClient, **values: str) -> str:
    """Narrows the list by what is typed. Returns what the server sent for it."""
    begin = len(page.frames)
    form = {"query": "", "user": "", "model": ""} | values
    await loaded(page, "review_list_state.apply", form=form)
    return "".join(frame.text for frame in page.frames[begin:])


def without_echo(text: str, name: str) -> str:
    """The frames without what was typed into the field of the user, and its address."""
    for echo in (f'"user":"{name}"', f"user={name}"):
        text = text.replace(echo, "")
    return text


async def opened(page: PageClient, dialog_id: str) -> dict[str, Any]:
    """The dialog's view, once it is open."""
    await loaded(page, "review_dialog_state.show", dialog_id=dialog_id)
    view = page.view("review_dialog_state")
    await page.wait_for(lambda: view["dialog_id"] == dialog_id)
    return view


async def events(app: AppProcess, action: str) -> list[AuditEvent]:
    database = Database(app.database_url)
    async with database.read() as session:
        query = sa.select(AuditEvent).where(col(AuditEvent.action) == action)
        found = list(await session.scalars(query.order_by(col(AuditEvent.id))))
    await database.close()
    return found


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_no_frame_brings_a_name_before_the_reveal(
    engine: str, start_app: StartApp, open_page: OpenPage
) -> None:
    """Under pseudonyms: list, search, dialog, branches, refused reasons; then the name, audited."""
    app = start_app(engine, review_mode="pseudonymous")
    alice = await open_page("alice", at=app)
    await alice.ask(question("tokens=3", words="тайный-вопрос"))
    page = await open_page("rita", "/admin/dialogs", at=app)
    (row,) = rows(page)
    assert (row["name"], row["username"]) == ("", "")
    await applied(page, query="тайный")
    assert [piece["text"] for piece in rows(page)[0]["pieces"] if piece["hit"]] == ["тайный"]
    for part in PARTS:
        await applied(page, user=part)
        assert rows(page) == []
    for name in NAMES:
        assert name not in told(page)
    for name in NAMES:
        sent = await applied(page, user=name)
        assert name in sent
        for each in NAMES:
            assert each not in without_echo(sent, name)
        assert rows(page) == []
    sent = await applied(page)
    assert rows(page)[0]["id"] == row["id"]
    for name in NAMES:
        assert name not in sent
    page.frames.clear()
    view = await opened(page, row["id"])
    assert view["messages"][0]["text"]
    await page.send_event("review_dialog_state.choose_answer", answer_id=view["messages"][1]["id"])
    await page.send_event("review_dialog_state.load_older")
    await page.send_event("review_work_state.take")
    await page.send_event("review_work_state.reveal", form={"reason": "short"})
    await page.wait_for(lambda: view["error_code"] == "bad_reason")
    for name in NAMES:
        assert name not in told(page)
    assert await events(app, "dialog_reveal") == []

    await page.send_event("review_work_state.reveal", form={"reason": REASON})
    await page.wait_for(lambda: view["revealed"])
    assert (view["head"]["name"], view["head"]["username"]) == ("Алиса Петрова", "alice")
    (event,) = await events(app, "dialog_reveal")
    assert (event.actor_name, event.reason) == ("rita", REASON)
    assert rows(page) == [] or rows(page)[0]["name"] == ""
    await page.open("/admin/dialogs")
    assert rows(page)[0]["name"] == ""


async def test_a_user_gets_nothing_of_a_page_that_another_opened(
    open_page: OpenPage, app: AppProcess
) -> None:
    """Bob names the handlers with Alice's ids: no frame brings a word of hers."""
    alice = await open_page("alice")
    answer = await alice.ask(question("tokens=3", words="canary-review"))
    bob = await open_page("bob")
    begin = len(bob.frames)
    for name, payload in (
        ("review_dialog_state.open", {}),
        ("review_dialog_state.show", {"dialog_id": alice.dialog_id}),
        ("review_work_state.judge", {"message_id": answer["id"], "verdict": "wrong"}),
        ("review_list_state.choose", {"name": "query", "wanted": "canary"}),
        ("review_keys_state.press", {"key": "Enter"}),
    ):
        await bob.send_event(name, **payload)
    await bob.round_trip()
    brought = "".join(frame.text for frame in bob.frames[begin:])
    assert "canary" not in brought
    assert "review_list_state" not in brought
    targets = {each.target for each in await events(app, "access") if each.actor_name == "bob"}
    assert "review_dialog_state.show" in targets


async def test_the_keys_work_one_after_the_other(open_page: OpenPage) -> None:
    """Move, open, take, judge, close: as fast as they can be typed."""
    alice = await open_page("alice")
    await alice.ask(question("tokens=3"))
    page = await open_page("rita", "/admin/dialogs")
    for key in ("j", "Enter", "t", "2", "c"):
        await page.send_event("review_keys_state.press", key=key)
    view = page.view("review_dialog_state")
    await page.wait_for(lambda: view["head"] and view["head"]["state"] == "closed")
    assert view["dialog_id"] == alice.dialog_id
    assert view["head"]["verdict"] == "wrong"
    assert view["messages"][-1]["judge"] == "Рита Орлова"
    assert rows(page)[0]["state"] == "closed"
    for key in ("?", "Escape", "Escape"):
        await page.send_event("review_keys_state.press", key=key)
    await page.wait_for(lambda: view["dialog_id"] == "")
    assert page.view("review_keys_state")["shown"] is False


async def test_arguments_of_the_right_type_may_still_be_nonsense(
    open_page: OpenPage, app: AppProcess
) -> None:
    """A reviewer's own socket: nothing of it is a bug."""
    alice = await open_page("alice")
    await alice.ask(question("tokens=3"))
    page = await open_page("rita", "/admin/dialogs")
    await opened(page, alice.dialog_id)
    log = LogMark(app)
    nonsense = ("", "x", "\x00", "' OR 1=1", "\ud800", "я" * 20_000)
    for text in nonsense:
        for name, payload in (
            ("review_list_state.choose", {"name": text, "wanted": text}),
            *[
                ("review_list_state.choose", {"name": each, "wanted": text})
                for each in ("query", "user", "state", "since", "mine", "department")
            ],
            ("review_list_state.apply", {"form": {"query": text, "user": text, "model": text}}),
            ("review_list_state.apply", {"form": {"query": [text], "user": {"a": 1}}}),
            ("review_list_state.load_more", {}),
            ("review_list_state.clear", {}),
            ("review_dialog_state.choose_answer", {"answer_id": text}),
            ("review_work_state.judge", {"message_id": text, "verdict": text}),
            ("review_work_state.add_note", {"form": {"note": text}}),
            ("review_work_state.add_note", {"form": {"note": 5}}),
            ("review_work_state.reveal", {"form": {"reason": text}}),
            ("review_keys_state.press", {"key": text}),
            ("review_dialog_state.show", {"dialog_id": text}),
        ):
            await page.send_event(name, **payload)
        await page.round_trip()
        await opened(page, alice.dialog_id)
    assert log.bugs() == []


@pytest.mark.parametrize("mode", ["named", "off"])
async def test_the_mode_is_the_installations(
    mode: str, start_app: StartApp, open_page: OpenPage
) -> None:
    app = start_app(review_mode=mode)
    alice = await open_page("alice", at=app)
    await alice.ask(question("tokens=3"))
    page = await open_page("rita", f"/admin/dialogs?dialog={alice.dialog_id}", at=app)
    view = page.view("review_list_state")
    assert view["mode"] == mode
    if mode == "off":
        assert (view["error_code"], view["rows"]) == ("review_off", [])
        assert page.view("review_dialog_state")["messages"] == []
    else:
        assert rows(page)[0]["name"] == "Алиса Петрова"
        assert page.view("review_dialog_state")["dialog_id"] == alice.dialog_id
