"""The model servers as this process sees them: how busy each is, and whether it is worth asking.

A breaker opens after FAILURES failures in a row before the first token, or when a server says that
it has too much to do. Open, the server is not asked. After a pause one run tries it, the probe: its
first token closes the breaker, its failure opens it again for longer. The state is this process's
own: each replica finds out for itself, which costs the server one probe a replica.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from urllib.parse import urlsplit

from genai_app.errors import AppError, InvalidInput, ModelFailed, ModelRefused, ModelUnavailable

FAILURES = 5
REST_S = 5.0  # a server that failed is asked last for this long
PAUSE_S = 2.0
MAX_PAUSE_S = 60.0
JITTER = 0.2  # so that replicas do not all come back at one moment
MANY = 1_000_000

# Waits for a turn at a server, best not the given one. Entered with the one to call, left when the
# call has ended. Raises ModelUnavailable.
Turns = Callable[["Endpoint | None"], AbstractAsyncContextManager["Endpoint"]]


class Breaker(StrEnum):
    """Whether a server is asked."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Endpoint:
    """One model server.

    Args:
        url: without a trailing /v1.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.name = parts.netloc.rpartition("@")[2]  # for people; it may stand in a log
        self.in_flight = 0
        self.failed_at = float("-inf")  # loop time
        self._failures = 0  # in a row
        self._openings = 0  # in a row
        self._rest_until = 0.0  # loop time, as below
        self._open_until = 0.0  # 0: closed
        self._busy = False  # it is open because the server has too much to do
        self._probed = False

    @property
    def breaker(self) -> Breaker:
        if not self._open_until:
            return Breaker.CLOSED
        return Breaker.OPEN if _now() < self._open_until else Breaker.HALF_OPEN

    @property
    def rests(self) -> bool:
        """It failed just now: others are asked before it."""
        return _now() < self._rest_until

    @property
    def takes(self) -> bool:
        """A run may begin here now."""
        breaker = self.breaker
        return breaker is Breaker.CLOSED or (breaker is Breaker.HALF_OPEN and not self._probed)

    def offer(self) -> int:
        """How many runs may begin here now. 1 is the probe: it is the caller's until it is begun,
        or until `withdraw` where nobody takes it."""
        if not self.takes:
            return 0
        if self.breaker is Breaker.CLOSED:
            return MANY
        self._probed = True
        return 1

    def withdraw(self) -> None:
        """Nobody took the probe that was offered."""
        self._probed = False

    def begin(self) -> bool:
        """A run begins that was offered. Returns whether it is the probe."""
        self.in_flight += 1
        return self._probed and bool(self._open_until)

    def end(self, *, probe: bool) -> None:
        """A run is over. A probe that told nothing, since its user stopped it, is for another."""
        self.in_flight -= 1
        if probe:
            self._probed = False

    def refusal(self, patience_s: float) -> ModelUnavailable | None:
        """Why waiting `patience_s` for this server is in vain; None where it may help."""
        left = self._open_until - _now()
        if left <= 0 or (self._busy and left <= patience_s):
            return None
        code = "model_busy" if self._busy else "model_unavailable"
        return ModelUnavailable("breaker open", code=code, retry_after_s=math.ceil(left))

    def answered(self) -> None:
        """It is alive."""
        self._failures = self._openings = 0
        self._open_until = self._rest_until = 0.0
        self._busy = self._probed = False

    def failed(self) -> None:
        """No connection, a server error, or silence, before the first token."""
        self._failures += 1
        self.failed_at = _now()
        self._rest_until = self.failed_at + REST_S
        if self._failures >= FAILURES or self.breaker is Breaker.HALF_OPEN:
            pause_s = min(PAUSE_S * 2**self._openings, MAX_PAUSE_S)
            self._openings += 1
            self._open(pause_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret

    def busy(self, retry_after_s: int) -> None:
        """It asked to be left alone."""
        self._failures = 0
        self._open(retry_after_s, busy=True)

    def judge(self, error: AppError, *, begun: bool) -> None:
        """Learn from how a run ended. `begun`: after its first token, which has told enough."""
        if begun:
            return
        if error.code == "model_busy":
            self.busy(error.retry_after_s or 1)
        elif isinstance(error, InvalidInput | ModelFailed | ModelRefused) or error.code in (
            "model_auth",
            "model_unknown",
        ):
            if error.code != "model_total_timeout":
                self.answered()  # it refused, so it lives
        else:
            self.failed()

    def _open(self, pause_s: float, *, busy: bool = False) -> None:
        self._open_until = _now() + pause_s
        self._busy = busy
        self._probed = False


def refusal_of(endpoints: Sequence[Endpoint], patience_s: float) -> ModelUnavailable | None:
    """Why waiting that long is in vain everywhere: the nearest hope. None where it may help."""
    refusals = [each.refusal(patience_s) for each in endpoints]
    if None in refusals:
        return None
    return min((each for each in refusals if each), key=lambda each: each.retry_after_s or 0)


def _now() -> float:
    return asyncio.get_running_loop().time()
