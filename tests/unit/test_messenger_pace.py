"""The pace of calls: apart by what a messenger allows, also where they are long on their way."""

import asyncio

from genai_app.adapters.messenger import MessengerLimits
from genai_app.services.messengers.pace import Pace

CALLS = 3
INTERVAL_S, PAUSE_S = 0.2, 0.1


async def arrivals(way_s: float) -> list[float]:
    """When calls in one chat arrive, if the first is on its way for so long and the others not."""
    pace = Pace(MessengerLimits(100, INTERVAL_S, 1000.0, PAUSE_S))
    loop, found = asyncio.get_running_loop(), list[float]()

    async def call(number: int) -> None:
        async with pace.turn("1"):
            await asyncio.sleep(0 if number else way_s)
            found.append(loop.time())

    await asyncio.gather(*(call(number) for number in range(CALLS)))
    return found


async def test_calls_are_apart() -> None:
    first, second, third = await arrivals(0)
    assert second - first >= INTERVAL_S - 0.01
    assert third - second >= INTERVAL_S - 0.01


async def test_a_call_that_is_late_holds_up_the_next() -> None:
    """Else both would arrive together."""
    first, second, _ = await arrivals(INTERVAL_S)
    assert second - first >= PAUSE_S - 0.01


async def test_chats_wait_for_none_of_the_others() -> None:
    pace = Pace(MessengerLimits(100, 60.0, 1000.0, 60.0))
    async with asyncio.timeout(5):
        for number in range(20):
            async with pace.turn(str(number)):
                pass


async def test_no_more_arrive_in_a_second() -> None:
    """Whenever they began: calls that were held up on their way arrive at once."""
    pace = Pace(MessengerLimits(100, 0.0, 1000.0, most_in_second=5))
    loop, found = asyncio.get_running_loop(), list[float]()
    line = asyncio.Event()

    async def call(number: int) -> None:
        async with pace.turn(str(number)):
            await line.wait()
            found.append(loop.time())

    loop.call_later(0.3, line.set)
    await asyncio.gather(*(call(number) for number in range(12)))
    assert all(after - at >= 0.99 for at, after in zip(found, found[5:], strict=False))
