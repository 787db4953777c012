"""The queue before the model servers as this process sees it: its own runs, and how they get free
slots while Redis does not grant them (its script in adapters/redis/slots.py does the same)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from genai_app.adapters.llm.endpoints import Endpoint
from genai_app.errors import ModelUnavailable


@dataclass(eq=False, slots=True)
class Run:
    """A try of a model run: in the queue, then with a slot, then over.

    `rank`: its turn, the lowest goes first; 0 until it has one. `avoid`: the endpoint to take last.
    `deadline`: loop time until which it waits. `moved`: called with each new position in the queue.
    """

    id: str
    rank: int
    avoid: int | None
    deadline: float
    moved: Callable[[int], None]
    turn: asyncio.Future[Endpoint] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    position: int = 0
    probe: bool = False
    asking: bool = False  # Redis is being asked about it
    endpoint: int | None = None

    @property
    def waits(self) -> bool:
        return not (self.asking or self.turn.done())

    def move_to(self, position: int) -> None:
        if position != self.position:
            self.position = position
            self.moved(position)

    def refuse(self, error: ModelUnavailable) -> None:
        if not self.turn.done():
            self.turn.set_exception(error)


def share_out(
    queue: Iterable[Run],
    room: Sequence[int],
    here: Counter[int],
    endpoints: Sequence[Endpoint],
    grant: Callable[[Run, int], None],
) -> None:
    """Grants free slots to the first runs of the queue and sets the position of the others.

    Args:
        room: how many runs each endpoint may get.
        here: how many each has.
    """
    room, here = list(room), here.copy()
    position = 0

    def cost(number: int, run: Run) -> tuple[bool, bool, int]:
        return number == run.avoid, endpoints[number].rests, here[number]

    for run in sorted((run for run in queue if run.waits and run.rank), key=lambda run: run.rank):
        open_to = [number for number, count in enumerate(room) if count > 0]
        if open_to:
            number = min(open_to, key=lambda each: cost(each, run))
            room[number] -= 1
            here[number] += 1
            grant(run, number)
        else:
            position += 1
            run.move_to(position)
