"""An answer that was cut goes on: the same message, one model run, no letter twice or lost."""

import asyncio
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.db.database import Database
from genai_app.errors import AppError, Conflict, NotFound, RateLimited
from genai_app.models import (
    Author,
    Message,
    MessageVerdict,
    Role,
    Source,
    Status,
    UsageHour,
    Verdict,
)
from genai_app.services.audit.events import Audit
from genai_app.services.chat import turns
from genai_app.services.chat.cut_answers import check_can_go_on
from genai_app.services.chat.placement import Options
from genai_app.services.chat.turns import Turn
from genai_app.services.generation.checkpoints import LEASE_S
from genai_app.services.review.admission import Admission
from genai_app.services.review.workflow import ReviewWork
from genai_app.services.statistics.usage import UsageCounter
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Reset, Say, Think
from tests.fakes.model_steps import Status as Refusal
from tests.unit.talk import (
    MakeTalk,
    Talk,
    Two,
    age_leases,
    called,
    enter,
    everything,
    leaf_of,
    read,
    read_until,
    run_of,
    saved,
)

pytest_plugins = ("tests.unit.talk_fixtures",)

CUT = (Say(("The", " first", " part", " of")), End("length"))
REST = (Say((" an", " answer", ".")), End())
WHOLE = "The first part of an answer."


async def cut_answer(fake: ModelServer, talk: Talk, actor: Actor, text: str = "Why?") -> Turn:
    fake.script_once(*CUT)
    return await talk.answer(actor, text)


async def go_on(talk: Talk, actor: Actor, answer_id: object) -> Turn:
    turn = await talk.chat.continue_answer(actor, answer_id)
    await read(talk.generations.follow(turn.answer_id))
    return turn


async def test_the_same_message_goes_on(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """The server is asked to go on with the final message; tokens of both runs are added up."""
    first = await cut_answer(fake, talk, as_alice)
    before = await saved(talk.db, first.answer_id)
    fake.script_once(*REST)
    turn = await talk.chat.continue_answer(as_alice, str(first.answer_id))

    assert (turn.dialog_id, turn.question_id, turn.answer_id) == (
        *(first.dialog_id, first.question_id, first.answer_id),
    )
    assert turn.kept == "The first part of"
    assert await read(talk.chat.follow_turn(turn)) == (" an answer.", Status.COMPLETE)
    record = fake.answers[-1]
    assert record.parameters["continue_final_message"] is True
    assert record.parameters["add_generation_prompt"] is False
    assert record.messages == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "The first part of"},
    ]
    assert "continue_final_message" not in fake.answers[0].parameters
    answer = await saved(talk.db, first.answer_id)
    assert (answer.text, answer.status, answer.source) == (WHOLE, Status.COMPLETE, Source.MODEL)
    assert answer.completion_tokens == 4 + 3
    assert answer.prompt_tokens == 1 + 5
    assert answer.first_token_at == before.first_token_at
    assert answer.finished_at is not None
    assert before.finished_at is not None
    assert answer.finished_at > before.finished_at
    assert answer.paused_ms is not None
    assert len(fake.answers) == 2


async def test_readers_get_what_is_new(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """Who has the first part gets increments alone; who comes anew gets all."""
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Say((" an",)), Hold("go"), Say((" answer", ".")), End())
    await talk.chat.continue_answer(as_alice, turn.answer_id)
    old = asyncio.create_task(
        read(talk.chat.follow(as_alice, turn.answer_id, from_length=len("The first part of")))
    )
    assert await read_until(talk.chat.follow(as_alice, turn.answer_id), " an") == WHOLE[:20]
    assert (await saved(talk.db, turn.answer_id)).status == Status.RUNNING
    fake.release("go")
    assert await old == (" an answer.", Status.COMPLETE)


async def test_a_second_process_follows(fake: ModelServer, two: Two, as_alice: Actor) -> None:
    here, there = await two()
    turn = await cut_answer(fake, here, as_alice)
    fake.script_once(Hold("go"), *REST)
    await here.chat.continue_answer(as_alice, turn.answer_id)
    reading = asyncio.create_task(read(there.chat.follow(as_alice, turn.answer_id)))
    with pytest.raises(Conflict):
        await there.chat.continue_answer(as_alice, turn.answer_id)
    fake.release("go")
    assert await reading == (WHOLE, Status.COMPLETE)


async def test_stopped_and_interrupted_answers_go_on(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    fake.script_once(Say(("one ", "two ")), Hold("never"))
    turn = await talk.ask(as_alice)
    await read_until(talk.generations.follow(turn.answer_id), "two")
    await talk.chat.stop(as_alice, turn.answer_id)
    await read(talk.generations.follow(turn.answer_id))
    fake.script_once(Say(("three ",)), Reset())
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.status) == ("one two three ", Status.INTERRUPTED)
    fake.script_once(Say(("four",)), End())
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.status) == ("one two three four", Status.COMPLETE)
    assert answer.error_code is None


async def test_a_continuation_is_stopped(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Say((" an",)), Hold("never"))
    await talk.chat.continue_answer(as_alice, turn.answer_id)
    await read_until(talk.generations.follow(turn.answer_id), " an")
    await talk.chat.stop(as_alice, turn.answer_id)
    assert await read(talk.generations.follow(turn.answer_id)) == (
        *("The first part of an", Status.STOPPED),
    )
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.model, answer.status) == ("fake-model", Status.STOPPED)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(400, "Extra inputs are not permitted: continue_final_message"),
        Refusal(422, "Expected last role User or Tool"),
    ],
)
async def test_a_server_that_refuses_is_asked_in_words(
    fake: ModelServer, talk: Talk, as_alice: Actor, refusal: Refusal
) -> None:
    """What it repeats is left out; the words that asked are in no message and no later prompt."""
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(refusal)
    fake.script_once(Say(("first part", " of an", " answer.")), End())
    await go_on(talk, as_alice, turn.answer_id)
    assert (await saved(talk.db, turn.answer_id)).text == WHOLE
    asking = fake.answers[-1]
    assert "continue_final_message" not in asking.parameters
    assert [each["role"] for each in asking.messages] == ["user", "assistant", "user"]
    await talk.answer(as_alice, "And then?", turn.dialog_id)
    assert [each["content"] for each in fake.answers[-1].messages] == ["Why?", WHOLE, "And then?"]
    assert len(await everything(talk.db)) == 1 + 4 + 2


async def test_a_server_that_begins_anew_is_asked_in_words(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    words = tuple(f"word{n} " for n in range(60))
    fake.script_once(Say(words[:30]), End("length"))
    turn = await talk.answer(as_alice)
    fake.script_once(Say(words[:20]), Hold("the rest"))
    fake.script_once(Say(words[25:]), End())
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.status) == ("".join(words), Status.COMPLETE)
    assert len(fake.answers) == 3


@pytest.mark.parametrize("end", ["stop", "length"])
async def test_the_rest_that_a_parser_takes_for_thoughts(
    fake: ModelServer, talk: Talk, as_alice: Actor, end: str
) -> None:
    """vLLM's parsers look for the end of the thoughts in the new tokens: without one all of them
    are reasoning."""
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Think((" an", " answer", ".")), End(end))
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.reasoning, answer.reasoning_ms) == (WHOLE, "", None)
    assert not answer.reasoning_tokens
    assert len(fake.answers) == 2


async def test_thinking_is_turned_off_for_the_rest(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """Without that a parser takes the rest for thoughts. Other template parameters stay."""
    fake.script_once(*CUT)
    template = {"enable_thinking": True, "documents": []}
    options = Options(sampling=(("chat_template_kwargs", template),))
    turn = await talk.chat.ask(as_alice, "Why?", client_id=None, options=options)
    await read(talk.generations.follow(turn.answer_id))
    fake.script_once(*REST)
    await go_on(talk, as_alice, turn.answer_id)
    asked = fake.answers[-1].parameters
    assert asked["chat_template_kwargs"]["enable_thinking"] is False


async def test_a_server_that_thinks_before_it_begins_anew(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """Thoughts that end are thoughts."""
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Think(("Hm.",)), Say((" an answer.",)), End())
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.reasoning) == (WHOLE, "Hm.")


async def test_tgi_goes_on_with_the_plain_prompt(
    fake: ModelServer, make_talk: MakeTalk, make_llm: Any, as_alice: Actor
) -> None:
    talk = await make_talk(llm=make_llm(kind="tgi"))
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(*REST)
    await go_on(talk, as_alice, turn.answer_id)
    assert (await saved(talk.db, turn.answer_id)).text == WHOLE
    assert fake.answers[-1].messages[0]["content"] == "User: Why?\n\nAssistant: The first part of"


async def test_two_clicks_are_one_run(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N4. From two tabs, or twice from one."""
    turn = await cut_answer(fake, talk, as_alice)
    fake.script(Hold("go"), *REST)
    results = await asyncio.gather(
        *(talk.chat.continue_answer(as_alice, turn.answer_id) for _ in range(5)),
        return_exceptions=True,
    )
    codes = [each.code for each in results if isinstance(each, AppError)]
    assert Counter(codes) == {"answer_running": 4}
    await called(fake, 2)
    for refused in (
        talk.ask(as_alice, "next", turn.dialog_id),
        talk.chat.regenerate(as_alice, turn.answer_id),
    ):
        with pytest.raises(Conflict):
            await refused
    fake.release("go")
    assert await read(talk.generations.follow(turn.answer_id)) == (WHOLE, Status.COMPLETE)


async def test_what_cannot_go_on(
    fake: ModelServer, talk: Talk, as_alice: Actor, as_bob: Actor
) -> None:
    """A whole answer, one with questions below it, one that was judged, and those of others."""
    whole = await talk.answer(as_alice)
    replied = await cut_answer(fake, talk, as_alice, "first")
    await talk.answer(as_alice, "second", replied.dialog_id)
    judged = await cut_answer(fake, talk, as_alice, "judged")
    empty = await talk_to_nobody(fake, talk, as_alice)
    verdict = MessageVerdict(
        message_id=judged.answer_id,
        dialog_id=judged.dialog_id,
        verdict=Verdict.UNSAFE,
        reviewer_id=as_bob.user_id,
        reviewer_name="Bob",
    )
    async with talk.db.write() as session:
        session.add(verdict)
    before = await everything(talk.db)
    for turn, code in (
        (whole, "answer_is_whole"),
        (replied, "answer_has_replies"),
        (judged, "answer_is_judged"),
        (empty, "answer_is_empty"),
    ):
        with pytest.raises(Conflict) as caught:
            await talk.chat.continue_answer(as_alice, turn.answer_id)
        assert caught.value.code == code
    for actor, wrong in (
        (as_bob, judged.answer_id),
        (as_alice, judged.question_id),
        (as_alice, "no id"),
        (as_alice, None),
    ):
        with pytest.raises(NotFound):
            await talk.chat.continue_answer(actor, wrong)
    assert await everything(talk.db) == before


async def talk_to_nobody(fake: ModelServer, talk: Talk, actor: Actor) -> Turn:
    """Returns a turn that was stopped before the first word."""
    fake.script_once(Hold("never"))
    turn = await talk.ask(actor, "nothing")
    await asyncio.to_thread(fake.wait_answers, len(fake.answers) + 1)
    await talk.chat.stop(actor, turn.answer_id)
    await read(talk.generations.follow(turn.answer_id))
    return turn


async def test_it_takes_a_unit(fake: ModelServer, make_talk: MakeTalk, as_alice: Actor) -> None:
    """As a question does; a refusal changes nothing."""
    talk = await make_talk(rate="2/hour")
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Say((" an",)), End("length"))
    await go_on(talk, as_alice, turn.answer_id)
    before = await everything(talk.db)
    with pytest.raises(RateLimited):
        await talk.chat.continue_answer(as_alice, turn.answer_id)
    assert await everything(talk.db) == before


async def test_a_failure_keeps_the_first_part(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N6. It says why, and the answer can go on later."""
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Refusal(500))
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.status, answer.error_code) == (
        *("The first part of", Status.INTERRUPTED, "model_unavailable"),
    )
    fake.script_once(*REST)
    await go_on(talk, as_alice, turn.answer_id)
    assert (await saved(talk.db, turn.answer_id)).text == WHOLE


async def test_nothing_more_is_a_whole_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(Say(()), End())
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.status, answer.error_code) == (
        *("The first part of", Status.COMPLETE, None),
    )


async def test_a_continued_answer_is_not_cached(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    talk = await make_talk(cache_scope="company")
    turn = await cut_answer(fake, talk, as_alice)
    fake.script_once(*REST)
    await go_on(talk, as_alice, turn.answer_id)
    again = await talk.answer(as_alice, "Why?")
    assert (await saved(talk.db, again.answer_id)).source == Source.MODEL
    assert len(fake.answers) == 3


async def test_a_client_with_its_own_history_finds_the_whole_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """The digest of the conversation is that of the text that the answer has now."""
    fake.script_once(*CUT)
    turn = await talk.chat.ask(as_alice, "Why?", client_id=None, options=Options(), earlier=())
    await read(talk.generations.follow(turn.answer_id))
    old = (await saved(talk.db, turn.answer_id)).context_hash
    fake.script_once(*REST)
    await go_on(talk, as_alice, turn.answer_id)
    assert (await saved(talk.db, turn.answer_id)).context_hash not in (None, old)
    for text, same in ((WHOLE, True), ("The first part of", False)):
        earlier = [ChatTurn(Author.USER, "Why?"), ChatTurn(Author.ASSISTANT, text)]
        next_ = await talk.chat.ask(as_alice, "And?", client_id=None, earlier=earlier)
        await read(talk.generations.follow(next_.answer_id))
        assert (next_.dialog_id == turn.dialog_id) is same


async def test_it_goes_on_where_its_process_died(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N2, N3. What the dead process saved goes on in another one, and the dead one, if it lives
    after all, writes nothing into it."""
    dead, alive = await make_talk(opened=False), await make_talk(opened=False)
    turn = await cut_answer(fake, dead, as_alice)
    fake.script_once(Say((" an",)), Hold("late"), Say((" old story",)), End())
    await dead.chat.continue_answer(as_alice, turn.answer_id)
    await read_until(dead.generations.follow(turn.answer_id), " an")
    await dead.generations._checkpoint()
    await age_leases(alive.db, LEASE_S + 1)
    assert await alive.generations.answers.interrupt(spare=()) == [turn.answer_id]
    lost = await saved(alive.db, turn.answer_id)
    assert (lost.text, lost.error_code) == ("The first part of an", "process_lost")

    fake.script_once(Say((" answer",)), Hold("go"), Say((".",)), End())
    await alive.chat.continue_answer(as_alice, turn.answer_id)
    await read_until(alive.generations.follow(turn.answer_id), " answer")
    fake.release("late")
    assert await read(dead.generations.follow(turn.answer_id)) == (
        *("The first part of an old story", Status.INTERRUPTED),
    )
    assert (await run_of(alive.db, turn.answer_id)).ended_at is None
    fake.release("go")
    assert await read(alive.generations.follow(turn.answer_id)) == (WHOLE, Status.COMPLETE)
    assert (await saved(alive.db, turn.answer_id)).text == WHOLE


async def test_the_pause_is_no_time_of_the_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = await cut_answer(fake, talk, as_alice)
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=1))
    fake.script_once(*REST)
    await go_on(talk, as_alice, turn.answer_id)
    answer = await saved(talk.db, turn.answer_id)
    assert answer.finished_at is not None
    passed = answer.finished_at - answer.created_at
    assert passed > timedelta(hours=1)
    assert passed - timedelta(milliseconds=answer.paused_ms or 0) < timedelta(minutes=1)


async def test_its_hour_is_counted_again(
    fake: ModelServer, talk: Talk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics have stored the hour of the question before the answer goes on."""
    counter = UsageCounter(talk.db)
    turn = await cut_answer(fake, talk, as_alice)
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=4))
    await counter.count_some()
    cut = await hours_of(talk.db)
    assert list(cut) == [Status.TRUNCATED]

    fake.script_once(Hold("go"), *REST)
    await talk.chat.continue_answer(as_alice, turn.answer_id)
    await called(fake, 2)
    await counter.count_again()  # it is running: the figures stay until it has ended
    assert await hours_of(talk.db) == cut
    fake.release("go")
    await read(talk.generations.follow(turn.answer_id))
    for _ in range(2):
        await counter.count_again()
        answer = await saved(talk.db, turn.answer_id)
        assert await hours_of(talk.db) == {Status.COMPLETE: (1, answer.completion_tokens)}


async def hours_of(db: Database) -> dict[str, tuple[int, int]]:
    """Stored answers and tokens by the status of the answers."""
    async with db.read() as session:
        rows = await session.scalars(sa.select(UsageHour))
        return {row.status: (row.answers, row.completion_tokens) for row in rows}


async def test_an_answer_on_another_branch_is_shown_again(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    first = await cut_answer(fake, talk, as_alice)
    second = await talk.chat.regenerate(as_alice, first.answer_id)
    await read(talk.generations.follow(second.answer_id))
    fake.script_once(*REST)
    await go_on(talk, as_alice, first.answer_id)
    assert await leaf_of(talk.db, first.dialog_id) == first.answer_id


async def test_no_verdict_falls_on_a_text_that_goes_on(
    fake: ModelServer, talk: Talk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reviewer who judges at the very moment is told that there is no ended answer."""
    rita = await enter(talk.db, "rita", Role.REVIEWER)
    work = ReviewWork(talk.db, Admission(Audit(talk.db), "named"), talk.verdicts.on_verdict)
    cut = await cut_answer(fake, talk, as_alice)
    judging: list[asyncio.Task[uuid.UUID]] = []

    async def check_then_judge(session: AsyncSession, answer: Message) -> None:
        await check_can_go_on(session, answer)
        judging.append(asyncio.create_task(work.judge(rita, answer.id, "wrong")))
        await asyncio.wait(judging, timeout=0.5)  # it cannot end before the commit

    monkeypatch.setattr(turns, "check_can_go_on", check_then_judge)
    fake.script_once(Hold("go"), *REST)
    turn = await talk.chat.continue_answer(as_alice, cut.answer_id)
    with pytest.raises(NotFound):
        await judging[0]
    async with talk.db.read() as session:
        assert list(await session.scalars(sa.select(MessageVerdict))) == []
    fake.release("go")
    assert await read(talk.generations.follow(turn.answer_id)) == (WHOLE, Status.COMPLETE)
