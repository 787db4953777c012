"""Who may call a model server, and who waits: over one process and over two on one Redis."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from genai_app.adapters.llm.endpoints import Endpoint
from genai_app.adapters.redis import client as redis
from genai_app.adapters.redis import slots as redis_slots
from genai_app.errors import ModelUnavailable, Unavailable
from genai_app.services.generation import local_queue, shared_queue, wakeup
from genai_app.services.generation import slots as slots_module
from genai_app.services.generation.slots import ModelSlots
from tests.fakes.app_process import eventually
from tests.fakes.services import RedisServer

WITHIN_S = 60.0
URLS = ("http://user:secret@gpu1:8000", "http://gpu2:8000")


@dataclass(eq=False)
class Held:
    """One model run: in the queue, then at a server until `end`."""

    task: asyncio.Task[None]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    positions: list[int] = field(default_factory=list[int])
    at: Endpoint | None = None

    async def end(self) -> None:
        self.over.set()
        async with asyncio.timeout(WITHIN_S):
            await self.task

    async def begins(self) -> None:
        await eventually(self._has_begun, WITHIN_S)

    async def stands_at(self, position: int) -> None:
        async def there() -> bool:
            return bool(self.positions) and self.positions[-1] == position

        await eventually(there, WITHIN_S)

    async def _has_begun(self) -> bool:
        if self.task.done():
            self.task.result()
        return self.at is not None


class Process:
    """What one process has, and the runs of all of them in the order of their turns."""

    def __init__(self, slots: ModelSlots, begun: list[Held]) -> None:
        self.slots = slots
        self._begun = begun

    def run(self, failed: Endpoint | None = None) -> Held:
        async def work() -> None:
            async with self.slots.turns(held.positions.append)(failed) as endpoint:
                held.at = endpoint
                self._begun.append(held)
                try:
                    await held.over.wait()
                finally:
                    held.at = None

        task = asyncio.ensure_future(work())
        held = Held(task)
        return held

    def die(self) -> None:
        """As by SIGKILL: nothing is given back, nothing is renewed."""
        shared: Any = self.slots._shared

        async def step(**_: object) -> None:
            raise Unavailable("dead")

        shared._store.step = step


Make = Callable[..., Awaitable[Process]]


@pytest.fixture(params=["process", "redis"])
def store(request: pytest.FixtureRequest) -> str | None:
    """No Redis, and a real one."""
    if request.param == "process":
        return None
    server: RedisServer = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
def begun() -> list[Held]:
    """Runs of all processes, in the order in which they got their slots."""
    return []


@pytest_asyncio.fixture
async def make(begun: list[Held], monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Make]:
    """Makes processes; short pauses, so that no test waits for their pace."""
    for module, name in (
        (slots_module, "RENEW_S"),
        (slots_module, "LOOK_S"),
        (shared_queue, "RENEW_S"),
        (shared_queue, "REST_S"),
        (wakeup, "SOON_S"),
    ):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(redis_slots, "WARM_MS", 500)
    made: list[ModelSlots] = []

    async def make_one(
        url: str | None, *, most: int = 1, timeout_s: float = 60, endpoints: int = 1
    ) -> Process:
        servers = [Endpoint(each) for each in URLS[:endpoints]]
        slots = ModelSlots(servers, url, most=most, timeout_s=timeout_s)
        made.append(slots)
        await slots.open()
        return Process(slots, begun)

    yield make_one
    for slots in made:
        await slots.close()


async def know_each_other(*processes: Process) -> None:
    async def known() -> bool:
        return all(each.slots._queue.processes == len(processes) for each in processes)

    await eventually(known, WITHIN_S)


async def free(process: Process) -> bool:
    """As far as the process has heard, every slot is free."""
    return not any(process.slots.used(number) for number in range(2))


def at_once(runs: list[Held]) -> int:
    return sum(run.at is not None for run in runs)


async def test_exactly_so_many_at_once(make: Make, store: str | None) -> None:
    """Thirty runs over two processes, or in one, and three slots."""
    first = await make(store, most=3)
    second = await make(store, most=3) if store else first
    runs = [(first, second)[number % 2].run() for number in range(30)]
    left = list(runs)
    while left:
        most = min(3, len(left))

        async def full(most: int = most) -> bool:
            return at_once(runs) == most

        await eventually(full, WITHIN_S)
        ending = next(run for run in left if run.at is not None)
        left.remove(ending)
        await ending.end()
        assert at_once(runs) <= 3
    for process in (first, second):
        assert process.slots.waiting == 0


async def test_first_come_first_served(make: Make, store: str | None, begun: list[Held]) -> None:
    """Whichever process they came to; the position is shown as it changes."""
    first = await make(store)
    second = await make(store) if store else first
    runs: list[Held] = [first.run()]
    await runs[0].begins()
    for number in range(1, 6):
        run = (first, second)[number % 2].run()
        await run.stands_at(number)
        runs.append(run)
    for run in runs:
        await run.begins()
        await run.end()
    assert begun == runs
    assert runs[5].positions == sorted(set(runs[5].positions), reverse=True)
    assert (runs[5].positions[0], runs[5].positions[-1]) == (5, 0)
    assert runs[0].positions == []


async def test_a_run_joins_once(make: Make, redis_server: RedisServer) -> None:
    """Also when the queue is looked at in that moment: joined twice it would lose its slot."""
    process = await make(redis_server.url, most=3)
    shared: Any = process.slots._shared
    step, joined = shared._store.step, list[str]()

    async def record(**arguments: Any) -> object:
        joined.extend(each.id for each in arguments["requests"] if not each.rank)
        return await step(**arguments)

    shared._store.step = record
    runs: list[Held] = []
    for _ in range(3):
        runs.append(process.run())
        process.slots._wakeup.now()  # the look comes between the run and its call of Redis
        await runs[-1].begins()
    late = process.run()
    await late.stands_at(1)
    assert len(joined) == len(set(joined)) == 4
    assert at_once([*runs, late]) == 3
    for run in (*runs, late):
        await run.begins()
        await run.end()


async def test_who_waits_too_long_is_told(make: Make, store: str | None) -> None:
    """The line is bounded in time; the next one is not held up by who left."""
    process = await make(store, timeout_s=0.3)
    holding = process.run()
    await holding.begins()
    waiting = process.run()

    with pytest.raises(ModelUnavailable) as caught:
        await waiting.task

    assert (caught.value.code, caught.value.status) == ("model_busy", 503)
    assert (caught.value.retry_after_s or 0) > 0
    assert waiting.positions == [1, 0]
    assert process.slots.waiting == 0
    await holding.end()
    after = process.run()
    await after.begins()
    await after.end()


async def test_who_is_stopped_leaves_the_queue(make: Make, store: str | None) -> None:
    """At once, and those behind move up, in the other process too."""
    first = await make(store)
    second = await make(store) if store else first
    holding, stopped = first.run(), None
    await holding.begins()
    stopped = first.run()
    await stopped.stands_at(1)
    behind = second.run()
    await behind.stands_at(2)

    stopped.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped.task

    assert stopped.positions == [1, 0]
    await behind.stands_at(1)
    await holding.end()
    await behind.begins()
    await behind.end()


async def test_a_run_that_is_stopped_gives_its_slot_back(make: Make, store: str | None) -> None:
    """However it ends."""
    process = await make(store)
    holding = process.run()
    await holding.begins()
    waiting = process.run()
    await waiting.stands_at(1)
    holding.task.cancel()
    await waiting.begins()
    await waiting.end()


async def test_a_full_queue_takes_nobody(
    make: Make, store: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded in length too: whom it cannot serve is told at once."""
    monkeypatch.setattr(local_queue, "WAITING_PER_SLOT", 2)
    process = await make(store)
    runs = [process.run()]
    await runs[0].begins()
    for position in (1, 2):
        runs.append(process.run())
        await runs[-1].stands_at(position)

    with pytest.raises(ModelUnavailable) as caught:
        await process.run().task

    assert caught.value.code == "model_busy"
    for run in runs:
        await run.begins()
        await run.end()


async def test_the_server_with_the_most_free_slots(make: Make, store: str | None) -> None:
    """Over both processes; a second try goes elsewhere."""
    first = await make(store, most=2, endpoints=2)
    second = await make(store, most=2, endpoints=2) if store else first
    runs: list[Held] = []
    for number in range(4):
        run = (first, second)[number % 2].run()
        await run.begins()
        runs.append(run)
    names = sorted(run.at.name for run in runs if run.at)
    assert names == ["gpu1:8000", "gpu1:8000", "gpu2:8000", "gpu2:8000"]
    for run in runs:
        await run.end()
    await eventually(lambda: free(first), WITHIN_S)
    failed = first.slots._queue.endpoints[0]
    again = [first.run(failed) for _ in range(2)]
    for run in again:
        await run.begins()
        assert run.at is not None
        assert run.at.name == "gpu2:8000"
        await run.end()


async def test_the_living_server_is_waited_for(make: Make, store: str | None) -> None:
    """It is full, and the other one has just failed: a run is better off in the queue."""
    process = await make(store, most=1, endpoints=2)
    dead, alive = process.slots._queue.endpoints
    dead.breaker.fail()
    first = process.run()
    await first.begins()
    assert first.at is alive
    second = process.run()
    await second.stands_at(1)
    await first.end()
    await second.begins()
    assert second.at is alive
    await second.end()
    dead.breaker.succeed()
    both = [process.run() for _ in range(2)]
    for run in both:
        await run.begins()
    for run in both:
        await run.end()


async def test_a_killed_process_frees_its_slots(
    make: Make, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease runs out; who waited in it holds up nobody."""
    monkeypatch.setattr(redis_slots, "LEASE_MS", 1000)
    monkeypatch.setattr(redis_slots, "WAITER_MS", 500)
    dying, living = await make(redis_server.url), await make(redis_server.url)
    lost = [dying.run(), dying.run()]
    await lost[0].begins()
    await lost[1].stands_at(1)
    waiting = living.run()
    await waiting.stands_at(2)

    dying.die()

    await waiting.begins()
    await waiting.end()
    for run in lost:
        run.task.cancel()
    await asyncio.gather(*(run.task for run in lost), return_exceptions=True)


@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_redis_goes_and_comes_back(make: Make, redis_server: RedisServer, way: str) -> None:
    """Runs go on, each process fills its own share, and then they count together again."""
    processes = [await make(redis_server.url, most=4) for _ in range(2)]
    await know_each_other(*processes)
    runs = [process.run() for process in processes for _ in range(2)]
    for run in runs:
        await run.begins()

    await asyncio.to_thread(getattr(redis_server, way))
    late = [process.run() for process in processes]
    for run in late:
        await run.stands_at(1)
    assert at_once(runs + late) == 4
    await runs[0].end()
    await late[0].begins()
    assert at_once(runs + late) == 4

    # here: a server that a thread started dies with the thread
    (redis_server.start if way == "kill" else redis_server.thaw)()
    await eventually(lambda: all_back(processes), WITHIN_S)
    assert at_once(runs + late) == 4
    await runs[1].end()
    await late[1].begins()  # the other process' slot
    for run in (*runs[2:], *late):
        await run.end()


async def all_back(processes: list[Process]) -> bool:
    shared: list[Any] = [process.slots._shared for process in processes]
    return not any(each.is_away for each in shared)


async def test_redis_is_away_at_the_start(make: Make) -> None:
    """Never unlimited."""
    process = await make("redis://127.0.0.1:1/0", most=2)
    runs = [process.run() for _ in range(3)]
    await runs[2].stands_at(1)
    assert at_once(runs) == 2
    for run in runs:
        await run.begins()
        await run.end()


@pytest.mark.parametrize("count", [1, 2])
async def test_an_emptied_redis_gives_nothing_away(
    make: Make, redis_server: RedisServer, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held is held, and who waited keeps the order."""
    for module in (redis, redis_slots):  # a slow machine is not a Redis that is away
        monkeypatch.setattr(module, "SOCKET_TIMEOUT_S", WITHIN_S)
    processes = [await make(redis_server.url, most=2) for _ in range(count)]
    await know_each_other(*processes)
    runs = [processes[number % count].run() for number in range(2)]
    for run in runs:
        await run.begins()
    waiting: list[Held] = []
    for number in range(1, 3):
        waiting.append(processes[number % count].run())
        await waiting[-1].stands_at(number)

    async def up_to_date() -> bool:
        return all(process.slots._queue.top_rank == 4 for process in processes)

    await eventually(up_to_date, WITHIN_S)
    redis_server.command("FLUSHALL")
    late = processes[-1].run()

    await late.stands_at(3)
    assert at_once([*runs, *waiting, late]) == 2
    for ending, next_one in zip([*runs, waiting[0]], [*waiting, late], strict=True):
        await ending.end()
        await next_one.begins()
        assert at_once([*runs, *waiting, late]) == 2
    for run in (waiting[1], late):
        await run.end()


async def test_an_emptied_redis_grants_nothing_before_the_report(
    make: Make, redis_server: RedisServer
) -> None:
    """However many runs come before this process could report what it holds."""
    process = await make(redis_server.url, most=2)
    runs = [process.run() for _ in range(2)]
    for run in runs:
        await run.begins()
    shared: Any = process.slots._shared
    step, reporting = shared._store.step, asyncio.Event()

    async def late_report(**arguments: Any) -> object:
        if arguments["held"] is not None:
            await reporting.wait()
        return await step(**arguments)

    shared._store.step = late_report
    redis_server.command("FLUSHALL")
    late: list[Held] = []
    try:
        for position in (1, 2, 3):
            late.append(process.run())
            await late[-1].stands_at(position)
        assert at_once([*runs, *late]) == 2
    finally:
        reporting.set()
    for run in (*runs, *late):
        await run.begins()
        await run.end()


async def test_who_stops_counts_the_others_anew(
    make: Make, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has just started counts, before the next regular report."""
    for module in (slots_module, shared_queue):
        monkeypatch.setattr(module, "RENEW_S", 60.0)
    first = await make(redis_server.url)
    assert await first.slots.count_processes() == 1
    await make(redis_server.url)
    assert first.slots._queue.processes == 1
    assert await first.slots.count_processes() == 2
    await asyncio.to_thread(redis_server.kill)
    assert await first.slots.count_processes() == 2


async def test_nothing_is_left_in_redis(make: Make, redis_server: RedisServer) -> None:
    """No slot, nobody in the queue, and no address with its password."""
    process = await make(redis_server.url)
    for _ in range(3):
        run = process.run()
        await run.begins()
        await run.end()

    async def empty() -> bool:
        keys = redis_server.command("KEYS", "*")
        assert "secret" not in keys
        assert "gpu1" not in keys
        return ":at:" not in keys and ":seen" not in keys

    await eventually(empty, WITHIN_S)
