"""Clocks that are set back: limits go on, and what was asked last stands first."""

import time
from dataclasses import replace

import pytest
from limits import RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.redis.client import close_storage, limit_storage
from genai_app.models import Author, Channel, columns
from genai_app.services.database_clock import DatabaseClock
from tests.fakes.services import RedisServer
from tests.unit.talk import MakeTalk, Talk, later

pytest_plugins = ("tests.unit.talk_fixtures",)

BACK_S = -3600
LIMIT = RateLimitItemPerMinute(2)


async def test_order_outlives_a_clock_that_is_set_back(
    talk: Talk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a dialog, in the list of dialogs and in the history, for a process that was not there when
    the clock was an hour ahead."""
    first, second = [await talk.answer(as_alice, text) for text in ("one", "two")]
    later(monkeypatch, BACK_S)
    monkeypatch.setattr(columns, "_last_id", 0)
    again = await talk.answer(as_alice, "three", first.dialog_id)

    dialogs = (await talk.history.list_dialogs(as_alice)).items
    assert [each.id for each in dialogs] == [first.dialog_id, second.dialog_id]
    messages = (await talk.history.list_messages(as_alice, str(first.dialog_id))).items
    assert [each.text for each in messages if each.author == Author.USER] == ["one", "three"]
    assert [each.id for each in messages][-1] == again.answer_id
    assert messages[-1].created_at < messages[0].created_at  # dates stay true to the clock

    monkeypatch.setattr(columns, "_last_id", 0)
    await DatabaseClock(talk.db).measure()  # as at a start
    await talk.answer(as_alice, "four", second.dialog_id)
    await talk.answer(as_alice, "five")
    history = (await talk.history.list_pairs(as_alice)).items
    assert [each.question for each in history] == ["five", "four", "three", "two", "one"]
    newest = (await talk.history.list_dialogs(as_alice)).items
    assert [each.id for each in newest[1:]] == [second.dialog_id, first.dialog_id]


async def test_counted_units_of_the_future_are_none(
    make_talk: MakeTalk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without counters: what is dated an hour ahead shuts nobody out, and the limit holds on."""
    talk = await make_talk(
        rate="2/minute", max_parallel=100, storage=limit_storage("redis://127.0.0.1:1/0")
    )
    program = replace(as_alice, channel=Channel.API)
    for _ in range(2):
        await talk.answer(program)
    assert (await talk.limits.look(program)).remaining == 0
    later(monkeypatch, BACK_S)
    assert (await talk.limits.look(program)).remaining == 2
    await talk.answer(program)
    assert (await talk.limits.look(program)).remaining == 1


async def test_units_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back a window after they were taken, whatever the host's clock shows."""
    windows = MovingWindowRateLimiter(limit_storage(None))
    steady = clock.steady_s
    assert [await windows.hit(LIMIT, "alice") for _ in range(3)] == [True, True, False]
    host = time.time
    monkeypatch.setattr(time, "time", lambda: host() + BACK_S)
    assert not await windows.hit(LIMIT, "alice")
    stats = await windows.get_window_stats(LIMIT, "alice")
    assert stats.remaining == 0
    assert 50 < stats.reset_time - clock.now().timestamp() <= 60
    monkeypatch.setattr(clock, "steady_s", lambda: steady() + 61)
    assert [await windows.hit(LIMIT, "alice") for _ in range(3)] == [True, True, False]


async def test_units_in_redis(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis' own clock decides: a process with another one changes nothing, and entries from before
    that clock was set back shut nobody out."""
    storage = limit_storage(redis_server.url)
    windows = MovingWindowRateLimiter(storage)
    host = time.time
    assert await windows.hit(LIMIT, "alice")
    monkeypatch.setattr(time, "time", lambda: host() + 300)
    assert [await windows.hit(LIMIT, "alice") for _ in range(2)] == [True, False]
    stats = await windows.get_window_stats(LIMIT, "alice")
    assert stats.remaining == 0
    assert 50 < stats.reset_time - clock.now().timestamp() <= 60

    key = f"genai:limits:{LIMIT.key_for('alice')}"
    assert redis_server.command("LLEN", key)
    redis_server.command("DEL", key)
    for _ in range(2):
        redis_server.command("LPUSH", key, f"{host() - BACK_S:.6f}")
    assert (await windows.get_window_stats(LIMIT, "alice")).remaining == 2
    assert [await windows.hit(LIMIT, "alice") for _ in range(3)] == [True, True, False]
    await close_storage(storage)
