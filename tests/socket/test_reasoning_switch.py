"""The switch for reasoning reaches the model by whatever way a question goes there."""

import uuid
from typing import Any

import pytest

from tests.conftest import OpenPage, StartApp
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question

OFF = {"enable_thinking": False}
CUT = (Say(("one ", "two ")), End("length"))


@pytest.fixture
async def page(start_app: StartApp, open_page: OpenPage) -> PageClient:
    """A page whose user has turned reasoning off, where it is on for all."""
    page = await open_page("alice", at=start_app(llm_reasoning="on"))
    await page.send_event("reasoning_state.toggle")
    await page.wait_for(lambda: page.view("reasoning_state")["choice"] == "off")
    return page


def switch(model: ModelServer) -> Any:
    """What the last call of the model says of reasoning."""
    return model.answers[-1].parameters.get("chat_template_kwargs")


async def test_of_a_question_another_answer_and_an_edit(
    page: PageClient, model: ModelServer
) -> None:
    last = await page.ask(question("tokens=3"))
    assert switch(model) == OFF
    calls = len(model.answers)
    await page.send_event("conversation_state.regenerate", answer_id=last["id"])
    await page.wait_for(lambda: page.messages()[-1]["id"] != last["id"] and not page.running)
    assert len(model.answers) == calls + 1
    assert switch(model) == OFF

    text, last = question("tokens=3"), page.messages()[-1]
    await page.send_event(
        "branch_state.edit",
        question_id=page.messages()[0]["id"],
        text=text,
        length=len(text),
        send_id=str(uuid.uuid4()),
    )
    await page.wait_for(lambda: page.messages()[-1]["id"] != last["id"] and not page.running)
    assert len(model.answers) == calls + 2
    assert switch(model) == OFF


async def test_of_a_continuation(page: PageClient, model: ModelServer) -> None:
    model.script_once(*CUT)
    last = await page.ask(question())
    calls = len(model.answers)
    model.script_once(Say(("three",)), End())
    await page.send_event("branch_state.continue_answer", answer_id=last["id"])
    await page.wait_for(lambda: "three" in page.messages()[-1]["text"] and not page.running)
    assert len(model.answers) == calls + 1
    assert switch(model) == OFF


async def test_of_a_queued_question(page: PageClient, model: ModelServer) -> None:
    """As the switch stood when the question was sent: it may be turned back before its turn."""
    model.script_once(Hold("queued"), Say(), End())
    await page.begin(question())
    calls = len(model.answers)
    await page.send(question("tokens=3"))
    await page.wait_for(lambda: page.view("queued_state")["questions"])
    await page.send_event("reasoning_state.toggle")
    await page.wait_for(lambda: page.view("reasoning_state")["choice"] == "")
    model.release("queued")
    await page.wait_for(lambda: len(page.messages()) == 4 and not page.running)
    assert len(model.answers) == calls + 1
    assert switch(model) == OFF
