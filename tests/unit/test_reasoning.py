"""The model's reasoning: told apart from the answer however a server sends it, kept beside it."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from genai_app.access import Actor
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import Finish, TextDelta
from genai_app.adapters.llm.reasoning import MAX_OPENED_CHARS, ReasoningSplitter
from genai_app.api.ask.stream import Collected, whole
from genai_app.clock import now
from genai_app.db.database import Database
from genai_app.models import Source, Status
from genai_app.services.chat.placement import Options
from genai_app.services.chat.reasoning import EFFORT, TEMPLATE, reasoning_parameters
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.search import Search
from genai_app.services.generation.checkpoints import Increment
from genai_app.services.generation.model_call import MAX_REASONING_CHARS
from tests.fakes.model_reading import TURNS, MakeLlm, read_until_error
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Close, End, ErrorEvent, Hang, Hold, Say, Step, Think
from tests.fakes.model_wire import MODEL
from tests.fakes.services import RedisServer
from tests.unit.review_rows import SECRET
from tests.unit.talk import MakeTalk, Talk, Two, aborted, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

THOUGHT = "The user greets me. I shall be kind."
ANSWER = "Hello, the answer is 42."
FENCED = 'I could write\n\n```python\nprint("<b>")\n```\n\nbut I do not.'
# what the model writes: the answer, its reasoning
FORMS: dict[str, tuple[str, str, str]] = {
    "both tags": (f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", ANSWER, THOUGHT),
    "blank before": (f"\n \n<think>{THOUGHT}</think>{ANSWER}", ANSWER, THOUGHT),
    "only the closing tag": (f"{THOUGHT}\n</think>\n\n{ANSWER}", ANSWER, THOUGHT),
    "closing tag in a line": (f"{THOUGHT}</think>{ANSWER}", ANSWER, THOUGHT),
    "never closed": (f"<think>\n{THOUGHT}\n", "", THOUGHT),
    "half closed": (f"<think>{THOUGHT}</thin", "", f"{THOUGHT}</thin"),
    "fence in thoughts": (f"<think>\n{FENCED}\n</think>\n\n{ANSWER}", ANSWER, FENCED),
    "fence, closing tag only": (f"{FENCED}\n</think>\n\n{ANSWER}", ANSWER, FENCED),
    "open fence in thoughts": (f"<think>```\nx = 1\n</think>\n{ANSWER}", ANSWER, "```\nx = 1"),
    "no thoughts": (f"<think>\n\n</think>\n\n{ANSWER}", ANSWER, ""),
    "only thoughts": (f"<think>{THOUGHT}</think>\n\n", "", THOUGHT),
    "angle brackets": (f"<think>a < b </ c <</think>{ANSWER}", ANSWER, "a < b </ c <"),
    "later tags are text": (f"{ANSWER} <think>x</think> y", f"{ANSWER} <think>x</think> y", ""),
    "second block is text": (
        f"<think>{THOUGHT}</think>{ANSWER}<think>x</think>",
        f"{ANSWER}<think>x</think>",
        THOUGHT,
    ),
    "quoted tag": ("Write `</think>` there.", "Write `</think>` there.", ""),
    "tag in a fence": ("Write:\n```\n</think>\n```\n", "Write:\n```\n</think>\n```\n", ""),
    "almost a tag": ("<thinker>", "<thinker>", ""),
    "unfinished": ("a <", "a <", ""),
    "blank": (" \n\t", " \n\t", ""),
    "empty": ("", "", ""),
}
# unless the model is known to open its thoughts by itself
TAGS_ARE_TEXT = ("later tags are text", "quoted tag", "tag in a fence")


def divided(
    pieces: Iterable[str], *, is_opened: bool = False, reason: str | None = "stop"
) -> tuple[str, str]:
    """The answer and the reasoning, as a reader puts them together."""
    splitter = ReasoningSplitter(is_opened=is_opened)
    text = reasoning = ""
    for parts in [*map(splitter.feed, pieces), splitter.end(reason)]:
        if parts.swapped:
            text, reasoning = reasoning, text
        text, reasoning = text + parts.text, reasoning + parts.reasoning
    return text, reasoning.strip()


CASES = [(name, False) for name in FORMS]
CASES += [(name, True) for name in FORMS if name not in TAGS_ARE_TEXT]


@pytest.mark.parametrize(("name", "is_opened"), CASES)
def test_cut_anywhere(name: str, is_opened: bool) -> None:
    """Each form in two pieces at each place, in three at many, and letter by letter."""
    written, text, reasoning = FORMS[name]
    cuts = [(cut,) for cut in range(len(written) + 1)]
    cuts += list(itertools.combinations(range(0, len(written) + 1, 5), 2))
    for cut in cuts:
        ends = [*cut, len(written)]
        pieces = [written[begin:end] for begin, end in zip([0, *cut], ends, strict=True)]
        assert divided(pieces, is_opened=is_opened) == (text, reasoning), pieces
    assert divided(written, is_opened=is_opened) == (text, reasoning)


def test_thoughts_that_are_never_closed_by_habit() -> None:
    """A model that opens its thoughts by itself may not think once: then all was the answer. One
    that ran out of tokens was still thinking."""
    assert divided([ANSWER], is_opened=True) == (ANSWER, "")
    assert divided([THOUGHT], is_opened=True, reason="length") == ("", THOUGHT)
    assert divided([THOUGHT], is_opened=True, reason=None) == ("", THOUGHT)
    long = "word " * (MAX_OPENED_CHARS // 4)
    assert divided([long, f"{long}</think>", ANSWER], is_opened=True) == (
        ANSWER,
        (long * 2).strip(),
    )


def test_many_tags_cost_little() -> None:
    written = "x </think> `" * 30_000
    assert divided([written]) == (written.partition("</think>")[2].lstrip(), "x")


def inline(written: str, size: int = 4) -> Say:
    """What a server without a reasoning parser sends."""
    return Say([written[begin : begin + size] for begin in range(0, len(written), size)])


async def items_of(client: LlmClient) -> tuple[list[TextDelta], Finish]:
    *deltas, finish = [item async for item in client.stream(TURNS, max_tokens=100)]
    assert isinstance(finish, Finish)
    return [delta for delta in deltas if isinstance(delta, TextDelta)], finish


def joined(deltas: Iterable[TextDelta]) -> tuple[str, str]:
    text = reasoning = ""
    for delta in deltas:
        if delta.swapped:
            text, reasoning = reasoning, text
        text, reasoning = text + delta.text, reasoning + delta.reasoning
    return text, reasoning.strip()


@pytest.mark.parametrize("kind", ["openai", "tgi"])
@pytest.mark.parametrize("name", FORMS)
async def test_tags_in_the_text(fake: ModelServer, make_llm: MakeLlm, name: str, kind: str) -> None:
    """Both dialects, a few letters a chunk."""
    written, text, reasoning = FORMS[name]
    fake.script(inline(written), End())
    deltas, finish = await items_of(make_llm(kind=kind))
    assert joined(deltas) == (text, reasoning)
    assert finish.reason == "stop"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_a_field_of_its_own(fake: ModelServer, make_llm: MakeLlm, field: str) -> None:
    """As a server with a reasoning parser sends it; tags in the text are text then."""
    fake.script(Think(("I ", "think."), name=field), Say(("\n\n", "a </think>", " b")), End())
    deltas, finish = await items_of(make_llm())
    assert joined(deltas) == ("a </think> b", "I think.")
    assert sum(delta.tokens for delta in deltas) == 5
    assert sum(delta.reasoning_tokens for delta in deltas) == 2
    assert finish.reasoning_tokens == 2
    assert finish.completion_tokens == 5


@pytest.mark.parametrize("break_", [Close(), ErrorEvent()])
async def test_what_is_held_back_is_not_lost(
    fake: ModelServer, make_llm: MakeLlm, break_: Step
) -> None:
    """The text ended in what may have become a tag when the answer broke off."""
    fake.script(Say(("a </th",)), break_)
    assert (await read_until_error(make_llm()))[0] == "a </th"


async def test_a_habit_is_learned(fake: ModelServer, make_llm: MakeLlm) -> None:
    """After three answers with a closing tag alone thoughts are known for what they are from their
    first word on; one answer without them ends the habit, and is not lost."""
    client = make_llm()
    written = FORMS["only the closing tag"][0]
    for answers in range(4):
        fake.script(inline(written), End())
        deltas, _ = await items_of(client)
        assert joined(deltas) == (ANSWER, THOUGHT)
        assert any(delta.swapped for delta in deltas) == (answers < 3)
    for is_learned in (True, False):
        fake.script(inline(ANSWER), End())
        deltas, _ = await items_of(client)
        assert joined(deltas) == (ANSWER, "")
        assert any(delta.reasoning for delta in deltas) == is_learned
    assert client.thinking.thinks(MODEL)


THINKING: tuple[Step, ...] = (Think(("I ", "think.")), Say(("one ", "two")), End())
ENDS: dict[str, tuple[tuple[Step, ...], Status, str | None, str, str]] = {
    "complete": (THINKING, Status.COMPLETE, None, "one two", "I think."),
    "only thoughts": ((*THINKING[:1], End()), Status.COMPLETE, "empty_answer", "", "I think."),
    "no room left": ((*THINKING[:1], End("length")), Status.TRUNCATED, None, "", "I think."),
    "cut off": (
        (*THINKING[:1], Close()),
        Status.INTERRUPTED,
        "model_interrupted",
        "",
        "I think.",
    ),
    "moved": (
        (inline(FORMS["only the closing tag"][0]), End()),
        Status.COMPLETE,
        None,
        ANSWER,
        THOUGHT,
    ),
}


@pytest.mark.parametrize("name", ENDS)
async def test_ends(fake: ModelServer, talk: Talk, as_alice: Actor, name: str) -> None:
    """The row has text and reasoning apart, however the answer ended."""
    script, status, code, text, reasoning = ENDS[name]
    fake.script(*script)
    turn = await talk.ask(as_alice)
    assert await texts_of(talk.generations.follow(turn.answer_id)) == (text, reasoning)
    row = await saved(talk.db, turn.answer_id)
    assert (row.status, row.error_code) == (status, code)
    assert (row.text, row.reasoning) == (text, reasoning)
    assert row.reasoning_tokens
    assert row.reasoning_ms is not None
    assert (row.first_token_at is not None) == bool(text)
    # whoever comes later reads the same
    assert await texts_of(talk.generations.follow(turn.answer_id)) == (text, reasoning)


async def texts_of(increments: AsyncGenerator[Increment]) -> tuple[str, str]:
    collected, _ = await whole(increments)
    return collected.text, collected.reasoning


async def until(
    increments: AsyncIterator[Increment],
    test: Callable[[str, str], bool],
    copy: Collected | None = None,
) -> tuple[str, str]:
    """Text and reasoning when the test first holds."""
    copy = copy or Collected()
    async for increment in increments:
        copy.take(increment)
        if test(copy.text, copy.reasoning):
            return copy.text, copy.reasoning
    raise AssertionError((copy.text, copy.reasoning))


async def test_the_first_token_is_the_answers(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """Thoughts are no first token, also where they were taken for text."""
    for name, script in {"a": Think(("hm",)), "b": Say((f"{THOUGHT}</think>",))}.items():
        fake.script(script, Hold(name), Say(("text",)), End())
        turn = await talk.ask(as_alice)
        follower = talk.generations.follow(turn.answer_id)
        await until(follower, lambda _, reasoning: bool(reasoning))
        before = now()
        fake.release(name)
        await read(follower)
        row = await saved(talk.db, turn.answer_id)
        assert row.first_token_at is not None
        assert row.first_token_at >= before


async def test_checkpoints_have_it(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N2. While it thinks, and when thoughts that were taken for text turn into reasoning."""
    fake.script(Say((THOUGHT,)), Hold("a"), Say(("</think>",)), Hold("b"), End())
    turn = await talk.ask(as_alice)

    async def row_has(text: str, reasoning: str) -> None:
        async with asyncio.timeout(60):
            row = await saved(talk.db, turn.answer_id)
            while (row.text, row.reasoning) != (text, reasoning):
                row = await saved(talk.db, turn.answer_id)
        assert row.status == Status.RUNNING

    await row_has(THOUGHT, "")
    fake.release("a")
    await row_has("", THOUGHT)
    fake.release("b")
    assert await texts_of(talk.generations.follow(turn.answer_id)) == ("", THOUGHT)


async def test_long_thoughts_are_cut(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """200 kB of thinking: the beginning is kept, the answer is whole, and it is all counted."""
    thoughts = ["мысль" * 200] * 200
    fake.script(Think(thoughts, together=True), Say(("text",)), End())
    turn = await talk.ask(as_alice)
    text, reasoning = await texts_of(talk.generations.follow(turn.answer_id))
    assert (text, len(reasoning)) == ("text", MAX_REASONING_CHARS)
    assert reasoning == "".join(thoughts)[: MAX_REASONING_CHARS - 1] + "…"
    row = await saved(talk.db, turn.answer_id)
    assert (row.reasoning, row.reasoning_tokens) == (reasoning, 200)


async def test_joined_runs_show_it_to_all(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """Whoever asks the same meanwhile sees the thoughts too; a cached answer has none."""
    talk = await make_talk(cache_scope="company")
    fake.script(Think(("I ",)), Hold(), Think(("think.",)), Say(("text",)), End())
    first = await talk.ask(as_alice)
    follower = talk.generations.follow(first.answer_id)
    await until(follower, lambda _, reasoning: reasoning == "I ")
    second = await talk.ask(as_bob)
    other = talk.generations.follow(second.answer_id)
    assert await until(other, lambda _, reasoning: bool(reasoning)) == ("", "I ")
    fake.release()
    for each in (follower, other):
        await read(each)
    for turn in (first, second):
        row = await saved(talk.db, turn.answer_id)
        assert (row.text, row.reasoning) == ("text", "I think.")
    third = await talk.answer(as_bob)
    row = await saved(talk.db, third.answer_id)
    assert (row.source, row.text, row.reasoning) == (Source.CACHE, "text", "")
    assert row.reasoning_ms is None
    assert len(fake.answers) == 1


@pytest.mark.parametrize("redis", ["there", "away"])
async def test_other_processes_follow_it(
    fake: ModelServer, two: Two, as_alice: Actor, redis_server: RedisServer, redis: str
) -> None:
    """As it grows, also when text turns into reasoning on the way."""
    here, elsewhere = await two()
    fake.script(
        *(Say((THOUGHT[:9],)), Hold("a"), Say((THOUGHT[9:], "</think>")), Hold("b")),
        *(Say((ANSWER,)), End()),
    )
    turn = await here.ask(as_alice)
    follower, copy = elsewhere.generations.follow(turn.answer_id), Collected()
    await until(follower, lambda text, _: bool(text), copy)
    assert copy.text == THOUGHT[:9]
    if redis == "away":
        redis_server.kill()
    fake.release("a")
    await until(follower, lambda text, reasoning: bool(reasoning) and not text, copy)
    assert copy.reasoning == THOUGHT
    late = elsewhere.generations.follow(turn.answer_id)
    assert await until(late, lambda _, reasoning: bool(reasoning)) == ("", THOUGHT)
    fake.release("b")
    await until(follower, lambda text, _: text == ANSWER, copy)
    assert copy.reasoning == THOUGHT
    assert await texts_of(late) == (ANSWER, "")
    if redis == "away":
        redis_server.start()


async def test_nothing_of_it_goes_further(
    fake: ModelServer, make_talk: MakeTalk, db: Database, as_alice: Actor
) -> None:
    """Not into the next prompt, the title, or the search."""
    talk = await make_talk()
    fake.script(Think(("Zanzibar",)), Say(("text",)), End())
    first = await talk.answer(as_alice, "Where?")
    await talk.answer(as_alice, "And then?", first.dialog_id)
    assert [m["content"] for m in fake.answers[-1].messages] == ["Where?", "text", "And then?"]
    assert "Zanzibar" not in str(fake.answers[-1].messages)
    assert (await talk.history.get(as_alice, first.dialog_id)).title == "Where?"
    search = Search(db, Cursors(SECRET))
    assert (await search.find(as_alice, "text")).items
    assert not (await search.find(as_alice, "Zanzibar")).items


async def test_thoughts_alone_are_not_sent_back(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """A later question goes on after an answer that came to nothing."""
    fake.script_once(Think(("hm",)), End())
    first = await talk.answer(as_alice, "One?")
    await talk.answer(as_alice, "Two?", first.dialog_id)
    assert "hm" not in str(fake.answers[-1].messages)


ON, OFF = {"enable_thinking": True}, {"enable_thinking": False}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (None, {}),
        (True, {TEMPLATE: ON}),
        (False, {TEMPLATE: OFF}),
        ("low", {TEMPLATE: ON, EFFORT: "low"}),
    ],
)
async def test_the_switch_is_sent(
    fake: ModelServer, talk: Talk, as_alice: Actor, asked: Any, sent: dict[str, object]
) -> None:
    options = Options(sampling=reasoning_parameters(asked))
    turn = await talk.chat.ask(as_alice, "Why?", client_id=None, options=options)
    await read(talk.generations.follow(turn.answer_id))
    parameters = fake.answers[0].parameters
    assert {name: parameters[name] for name in (TEMPLATE, EFFORT) if name in parameters} == sent


@pytest.mark.parametrize(("default", "sent"), [("on", ON), ("off", OFF)])
async def test_the_default_of_the_settings(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, default: str, sent: object
) -> None:
    """Holds for every question that says nothing, and gives way to one that does."""
    talk = await make_talk(reasoning=default)
    await talk.answer(as_alice)
    options = Options(sampling=reasoning_parameters(default == "off"))
    turn = await talk.chat.ask(as_alice, "Why?", client_id=None, options=options)
    await read(talk.generations.follow(turn.answer_id))
    assert [each.parameters[TEMPLATE] for each in fake.answers] == [
        sent,
        {"enable_thinking": default == "off"},
    ]
    assert await talk.chat.reasoning.is_offered()


async def test_the_switch_is_part_of_the_cache_key(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """The same question with another switch is asked anew, with the same one it is not."""
    talk = await make_talk(cache_scope="company")
    sources: list[Source] = []
    for asked in (None, True, False, "low", "high", True, "low", None):
        options = Options(sampling=reasoning_parameters(asked))
        turn = await talk.chat.ask(as_alice, "Why?", client_id=None, options=options)
        await read(talk.chat.follow_turn(turn))
        sources.append(turn.source)
    assert sources == [Source.MODEL] * 5 + [Source.CACHE] * 3


async def test_where_the_switch_is_offered(
    fake: ModelServer, make_talk: MakeTalk, make_llm: MakeLlm, as_alice: Actor
) -> None:
    """Where the model has thought before, at this process or another; not with TGI."""
    talk, tgi = await make_talk(), await make_talk(llm=make_llm(kind="tgi"), reasoning="on")
    assert not await talk.chat.reasoning.is_offered()
    fake.script(*THINKING)
    await talk.answer(as_alice)
    assert await talk.chat.reasoning.is_offered()
    other = await make_talk()
    assert await other.chat.reasoning.is_offered()
    assert not await tgi.chat.reasoning.is_offered()


async def test_a_turned_switch_is_the_same_send(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N4. A page sends a question again after its user turned the switch."""
    client_id = uuid.uuid4()
    turns = [
        await talk.chat.ask(
            as_alice,
            "Why?",
            client_id=client_id,
            options=Options(sampling=reasoning_parameters(asked)),
        )
        for asked in (None, False)
    ]
    assert turns[0].answer_id == turns[1].answer_id
    assert turns[1].repeated


async def test_stop_while_it_thinks(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """The thoughts so far are kept."""
    fake.script(Think(("I think",)), Hang())
    turn = await talk.ask(as_alice)
    follower = talk.generations.follow(turn.answer_id)
    await until(follower, lambda _, reasoning: bool(reasoning))
    await talk.chat.stop(as_alice, turn.answer_id)
    assert (await read(follower))[1] is Status.STOPPED
    assert await aborted(fake.answers[0])
    assert (await saved(talk.db, turn.answer_id)).reasoning == "I think"
