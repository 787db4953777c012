"""Questions that wait for the end of an answer: in order, each sent once, or kept with a reason."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import AppError, Conflict, InvalidInput, ModelUnavailable, NotFound, TooLarge
from genai_app.models import MAX_PROMPT_CHARS, Author, Message, QueuedQuestion, Status, User
from genai_app.services.chat.placement import Options
from genai_app.services.chat.queue_sender import QueueSender
from genai_app.services.chat.queued_questions import MOST_QUEUED, QueuedQuestions
from genai_app.services.chat.reasoning import Effort, reasoning_parameters
from genai_app.services.chat.turns import EDITING, Turn
from genai_app.state.chat.sends import ask_under
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.unit.talk import MakeTalk, Talk, Two, age_leases, called, leaf_of, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

HELD = (Hold("go"), Say(), End())


@dataclass(frozen=True)
class Waiting:
    """The queue of one process, and a dialog of Alice's in which an answer is running."""

    talk: Talk
    questions: QueuedQuestions
    sender: QueueSender

    @classmethod
    def of(cls, talk: Talk, **options: Any) -> "Waiting":
        sender = QueueSender(talk.db, talk.chat, talk.limits, **options)
        return cls(talk, QueuedQuestions(talk.db, talk.chat, sender.wake), sender)

    async def put(self, actor: Actor, dialog_id: object, *texts: str) -> list[uuid.UUID]:
        """Queues questions, and returns their ids."""
        ids: list[uuid.UUID] = []
        for text in texts:
            question = await self.questions.ask(
                actor, text, client_id=uuid.uuid4(), dialog_id=dialog_id
            )
            assert isinstance(question, QueuedQuestion)
            ids.append(question.id)
        return ids

    async def texts(self, actor: Actor, dialog_id: object) -> list[str]:
        return [each.text for each in await self.questions.list(actor, dialog_id)]

    async def codes(self, actor: Actor, dialog_id: object) -> list[str | None]:
        return [each.error_code for each in await self.questions.list(actor, dialog_id)]

    async def release(self, fake: ModelServer, turn: Turn) -> None:
        """Lets the running answer end."""
        fake.release("go")
        await read(self.talk.generations.follow(turn.answer_id))


async def asked(db: Database, dialog_id: object) -> list[str]:
    """The questions of a dialog, in order."""
    query = (
        sa.select(col(Message.text))
        .where(col(Message.dialog_id) == dialog_id, col(Message.author) == Author.USER)
        .order_by(col(Message.id))
    )
    async with db.read() as session:
        return list(await session.scalars(query))


async def last_answer(db: Database, dialog_id: uuid.UUID) -> Message:
    leaf_id = await leaf_of(db, dialog_id)
    assert leaf_id is not None
    return await saved(db, leaf_id)


async def ended(talk: Talk, dialog_id: uuid.UUID) -> None:
    """Waits for the end of the newest answer of a dialog."""
    await read(talk.generations.follow((await last_answer(talk.db, dialog_id)).id))


async def set_user(db: Database, actor: Actor, **values: object) -> None:
    async with db.write() as session:
        await session.execute(sa.update(User).where(col(User.id) == actor.user_id).values(**values))


def asked_of_model(fake: ModelServer) -> Sequence[str]:
    return [record.messages[-1]["content"] for record in fake.answers]


async def test_they_are_sent_in_order_one_after_another(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N1, N4: each is committed when it is taken, and becomes the message of its own id."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice, "first")
    ids = await queue.put(as_alice, turn.dialog_id, "second", "third")
    await queue.sender.send_due()
    assert await queue.texts(as_alice, turn.dialog_id) == ["second", "third"]
    assert len(fake.answers) == 1

    await queue.release(fake, turn)
    for left in (["third"], []):
        await queue.sender.send_due()
        await queue.sender.send_due()  # another answer is running, or nothing is left
        assert await queue.texts(as_alice, turn.dialog_id) == left
        await ended(talk, turn.dialog_id)

    assert await asked(talk.db, turn.dialog_id) == ["first", "second", "third"]
    assert list(asked_of_model(fake)) == ["first", "second", "third"]
    async with talk.db.read() as session:
        client_ids = await session.scalars(
            sa.select(col(Message.client_id))
            .where(col(Message.dialog_id) == turn.dialog_id, col(Message.client_id).is_not(None))
            .order_by(col(Message.id))
        )
        assert list(client_ids)[1:] == ids


@pytest.mark.parametrize("how", ["complete", "stopped", "failed"])
async def test_whatever_ends_the_answer_sends_the_next(
    how: str, fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """The sender is woken by the end itself; no page is open."""
    queue = Waiting.of(talk)
    work = asyncio.create_task(queue.sender.run())
    fake.script_once(*HELD)
    text = "first" if how != "failed" else "first fake:tokens=2,error=1"
    turn = await talk.ask(as_alice, text)
    await called(fake)
    await queue.put(as_alice, turn.dialog_id, "second")
    if how == "stopped":
        await talk.chat.stop(as_alice, turn.answer_id)
    else:
        fake.release("go")
    assert await asyncio.to_thread(fake.wait_answers, 2)
    await read(talk.generations.follow(turn.answer_id))
    assert await queue.texts(as_alice, turn.dialog_id) == []
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == [text, "second"]
    assert (await last_answer(talk.db, turn.dialog_id)).status == Status.COMPLETE
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def test_nothing_runs_so_it_is_asked_at_once(talk: Talk, as_alice: Actor) -> None:
    queue = Waiting.of(talk)
    turn = await talk.answer(as_alice)
    again = await queue.questions.ask(
        as_alice, "second", client_id=uuid.uuid4(), dialog_id=turn.dialog_id
    )
    assert isinstance(again, Turn)
    new = await queue.questions.ask(as_alice, "new", client_id=uuid.uuid4(), dialog_id=None)
    assert isinstance(new, Turn)
    assert new.dialog_id != turn.dialog_id


async def test_the_same_send_again_is_the_same_question(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N4: while it waits, and after it was sent, whether the answer has ended or not."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    again: dict[str, Any] = {"client_id": uuid.uuid4(), "dialog_id": turn.dialog_id}
    first = await queue.questions.ask(as_alice, "second", **again)
    second = await queue.questions.ask(as_alice, "second", **again)
    assert isinstance(first, QueuedQuestion)
    assert isinstance(second, QueuedQuestion)
    assert first.id == second.id
    with pytest.raises(InvalidInput) as caught:
        await queue.questions.ask(as_alice, "another text", **again)
    assert caught.value.code == "client_id_reused"

    await queue.release(fake, turn)
    fake.script_once(Hold("second"), Say(), End())
    await queue.sender.send_due()
    repeated = await queue.questions.ask(as_alice, "second", **again)
    assert isinstance(repeated, Turn)
    assert repeated.repeated
    fake.release("second")
    await ended(talk, turn.dialog_id)
    repeated = await queue.questions.ask(as_alice, "second", **again)
    assert isinstance(repeated, Turn)
    assert await queue.texts(as_alice, turn.dialog_id) == []
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second"]


async def test_one_that_came_by_another_way_too_is_sent_once(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N4: a repeat of the send was committed as a message while the question waited."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    (question_id,) = await queue.put(as_alice, turn.dialog_id, "second")
    await queue.release(fake, turn)
    await talk.chat.ask(as_alice, "second", client_id=question_id, dialog_id=turn.dialog_id)
    await ended(talk, turn.dialog_id)
    await queue.sender.send_due()
    assert await queue.texts(as_alice, turn.dialog_id) == []
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second"]
    assert len(fake.answers) == 2


async def test_no_more_than_so_many_wait(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    await queue.put(as_alice, turn.dialog_id, *(f"{number}" for number in range(MOST_QUEUED)))
    with pytest.raises(Conflict) as caught:
        await queue.put(as_alice, turn.dialog_id, "one too many")
    assert caught.value.code == "queue_full"
    for text, kind in ((" \n", InvalidInput), ("x" * (MAX_PROMPT_CHARS + 1), TooLarge)):
        with pytest.raises(kind):
            await queue.put(as_alice, turn.dialog_id, text)
    assert len(await queue.texts(as_alice, turn.dialog_id)) == MOST_QUEUED
    await queue.release(fake, turn)


async def test_one_that_is_changed_waits_for_its_user(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """It is not sent under the user's hands, nor are those behind it before it."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    ids = await queue.put(as_alice, turn.dialog_id, "second", "third")
    assert await queue.questions.begin_edit(as_alice, ids[0]) == "second"
    await queue.release(fake, turn)
    await queue.sender.send_due()
    assert await queue.codes(as_alice, turn.dialog_id) == [EDITING, None]

    with pytest.raises(InvalidInput):
        await queue.questions.edit(as_alice, ids[0], " ")
    await queue.questions.edit(as_alice, ids[0], "second, changed")
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    await queue.questions.begin_edit(as_alice, ids[1])
    await queue.questions.cancel_edit(as_alice, ids[1])
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second, changed", "third"]
    with pytest.raises(NotFound):
        await queue.questions.edit(as_alice, ids[1], "too late")


async def test_a_changed_question_is_still_known_by_its_send(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N4: one tab repeats the send, whose answer it has not got, while another one changes it."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    (question_id,) = await queue.put(as_alice, turn.dialog_id, "second")

    async def ask(text: str) -> Turn | QueuedQuestion:
        return await ask_under(
            question_id,
            text,
            lambda key: queue.questions.ask(
                as_alice, text, client_id=key, dialog_id=turn.dialog_id
            ),
        )

    for text in ("changed", "changed again"):
        await queue.questions.edit(as_alice, question_id, text)
        repeated = await ask("second")
        assert isinstance(repeated, QueuedQuestion)
        assert repeated.text == text
    assert await queue.texts(as_alice, turn.dialog_id) == ["changed again"]

    await queue.release(fake, turn)
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert isinstance(repeated := await ask("second"), Turn)
    assert repeated.repeated
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "changed again"]
    # whoever sends the changed text under the same id has written it: that is another send
    assert isinstance(another := await ask("changed again"), Turn)
    assert not another.repeated
    await ended(talk, turn.dialog_id)


async def test_a_changed_question_is_kept_where_it_was_sent_as_it_was(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N1: the send came by another way, too, so its id is taken; the change is not thrown away."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    (question_id,) = await queue.put(as_alice, turn.dialog_id, "second")
    await queue.questions.edit(as_alice, question_id, "changed")
    await queue.release(fake, turn)
    await talk.chat.ask(as_alice, "second", client_id=question_id, dialog_id=turn.dialog_id)
    await ended(talk, turn.dialog_id)
    await queue.sender.send_due()
    assert await queue.texts(as_alice, turn.dialog_id) == ["changed"]
    assert await queue.codes(as_alice, turn.dialog_id) == ["client_id_reused"]


async def test_what_is_changed_while_it_is_being_sent_is_not_lost(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N6: the sender read the old text; it must not be what is sent."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    (question_id,) = await queue.put(as_alice, turn.dialog_id, "old")
    await queue.release(fake, turn)
    await queue.questions.edit(as_alice, question_id, "new")
    for text, client_id in (("old", question_id), ("new", uuid.uuid4())):
        with pytest.raises(NotFound):
            await talk.chat.ask(
                *(as_alice, text), client_id=client_id, dialog_id=turn.dialog_id, is_queued=True
            )
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "new"]


async def test_stop_and_send(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """The last of three goes first, and the running answer keeps its text."""
    queue = Waiting.of(talk)
    fake.script_once(Say(("one ", "two ")), Hold("never"), End())
    turn = await talk.ask(as_alice)
    await called(fake)
    ids = await queue.put(as_alice, turn.dialog_id, "a", "b", "c")
    await queue.questions.send_now(as_alice, ids[2])
    _, status = await read(talk.generations.follow(turn.answer_id))
    assert status is Status.STOPPED
    await queue.sender.send_due()
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "c"]
    assert await queue.texts(as_alice, turn.dialog_id) == ["a", "b"]
    await ended(talk, turn.dialog_id)


async def test_deleting(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """A question alone, and with its dialog."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    ids = await queue.put(as_alice, turn.dialog_id, "a", "b")
    await queue.questions.delete(as_alice, ids[0])
    with pytest.raises(NotFound):
        await queue.questions.delete(as_alice, ids[0])
    assert await queue.texts(as_alice, turn.dialog_id) == ["b"]
    await talk.history.delete(as_alice, turn.dialog_id)
    await queue.release(fake, turn)
    await queue.sender.send_due()
    async with talk.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(QueuedQuestion)) == 0
    assert len(fake.answers) == 1
    with pytest.raises(NotFound):
        await queue.put(as_alice, turn.dialog_id, "c")


async def test_questions_of_others_are_not_found(
    fake: ModelServer, talk: Talk, as_alice: Actor, as_bob: Actor
) -> None:
    """N7."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    (question_id,) = await queue.put(as_alice, turn.dialog_id, "hers")
    for call in (
        queue.questions.begin_edit(as_bob, question_id),
        queue.questions.cancel_edit(as_bob, question_id),
        queue.questions.edit(as_bob, question_id, "his"),
        queue.questions.delete(as_bob, question_id),
        queue.questions.send_now(as_bob, question_id),
        queue.put(as_bob, turn.dialog_id, "his"),
    ):
        with pytest.raises(NotFound):
            await call
    assert await queue.texts(as_bob, turn.dialog_id) == []
    # his own dialog, her id
    fake.script_once(Hold("his"), Say(), End())
    his = await talk.ask(as_bob)
    with pytest.raises(InvalidInput):
        await queue.questions.ask(as_bob, "hers", client_id=question_id, dialog_id=his.dialog_id)
    fake.release("his")
    await queue.release(fake, turn)
    assert await queue.codes(as_alice, turn.dialog_id) == [None]


async def test_a_used_up_limit_passes_by_itself(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """The card has the reason; the question is sent when there is room again, without a click."""
    talk = await make_talk(rate="1/hour")
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    await queue.put(as_alice, turn.dialog_id, "second")
    await queue.release(fake, turn)
    for _ in range(2):
        await queue.sender.send_due()
        assert await queue.codes(as_alice, turn.dialog_id) == ["limit_reached"]
    # also what is asked now takes its place behind it
    await queue.put(as_alice, turn.dialog_id, "third")
    await set_user(talk.db, as_alice, rate_limit="10/hour")
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second"]
    assert await queue.codes(as_alice, turn.dialog_id) == [None]


async def test_too_many_answers_pass_by_themselves(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    talk = await make_talk(max_parallel=2)
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    await called(fake)
    await queue.put(as_alice, turn.dialog_id, "second")
    fake.script_once(Hold("others"), Say(), End())
    others = [await talk.ask(as_alice, "elsewhere")]
    await called(fake, 2)
    await queue.release(fake, turn)
    fake.script_once(Hold("others"), Say(), End())
    others.append(await talk.ask(as_alice, "elsewhere, too"))
    for _ in range(2):
        await queue.sender.send_due()
        assert await queue.codes(as_alice, turn.dialog_id) == ["too_many_answers"]
    fake.release("others")
    for each in others:
        await read(talk.generations.follow(each.answer_id))
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second"]


async def test_a_disabled_account_sends_nothing(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """The question stays; when the account is enabled again its user decides."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    ids = await queue.put(as_alice, turn.dialog_id, "second")
    await set_user(talk.db, as_alice, disabled_at=clock.now())
    await queue.release(fake, turn)
    await queue.sender.send_due()
    assert len(fake.answers) == 1
    await set_user(talk.db, as_alice, disabled_at=None)
    await queue.sender.send_due()
    assert await queue.codes(as_alice, turn.dialog_id) == ["account_disabled"]
    await queue.questions.send_now(as_alice, ids[0])
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second"]


async def test_a_model_that_is_down_costs_no_question(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    down: list[AppError] = [ModelUnavailable("breaker open")]
    queue = Waiting.of(talk, model_refusal=lambda: down[0] if down else None)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    await queue.put(as_alice, turn.dialog_id, "second")
    await queue.release(fake, turn)
    await queue.sender.send_due()
    assert await queue.codes(as_alice, turn.dialog_id) == ["model_unavailable"]
    down.clear()
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    assert await asked(talk.db, turn.dialog_id) == ["Hello?", "second"]


async def test_a_process_that_stops_sends_nothing(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """Its answers end because it stops; what waits for them is the next process' to send."""
    looked = asyncio.Event()

    def stopping() -> bool:
        looked.set()
        return True

    queue = Waiting.of(talk, is_stopping=stopping)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice)
    await queue.put(as_alice, turn.dialog_id, "second")
    await queue.release(fake, turn)
    work = asyncio.create_task(queue.sender.run())
    await looked.wait()
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work
    assert await queue.texts(as_alice, turn.dialog_id) == ["second"]
    assert len(fake.answers) == 1


@pytest.mark.parametrize("engine", ["postgresql"])
async def test_two_processes_send_it_once(fake: ModelServer, two: Two, as_alice: Actor) -> None:
    """N4. One of them dies in the middle of an answer; both look for what it left."""
    first, second = await two()
    queues = [Waiting.of(first), Waiting.of(second)]
    fake.script_once(*HELD)
    turn = await first.ask(as_alice)
    await called(fake)
    await queues[0].put(as_alice, turn.dialog_id, "second")
    await asyncio.gather(*(each.sender.send_due() for each in queues))
    assert await queues[1].texts(as_alice, turn.dialog_id) == ["second"]

    await queues[0].release(fake, turn)
    await asyncio.gather(*(each.sender.send_due() for each in queues * 4))
    await ended(first, turn.dialog_id)
    assert await asked(first.db, turn.dialog_id) == ["Hello?", "second"]
    assert await queues[1].texts(as_alice, turn.dialog_id) == []
    assert len(fake.answers) == 2


async def test_the_lease_of_a_dead_process_runs_out_first(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N3: its answer is running as long as its lease says so."""
    dead = await make_talk(opened=False)
    fake.script_once(Say(("one ",)), Hold("never"), End())
    turn = await dead.ask(as_alice)
    await called(fake)
    alive = await make_talk(opened=False)
    queue = Waiting.of(alive)
    await queue.put(as_alice, turn.dialog_id, "second")
    await queue.sender.send_due()
    assert await queue.texts(as_alice, turn.dialog_id) == ["second"]
    await age_leases(alive.db, 60)
    await queue.sender.send_due()
    assert await queue.texts(as_alice, turn.dialog_id) == []
    await ended(alive, turn.dialog_id)
    assert await asked(alive.db, turn.dialog_id) == ["Hello?", "second"]


@pytest.mark.parametrize("reasoning", [True, False, "high", None])
async def test_a_question_keeps_the_switch_for_reasoning(
    reasoning: bool | Effort | None, fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """Also one whose text is changed while it waits."""
    queue = Waiting.of(talk)
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice, "first")
    sampling = reasoning_parameters(reasoning)
    question = await queue.questions.ask(
        as_alice,
        "second",
        client_id=uuid.uuid4(),
        dialog_id=turn.dialog_id,
        options=Options(sampling=sampling),
    )
    assert isinstance(question, QueuedQuestion)
    await queue.questions.edit(as_alice, question.id, "second, changed")
    await queue.release(fake, turn)
    await queue.sender.send_due()
    await ended(talk, turn.dialog_id)
    parameters = fake.answers[-1].parameters
    assert {name: parameters[name] for name, _ in sampling} == dict(sampling)
    assert ("chat_template_kwargs" in parameters) == (reasoning is not None)
