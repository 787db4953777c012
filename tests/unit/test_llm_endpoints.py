"""The breaker before a model server, and what waits for a slot at it."""

import asyncio
from collections.abc import Callable

import pytest

from genai_app.access import Actor
from genai_app.adapters.llm import breaker as llm_breaker
from genai_app.adapters.llm.breaker import FAILURES, MANY, BreakerState
from genai_app.adapters.llm.endpoints import Endpoint
from genai_app.errors import ModelUnavailable
from genai_app.models import Status
from tests.fakes.app_process import eventually
from tests.fakes.model_reading import MakeLlm, read_until_error
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Reset, Say
from tests.fakes.model_steps import Status as Refuse
from tests.fakes.model_wire import MODEL
from tests.unit.talk import MakeTalk, called, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

WITHIN_S = 60.0


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """The clock of the breaker, moved by hand; no jitter."""
    now = [1000.0]
    monkeypatch.setattr(llm_breaker, "_now", lambda: now[0])
    monkeypatch.setattr(llm_breaker, "JITTER", 0.0)

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def test_it_opens_tries_one_and_closes(pass_time: Callable[[float], None]) -> None:
    """Closed, open, half-open with a single probe, closed."""
    endpoint = Endpoint("http://gpu1:8000")
    for _ in range(FAILURES - 1):
        endpoint.breaker.fail()
    assert (endpoint.breaker.state, endpoint.breaker.offer()) == (BreakerState.CLOSED, MANY)
    endpoint.breaker.fail()
    assert (endpoint.breaker.state, endpoint.breaker.offer()) == (BreakerState.OPEN, 0)
    refusal = endpoint.breaker.refusal(60)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after_s) == ("model_unavailable", 2)

    pass_time(2.0)
    assert endpoint.breaker.state is BreakerState.HALF_OPEN
    assert [endpoint.breaker.offer() for _ in range(3)] == [1, 0, 0]
    assert endpoint.breaker.refusal(60) is None  # worth waiting for the probe
    endpoint.breaker.withdraw()
    assert endpoint.breaker.offer() == 1
    probe = endpoint.begin()
    assert probe
    endpoint.breaker.succeed()
    endpoint.end(probe=probe)
    assert (endpoint.breaker.state, endpoint.breaker.offer()) == (BreakerState.CLOSED, MANY)


def test_its_pause_grows(pass_time: Callable[[float], None]) -> None:
    """Each probe that fails makes it longer, up to a minute."""
    endpoint = Endpoint("http://gpu1:8000")
    for _ in range(FAILURES):
        endpoint.breaker.fail()
    pauses: list[int] = []
    for _ in range(7):
        refusal = endpoint.breaker.refusal(0)
        assert refusal is not None
        pauses.append(refusal.retry_after_s or 0)
        pass_time(pauses[-1])
        assert endpoint.breaker.offer() == 1
        probe = endpoint.begin()
        endpoint.breaker.fail()
        endpoint.end(probe=probe)
    assert pauses == [2, 4, 8, 16, 32, 60, 60]


def test_a_probe_that_is_stopped_is_for_another(pass_time: Callable[[float], None]) -> None:
    """Its user went away before the first token: nothing is known."""
    endpoint = Endpoint("http://gpu1:8000")
    for _ in range(FAILURES):
        endpoint.breaker.fail()
    pass_time(2.0)
    assert endpoint.breaker.offer() == 1
    endpoint.end(probe=endpoint.begin())
    assert endpoint.breaker.offer() == 1


def test_a_refusal_is_a_sign_of_life(pass_time: Callable[[float], None]) -> None:
    """A wrong key or an unknown model is no failure of the server."""
    endpoint = Endpoint("http://gpu1:8000")
    for _ in range(FAILURES - 1):
        endpoint.breaker.fail()
    endpoint.judge(ModelUnavailable(code="model_unknown"), begun=False)
    for _ in range(FAILURES - 1):
        endpoint.breaker.fail()
    assert endpoint.breaker.state is BreakerState.CLOSED


def test_the_name_holds_no_password() -> None:
    """It stands in metrics and on a page."""
    assert Endpoint("http://user:secret@gpu1:8000").name == "gpu1:8000"


async def test_a_dead_server_is_left_alone(fake: ModelServer, make_llm: MakeLlm) -> None:
    """After a few failures it is not asked, and the answer fails at once."""
    fake.script(Refuse(503))
    client = make_llm(model=MODEL)
    for _ in range(3):
        await read_until_error(client)
    asked = len(fake.answers)
    assert client.endpoints[0].breaker.state is BreakerState.OPEN

    _, error = await read_until_error(client)

    assert (error.code, len(fake.answers)) == ("model_unavailable", asked)
    assert error.retry_after_s


async def test_one_run_tries_and_the_others_wait(
    fake: ModelServer,
    make_talk: MakeTalk,
    make_llm: MakeLlm,
    as_alice: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that comes back is not met by all at once."""
    monkeypatch.setattr(llm_breaker, "PAUSE_S", 0.0)
    client = make_llm(model=MODEL)
    talk = await make_talk(llm=client)
    for _ in range(FAILURES):
        client.endpoints[0].breaker.fail()
    fake.script(Hold("go"), Say(("back",)), End())

    turns = [await talk.ask(as_alice, f"question {number}") for number in range(3)]
    await called(fake, 1)

    async def two_wait() -> bool:
        return talk.slots.waiting == 2

    await eventually(two_wait, WITHIN_S)
    assert len(fake.answers) == 1
    fake.release("go")

    for turn in turns:
        assert await read(talk.generations.follow(turn.answer_id)) == ("back", Status.COMPLETE)
    assert client.endpoints[0].breaker.state is BreakerState.CLOSED


async def test_too_many_requests_are_waited_out(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """Retry-After is honoured, the page shows a place in line, and nobody asks meanwhile."""
    talk = await make_talk()
    fake.script_once(Refuse(429, retry_after="1"))
    hers = await talk.ask(as_alice)
    await called(fake, 1)
    follower = talk.generations.follow(hers.answer_id, positions=True)
    assert (await anext(follower)).position > 0
    his = await talk.ask(as_bob, "Another?")

    for turn in (hers, his):
        _, status = await read(talk.generations.follow(turn.answer_id))
        assert status == Status.COMPLETE
    assert len(fake.answers) == 3


@pytest.mark.parametrize("step", [Refuse(503), Refuse(429, retry_after="600"), Reset()])
async def test_another_server_takes_over(
    fake: ModelServer, make_talk: MakeTalk, make_llm: MakeLlm, as_alice: Actor, step: Refuse | Reset
) -> None:
    """Before the first token; both slots are free afterwards."""
    with ModelServer() as failing:
        failing.script(step)
        talk = await make_talk(llm=make_llm(failing.url, fake.url, model=MODEL))

        for _ in range(2):
            turn = await talk.answer(as_alice)
            assert (await saved(talk.db, turn.answer_id)).status == Status.COMPLETE

        assert (len(failing.answers), len(fake.answers)) == (1, 2)
        assert [talk.slots.used(number) for number in range(2)] == [0, 0]


async def test_nobody_takes_over_in_the_middle(
    fake: ModelServer, make_talk: MakeTalk, make_llm: MakeLlm, as_alice: Actor
) -> None:
    """After the first token the part that came is kept, and nothing is asked again."""
    with ModelServer() as failing:
        for each in (failing, fake):
            each.script(Say(("kept",)), Reset())
        talk = await make_talk(llm=make_llm(failing.url, fake.url, model=MODEL))

        turn = await talk.answer(as_alice)

        assert (await saved(talk.db, turn.answer_id)).status == Status.INTERRUPTED
        assert len(failing.answers) + len(fake.answers) == 1


async def test_an_answer_in_line_says_where(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """Its place comes as it changes, and the API, which has no place for it, is told nothing."""
    talk = await make_talk(slots=1)
    fake.script(Say(("a",)), Hold("go"), End())
    hers = await talk.ask(as_alice)
    await called(fake, 1)
    his = await talk.ask(as_bob)
    follower = talk.generations.follow(his.answer_id, positions=True)
    assert ((await anext(follower)).position, len(fake.answers)) == (1, 1)

    fake.release("go")

    positions = [(each.position, each.text) async for each in follower]
    assert all(position == 0 for position, _ in positions)
    assert "".join(text for _, text in positions) == "a"
    assert (await saved(talk.db, hers.answer_id)).text == "a"


async def test_stop_in_line(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """It leaves at once, and the model never hears of it."""
    talk = await make_talk(slots=1)
    fake.script(Hold("go"), Say(("a",)), End())
    hers = await talk.ask(as_alice)
    await called(fake, 1)
    his = await talk.ask(as_bob)
    follower = talk.generations.follow(his.answer_id, positions=True)
    assert (await anext(follower)).position == 1

    await talk.chat.stop(as_bob, his.answer_id)

    assert (await read(follower))[1] == Status.STOPPED
    assert talk.slots.waiting == 0
    fake.release("go")
    assert (await read(talk.generations.follow(hers.answer_id)))[1] == Status.COMPLETE
    assert len(fake.answers) == 1


async def test_an_answer_that_waited_too_long(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """The question is kept, and "answer again" works."""
    talk = await make_talk(slots=1, queue_timeout_s=0.3)
    fake.script(Hold("go"), Say(("a",)), End())
    hers = await talk.ask(as_alice)
    await called(fake, 1)

    his = await talk.answer(as_bob)

    row = await saved(talk.db, his.answer_id)
    assert (row.status, row.error_code, row.text) == (Status.FAILED, "model_busy", "")
    fake.release("go")
    await read(talk.generations.follow(hers.answer_id))
    again = await talk.chat.regenerate(as_bob, his.answer_id)
    assert await read(talk.generations.follow(again.answer_id)) == ("a", Status.COMPLETE)


async def test_the_same_question_takes_one_slot(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """Who joins a run that waits stands where it stands."""
    talk = await make_talk(slots=1, cache_scope="company")
    fake.script(Hold("go"), Say(("a",)), End())
    await talk.ask(as_alice, "first")
    await called(fake, 1)
    turns = [await talk.ask(actor, "the same") for actor in (as_alice, as_bob)]
    assert talk.slots.waiting == 1
    for turn in turns:
        follower = talk.generations.follow(turn.answer_id, positions=True)
        assert (await anext(follower)).position == 1
    fake.release("go")
    for turn in turns:
        assert await read(talk.generations.follow(turn.answer_id)) == ("a", Status.COMPLETE)
    assert len(fake.answers) == 2


async def test_waiting_is_no_time_of_the_models(
    fake: ModelServer, make_talk: MakeTalk, make_llm: MakeLlm, as_alice: Actor, as_bob: Actor
) -> None:
    """The deadlines begin with the call."""
    llm = make_llm(first_token_timeout_s=2, total_timeout_s=2)
    talk = await make_talk(llm=llm, slots=1)
    fake.script_once(Say(("a",)), Hold("go"), End())
    await talk.ask(as_alice)
    await called(fake, 1)
    his = await talk.ask(as_bob)
    fake.script(Say(("b ",) * 12, delay_s=0.1), End())

    await asyncio.sleep(1.2)  # the time itself is what is tested
    fake.release("go")

    assert (await read(talk.generations.follow(his.answer_id)))[1] == Status.COMPLETE
