"""The model's own context: read from its servers, kept to, and named where something does not fit.
The scripted server counts one token a character, far more than any estimate of ours."""

import uuid
from dataclasses import replace

import pytest

from genai_app.access import Actor
from genai_app.adapters.llm.catalogue import Window
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.models import Status
from genai_app.services.chat.placement import Options
from genai_app.services.dialogs.history import details_of
from tests.fakes.model_context import Context
from tests.fakes.model_reading import MakeLlm
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.fakes.model_steps import Status as Refuse
from tests.unit.talk import MakeTalk, put_dialog, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

SMALL = Context(2048)
LONG = ["It was a long way to go. " * 12] * 20  # 300 characters each
BY_TOKENIZER = SMALL
BY_REFUSAL = replace(SMALL, counts=False)
UNLISTED = replace(SMALL, counts=False, is_listed=False)
TOO_LONG = Refuse(400, "This model's maximum context length is 8192 tokens.")
NO_NUMBERS = replace(SMALL, counts=False, numbers=False)


@pytest.mark.parametrize("context", [BY_TOKENIZER, BY_REFUSAL, UNLISTED, NO_NUMBERS])
async def test_a_dialog_is_never_stuck(
    context: Context, fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """The oldest messages are left out, and as many as is said; the question is always sent."""
    fake.context = context
    talk = await make_talk(context_tokens=None)
    dialog_id, *_ = await put_dialog(talk.db, as_alice, LONG)

    for number in (1, 2):
        fake.script(Say((f"answer {number} ",)), End())
        turn = await talk.answer(as_alice, f"Question {number}?", dialog_id)
        row = await saved(talk.db, turn.answer_id)
        assert (row.status, row.text) == (Status.COMPLETE, f"answer {number} ")
        sent = fake.answers[-1]
        assert sent.messages[-1]["content"] == f"Question {number}?"
        assert sent.messages[0]["role"] == "user"
        assert context.refusal(sent) is None
        assert row.trimmed == len(LONG) + 2 * (number - 1) + 1 - len(sent.messages)
    assert len(sent.messages) > 1, "what fits of the history is sent"


@pytest.mark.parametrize("context", [BY_TOKENIZER, BY_REFUSAL])
async def test_the_answer_gets_what_is_left(
    context: Context, fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """A question of 1,500 tokens leaves 540 of 2,048."""
    fake.context = context
    talk = await make_talk(context_tokens=None, max_tokens=4096)
    turn = await talk.answer(as_alice, "x" * 1500)
    assert (await saved(talk.db, turn.answer_id)).status == Status.COMPLETE
    assert fake.answers[-1].parameters["max_tokens"] == 2048 - 1504


@pytest.mark.parametrize("context", [BY_TOKENIZER, BY_REFUSAL, UNLISTED])
@pytest.mark.parametrize(
    ("text", "prompt", "what"), [("x" * 2500, "", "question"), ("x", "y" * 2500, "instructions")]
)
async def test_what_does_not_fit_is_named(
    text: str,
    prompt: str,
    what: str,
    context: Context,
    fake: ModelServer,
    make_talk: MakeTalk,
    as_alice: Actor,
) -> None:
    """What it is and by how much; nothing is charged, and the dialog goes on."""
    fake.context = context
    talk = await make_talk(context_tokens=None, system_prompt=prompt, rate="5/hour")
    turn = await talk.answer(as_alice, text)
    row = await saved(talk.db, turn.answer_id)
    assert (row.status, row.error_code, row.text) == (Status.FAILED, "context_too_long", "")
    details = details_of(row)
    assert details["what"] == what
    over_by = 2500 - (2048 - 256)
    assert over_by <= details["over_by"] <= over_by + 20
    assert 0.8 * over_by <= details["over_chars"] <= 1.2 * over_by
    assert (await talk.limits.look(as_alice)).remaining == 5
    if what == "question":
        shorter = await talk.answer(as_alice, "Short?", turn.dialog_id)
        assert (await saved(talk.db, shorter.answer_id)).status == Status.COMPLETE


async def test_a_refusal_without_numbers(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """One question, of which nothing can be left out, is not asked again with a guess."""
    talk = await make_talk()
    fake.script_once(TOO_LONG)
    turn = await talk.answer(as_alice, "Hello?")
    row = await saved(talk.db, turn.answer_id)
    assert (row.status, row.error_code) == (Status.FAILED, "context_too_long")
    assert len(fake.answers) == 1


async def test_what_a_client_sent_is_not_cut(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """Who keeps the history knows what may be left out of it."""
    fake.context = SMALL
    talk = await make_talk(context_tokens=None)
    earlier = [ChatTurn("user", "x" * 1500), ChatTurn("assistant", "y" * 1500)]
    turn = await talk.chat.ask(as_alice, "And?", client_id=uuid.uuid4(), earlier=earlier)
    assert (await read(talk.generations.follow(turn.answer_id)))[1] == Status.FAILED
    row = await saved(talk.db, turn.answer_id)
    assert (row.error_code, details_of(row)["what"]) == ("context_too_long", "messages")
    assert fake.answers == []


async def test_the_setting_only_lowers(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    for setting, server, longest in ((1000, 4000, 500), (9000, 4000, 2000), (None, 4000, 2000)):
        fake.context = replace(SMALL, size=server)
        talk = await make_talk(context_tokens=setting, max_tokens=5000)
        await talk.answer(as_alice, f"Hello {setting}?")
        assert fake.answers[-1].parameters["max_tokens"] == longest


async def test_the_least_of_the_servers_and_a_restart(fake: ModelServer, make_llm: MakeLlm) -> None:
    """What a server says is read again after it failed, as after a restart with another size."""
    with ModelServer() as second:
        fake.context, second.context = Context(8000), Context(3000)
        client = make_llm(fake.url, second.url)
        assert await client.window(None) == Window(3000, 3000)
        second.context = Context(5000)
        assert await client.window(None) == Window(3000, 3000)
        for endpoint in client.endpoints:
            endpoint.breaker.fail()
        client.catalogue._last[client.endpoints[1]].asked_at -= 6  # pyright: ignore[reportPrivateUsage]
        assert await client.window(None) == Window(5000, 5000)
        second.model = "another"
        await client.learn_window(None, 2000)
        client.catalogue._last[client.endpoints[1]].served = None  # pyright: ignore[reportPrivateUsage]
        assert await client.window("fake-model") == Window(8000, 8000)


async def test_tgi_names_both_bounds(fake: ModelServer, make_llm: MakeLlm) -> None:
    fake.context = SMALL
    client = make_llm(kind="tgi")
    assert await client.window(None) == Window(2048, 2047)
    turns = [ChatTurn("user", "x" * 100)]
    assert await client.count_tokens(turns, None) is not None


async def test_sampling_decides_what_is_given_again(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """From the cache only at temperature 0 or where the request leaves sampling to the server."""
    talk = await make_talk(cache_scope="company")
    repeated = [Options(), Options(temperature=0), Options(sampling=(("stop", "END"),))]
    drawn = [
        Options(temperature=0.7),
        *(Options(sampling=((name, 0.5),)) for name in ("top_p", "seed", "presence_penalty")),
    ]
    for number, options in enumerate([*repeated, *drawn]):
        before = len(fake.answers)
        for _ in range(2):
            turn = await talk.chat.ask(
                as_alice, f"Question {number}?", client_id=uuid.uuid4(), options=options
            )
            await read(talk.chat.follow_turn(turn))
        assert len(fake.answers) - before == (1 if options in repeated else 2), options
