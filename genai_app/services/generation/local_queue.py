"""The queue before the model servers as this process sees it: its own runs that wait for a slot and
those that hold one. It grants slots itself while Redis does not (adapters/redis/slots.py)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from genai_app.adapters.llm.breaker import MANY
from genai_app.adapters.llm.endpoints import Endpoint, refusal_of
from genai_app.errors import ModelUnavailable

WAITING_PER_SLOT = 16
BUSY_RETRY_AFTER_S = 10


@dataclass(eq=False, slots=True)
class QueuedRun:
    """A model run's wait for a slot, its slot, and the end of both.

    `rank`: its turn, the lowest goes first; 0 until it has one. `avoid`: the endpoint to take last.
    `deadline`: loop time until which it waits. `moved`: called with each new position in the queue.
    `slot`: resolves to its endpoint. `asking`: a call to Redis about it is under way.
    """

    id: str
    rank: int
    avoid: int | None
    deadline: float
    moved: Callable[[int], None]
    slot: asyncio.Future[Endpoint] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    position: int = 0
    probe: bool = False
    asking: bool = False
    endpoint: int | None = None

    @property
    def waits(self) -> bool:
        return not (self.asking or self.slot.done())

    def move_to(self, position: int) -> None:
        if position != self.position:
            self.position = position
            self.moved(position)

    def refuse(self, error: ModelUnavailable) -> None:
        if not self.slot.done():
            self.slot.set_exception(error)


class LocalQueue:
    """The runs of this process before and at the model servers.

    Args:
        endpoints: the model servers, numbered from 0.
        slots: of each endpoint, over all processes.
    """

    def __init__(self, endpoints: Sequence[Endpoint], slots: int) -> None:
        self.endpoints = endpoints
        self.slots = slots
        self.most_waiting = WAITING_PER_SLOT * slots * len(endpoints)
        self.waiting: list[QueuedRun] = []
        self.held: dict[str, int] = {}  # the endpoint's number, by the run's id
        self.top_rank = 0  # the highest that any process is known to have given
        self.processes = 1  # that share the slots

    def grant(self, run: QueuedRun, number: int) -> None:
        """Gives a waiting run a slot of an endpoint."""
        run.endpoint = number
        run.probe = self.endpoints[number].begin()
        self.held[run.id] = number
        self.waiting.remove(run)
        run.slot.set_result(self.endpoints[number])
        run.move_to(0)

    def give_back(self, run: QueuedRun) -> None:
        """Ends a run at its endpoint and frees its slot."""
        assert run.endpoint is not None  # it had a slot
        self.endpoints[run.endpoint].end(probe=run.probe)
        del self.held[run.id]
        run.endpoint = None

    def refusal(self, run: QueuedRun) -> ModelUnavailable | None:
        """Returns the error that ends the wait of a run; None while waiting makes sense."""
        return refusal_of(self.endpoints, run.deadline - asyncio.get_running_loop().time())

    def refuse_hopeless(self) -> None:
        """Ends the wait of each run that no server will take in time."""
        for run in self.waiting:
            if refusal := self.refusal(run):
                run.refuse(refusal)

    def offers(self) -> list[int]:
        """Returns how many runs each endpoint may begin now. An endpoint that failed just now
        offers none while another one works: waiting for that one is better than failing here.
        `withdraw` must follow."""
        another = any(each.breaker.takes and not each.breaker.rests for each in self.endpoints)
        return [
            0 if another and each.breaker.rests else each.breaker.offer() for each in self.endpoints
        ]

    def withdraw(self, offers: Sequence[int], runs: Sequence[QueuedRun]) -> None:
        """Withdraws the probes that were offered and that none of `runs` took."""
        granted = {run.endpoint for run in runs}
        for number, offer in enumerate(offers):
            if 0 < offer < MANY and number not in granted:
                self.endpoints[number].breaker.withdraw()

    def share(self) -> int:
        """Returns how many slots of each endpoint this process may fill by itself."""
        return max(1, self.slots // max(1, self.processes))

    def held_by_endpoint(self) -> Counter[int]:
        return Counter(self.held.values())

    def join(self, run: QueuedRun) -> None:
        """Gives a run its rank, as `rank_of` in the script of Redis does, and a free slot."""
        if not run.rank:
            self.top_rank += 1
            run.rank = self.top_rank
        self.serve()
        if len(self.waiting) > self.most_waiting:
            run.refuse(busy("the queue is full"))

    def serve(self) -> None:
        """Grants free slots to the first runs of the queue and sets the position of the others."""
        offers = self.offers() if self.waiting else [0] * len(self.endpoints)
        held, share = self.held_by_endpoint(), self.share()
        room = [min(offer, share - held[number]) for number, offer in enumerate(offers)]

        def cost(number: int, run: QueuedRun) -> tuple[bool, bool, int]:
            return number == run.avoid, self.endpoints[number].breaker.rests, held[number]

        runs = sorted((run for run in self.waiting if run.waits and run.rank), key=_rank)
        position = 0
        for run in runs:
            free = [number for number, count in enumerate(room) if count > 0]
            if free:
                number = min(free, key=lambda each: cost(each, run))
                room[number] -= 1
                held[number] += 1
                self.grant(run, number)
            else:
                position += 1
                run.move_to(position)
        self.withdraw(offers, runs)


def busy(detail: str) -> ModelUnavailable:
    return ModelUnavailable(detail, code="model_busy", retry_after_s=BUSY_RETRY_AFTER_S)


def _rank(run: QueuedRun) -> int:
    return run.rank
