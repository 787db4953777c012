"""The page's branches by its socket: edit, continue, and what no page would send."""

import uuid

from genai_app.db.database import Database
from genai_app.models import MAX_PROMPT_CHARS
from tests.conftest import OpenPage
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.page_client import PageClient
from tests.fakes.questions import asked, question
from tests.fakes.rows import count_messages, list_questions, message_row

CUT = (Say(("one ", "two ")), End("length"))


async def edit(
    page: PageClient, question_id: str, text: str, *, send_id: str = "", key: str = ""
) -> None:
    await page.send_event(
        "branch_state.edit",
        question_id=question_id,
        text=text,
        length=len(text),
        send_id=send_id or str(uuid.uuid4()),
        key=key,
    )


async def test_a_question_is_edited(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """N1, N4. The field is open until the new question is committed; sent twice it is one."""
    page = await open_page("alice")
    first = await page.ask(question("tokens=3"))
    old = page.messages()[0]
    await page.send_event("branch_state.begin_edit", question_id=old["id"])
    await page.wait_for(lambda: page.view("branch_state")["edited"] == old["id"])
    text, send_id = question("tokens=3"), str(uuid.uuid4())
    for _ in range(2):
        await edit(page, old["id"], text, send_id=send_id)
    await page.wait_for(lambda: page.view("branch_state").get("accepted") == send_id)
    await page.wait_for(lambda: page.messages()[-1]["id"] != first["id"] and not page.running)
    assert page.view("branch_state")["edited"] == ""
    new = page.messages()[0]
    assert (new["text"], new["sibling"], new["siblings"]) == (text, 2, [old["id"], new["id"]])
    assert len(await list_questions(app_db, text)) == 1
    assert len(asked(model, text)) == 1
    await page.send_event("conversation_state.choose_answer", answer_id=old["id"])
    await page.wait_for(lambda: page.messages()[-1]["id"] == first["id"])
    assert page.messages()[0]["sibling"] == 1


async def test_a_hit_in_another_branch_opens_there(open_page: OpenPage) -> None:
    """A dialog that was found by a message opens at the branch of that message. Who then looks at
    another branch stays there, also when the connection comes back."""
    page = await open_page("alice")
    first = await page.ask(question("tokens=3"))
    old, path = page.messages()[0], page.path
    await edit(page, old["id"], question("tokens=3"))
    await page.wait_for(lambda: page.messages()[-1]["id"] != first["id"] and not page.running)
    new = page.messages()[0]
    other = await open_page("alice", f"{path}?at={first['id']}")
    assert [row["id"] for row in other.messages()] == [old["id"], first["id"]]
    assert other.error_code == ""
    await other.send_event("conversation_state.choose_answer", answer_id=new["id"])
    await other.wait_for(lambda: other.messages()[0]["id"] == new["id"])
    await other.open(other.path)
    assert other.messages()[0]["id"] == new["id"]


async def test_a_hit_that_is_of_another_dialog_changes_nothing(open_page: OpenPage) -> None:
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    path = page.path
    await page.open("/")
    elsewhere = await page.ask(question("tokens=3"))
    await page.open(f"{path}?at={elsewhere['id']}")
    assert page.error_code == "hit_gone"


async def test_another_text_under_the_same_id_is_asked_once(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """N4. The page lost the answer to an edit, and its user went on writing: both are questions,
    and a repeat of the second one is no third."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    old = page.messages()[0]["id"]
    texts, send_id = [question("tokens=3"), question("tokens=3")], str(uuid.uuid4())
    for text in (*texts, texts[1]):
        await edit(page, old, text, send_id=send_id)
        await page.round_trip()
        await page.wait_for(lambda: not page.running)
    assert [len(await list_questions(app_db, text)) for text in texts] == [1, 1]
    assert [len(asked(model, text)) for text in texts] == [1, 1]


async def test_a_refused_edit_keeps_its_field(open_page: OpenPage, app_db: Database) -> None:
    """N6. Too long, empty, while an answer runs: nothing is stored, the field stays open."""
    page = await open_page("alice")
    await page.ask(question("tokens=3"))
    old = page.messages()[0]["id"]
    await page.send_event("branch_state.begin_edit", question_id=old)
    await page.begin(question("tokens=400,delay=0.05"))
    before = await count_messages(app_db)
    for text, code in (
        ("x" * (MAX_PROMPT_CHARS + 1), "prompt_too_long"),
        ("  ", "empty_prompt"),
        ("another", "answer_running"),
    ):
        key = uuid.uuid4().hex
        await edit(page, old, text, key=key)
        await page.wait_for(lambda key=key: page.view("branch_state").get("declined") == key)
        await page.wait_for(lambda code=code: page.error_code == code)
    assert page.view("branch_state")["edited"] == old
    assert await count_messages(app_db) == before
    await page.send_event("conversation_state.stop", answer_id=page.messages()[-1]["id"])
    await page.wait_for(lambda: not page.running)


async def test_a_cut_answer_goes_on_in_all_tabs(
    open_page: OpenPage, app_db: Database, model: ModelServer
) -> None:
    """The same row, growing in the other tab too; two clicks are one run."""
    page = await open_page("alice")
    model.script_once(*CUT)
    answer = await page.ask(question())
    assert (answer["status"], answer["can_go_on"]) == ("truncated", True)
    other = await open_page("alice", page.path)
    hold = uuid.uuid4().hex
    model.script_once(Say(("three ",)), Hold(hold), Say(("four",)), End())
    count = len(model.answers)
    for each in (page, page, other):
        await each.send_event("branch_state.continue_answer", answer_id=answer["id"])
    for each in (page, other):
        await each.wait_for(lambda e=each: e.live_text() == "one two three ")
    assert len(model.answers) == count + 1
    model.release(hold)
    for each in (page, other):
        await each.wait_for(lambda e=each: not e.running)
        last = each.messages()[-1]
        assert (last["id"], last["text"], last["status"], last["can_go_on"]) == (
            *(answer["id"], "one two three four", "complete", False),
        )
    assert (await message_row(app_db, answer["id"])).text == "one two three four"


async def test_arguments_of_the_right_type_may_still_be_nonsense(
    open_page: OpenPage, app: AppProcess, app_db: Database
) -> None:
    page, other = await open_page("alice"), await open_page("bob")
    await page.ask(question("tokens=3"))
    await other.ask(question("tokens=3"))
    foreign = other.messages()
    mine = page.messages()
    before, log = await count_messages(app_db), LogMark(app)
    nonsense = ("", "x", "\x00", "' OR 1=1", "\ud800", "я" * 20_000, str(uuid.uuid4()))
    for text in (*nonsense, foreign[0]["id"], foreign[1]["id"], None, 5, ["x"], {"a": 1}):
        for name, payload in (
            ("branch_state.begin_edit", {"question_id": text}),
            ("branch_state.continue_answer", {"answer_id": text}),
            ("conversation_state.choose_answer", {"answer_id": text}),
            ("conversation_state.regenerate", {"answer_id": text, "variant": "shorter"}),
            ("conversation_state.regenerate", {"answer_id": mine[1]["id"], "variant": text or 0}),
            (
                "branch_state.edit",
                {"question_id": text, "text": "words", "length": 5, "send_id": str(uuid.uuid4())},
            ),
            (
                "branch_state.edit",
                {"question_id": mine[0]["id"], "text": "words", "length": text, "send_id": text},
            ),
            (
                "branch_state.edit",
                {"question_id": mine[0]["id"], "text": text, "length": "5", "send_id": text},
            ),
        ):
            await page.send_event(name, **payload)
    await page.round_trip()
    assert await count_messages(app_db) == before
    assert page.messages() == mine
    assert page.view("branch_state").get("edited", "") == ""
    assert log.bugs() == []
