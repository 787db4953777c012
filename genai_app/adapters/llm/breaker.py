"""The circuit breaker of a model server.

A breaker opens after FAILURES failures in a row before the first token, or when a server says that
it has too much to do. Open, the server is not asked. After a pause one run tries it, the probe: its
first token closes the breaker, its failure opens it again for longer. The state is this process's
own: each replica finds out for itself, which costs the server one probe a replica.
"""

import asyncio
import math
import random
from enum import StrEnum

from genai_app.errors import ModelUnavailable

FAILURES = 5
REST_S = 5.0  # a server that failed is asked last for this long
PAUSE_S = 2.0
MAX_PAUSE_S = 60.0
JITTER = 0.2  # so that replicas do not all come back at one moment
MANY = 1_000_000


class BreakerState(StrEnum):
    """Closed: the server is asked. Open: it is not. Half open: one run may try it."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class CircuitBreaker:
    """Counts the failures of one model server and keeps runs away from it. Times are loop times."""

    def __init__(self) -> None:
        self.failed_at = float("-inf")
        self.probe_is_out = False
        self._failures = 0  # in a row
        self._openings = 0  # in a row
        self._rest_until = 0.0
        self._open_until = 0.0  # 0: closed
        self._is_busy = False  # it is open because the server has too much to do

    @property
    def state(self) -> BreakerState:
        if not self._open_until:
            return BreakerState.CLOSED
        return BreakerState.OPEN if _now() < self._open_until else BreakerState.HALF_OPEN

    @property
    def rests(self) -> bool:
        """True when the server failed just now: others are asked before it."""
        return _now() < self._rest_until

    @property
    def takes(self) -> bool:
        """True when a run may begin now."""
        state = self.state
        return state is BreakerState.CLOSED or (
            state is BreakerState.HALF_OPEN and not self.probe_is_out
        )

    def offer(self) -> int:
        """Returns how many runs may begin now. 1 is the probe: it is the caller's until a run
        begins, or until `withdraw` where none does."""
        if not self.takes:
            return 0
        if self.state is BreakerState.CLOSED:
            return MANY
        self.probe_is_out = True
        return 1

    def withdraw(self) -> None:
        """Takes back a probe that no run took, or that ended without a sign of the server."""
        self.probe_is_out = False

    def refusal(self, patience_s: float) -> ModelUnavailable | None:
        """Returns the error where waiting `patience_s` for this server is in vain; else None."""
        left_s = self._open_until - _now()
        if left_s <= 0 or (self._is_busy and left_s <= patience_s):
            return None
        code = "model_busy" if self._is_busy else "model_unavailable"
        return ModelUnavailable("breaker open", code=code, retry_after_s=math.ceil(left_s))

    def succeed(self) -> None:
        """Closes the breaker: the server answered."""
        self._failures = self._openings = 0
        self._open_until = self._rest_until = 0.0
        self._is_busy = self.probe_is_out = False

    def fail(self) -> None:
        """Counts a failure before the first token: no connection, a server error, or silence."""
        self._failures += 1
        self.failed_at = _now()
        self._rest_until = self.failed_at + REST_S
        if self._failures >= FAILURES or self.state is BreakerState.HALF_OPEN:
            pause_s = min(PAUSE_S * 2**self._openings, MAX_PAUSE_S)
            self._openings += 1
            self._open(pause_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret

    def leave_alone(self, pause_s: float) -> None:
        """Opens the breaker for a server that has too much to do."""
        self._failures = 0
        self._open(pause_s, busy=True)

    def _open(self, pause_s: float, *, busy: bool = False) -> None:
        self._open_until = _now() + pause_s
        self._is_busy = busy
        self.probe_is_out = False


def _now() -> float:
    return asyncio.get_running_loop().time()
